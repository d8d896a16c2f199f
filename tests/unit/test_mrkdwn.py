import pytest

from alert_threader.formatter.mrkdwn import (
    MAX_URL,
    bold,
    escape,
    link,
    literal,
    plain,
    prose,
    truncate,
    unmarked,
)
from alert_threader.threads import clean, one_line


class TestEscape:
    def test_only_the_three_special_signs_become_entities(self) -> None:
        """Slack decodes these three entities and no others, so nothing else is encoded."""
        assert escape("<!channel> & \"<@U1>\" 'é'") == "&lt;!channel&gt; &amp; \"&lt;@U1&gt;\" 'é'"

    def test_an_entity_in_the_input_is_shown_as_it_was_written(self) -> None:
        """A text that already looks escaped is not trusted to be."""
        assert escape("&lt;!here&gt;") == "&amp;lt;!here&amp;gt;"

    def test_what_cannot_be_shown_is_dropped(self) -> None:
        """Control characters, half surrogates and marks that reverse text go; tabs, newlines and emoji stay."""
        assert clean("a\x00b\x1bc\ud800d\u202ee\r\nf\rg\th👩‍🚒") == "abcde\nf\ng\th👩‍🚒"

    def test_one_line_is_one_line(self) -> None:
        """Every kind of line break and run of spaces becomes one space."""
        assert one_line("  a\n\r\nb\x0bc\u2028d\u00a0 e ") == "a b c d e"


class TestLiteral:
    @pytest.mark.parametrize("value", ["my_service_name", "node1.example.test:9100", "a*b", "C&A"])
    def test_an_ordinary_value_is_left_alone(self, value: str) -> None:
        """Marks within a word format nothing, so most names are shown plainly."""
        assert literal(value) == escape(value)

    @pytest.mark.parametrize("value", ["_internal_", "*", ".*foo.*", "5 ~ 6", "~x~", "host:100:x", "*Severity:* LOW"])
    def test_a_value_that_slack_would_format_is_code(self, value: str) -> None:
        """On call, the name of a machine must be right to the last sign."""
        assert literal(value) == f"`{escape(value)}`"

    def test_a_backtick_cannot_end_the_code(self) -> None:
        """A backtick in the value is replaced by a sign that looks like it."""
        assert literal("a`b") == "`a\u02bcb`"

    def test_code_that_is_cut_is_still_closed(self) -> None:
        """The limit holds with both backticks."""
        assert literal("*" + "x" * 50, 20) == "`*" + "x" * 16 + "…`"

    def test_bold_survives_asterisks(self) -> None:
        """An asterisk inside would end the bold text early."""
        assert bold("a * b") == "*a \u2217 b*"
        assert bold("") == ""


class TestLink:
    def test_web_addresses_become_links(self) -> None:
        """The address keeps its meaning, the text is escaped."""
        assert link("https://x.test/a?b=1&c=2", "A <b>") == "<https://x.test/a?b=1&amp;c=2|A &lt;b&gt;>"
        assert link("HTTP://x.test") == "<HTTP://x.test>"

    @pytest.mark.parametrize(
        "url", ["", "javascript:alert(1)", "ftp://x", "//x.test", "https://", "x https://x.test", "!channel"]
    )
    def test_anything_else_does_not(self, url: str) -> None:
        """Only http and https can be clicked."""
        assert link(url, "text") is None

    def test_signs_that_would_end_the_link_are_encoded(self) -> None:
        """No address can break out of its link, whatever it holds."""
        assert link('https://x.test/a b|c>d<!channel>`"', "t") == "<https://x.test/a%20b%7Cc%3Ed%3C!channel%3E%60%22|t>"

    def test_a_monster_is_no_link(self) -> None:
        """An address may not push the rest out of the message, counted as it is sent."""
        assert link("https://x.test/?" + "&" * (MAX_URL // 4), "t") is None

    def test_addresses_in_prose_are_links(self) -> None:
        """A description's addresses work although Slack is told to look for none; the full stop is not part of one."""
        assert prose("see (https://x.test/a&b). <!here>") == "see (<https://x.test/a&amp;b>). &lt;!here&gt;"


class TestAddresses:
    """An address in a text ends where it really ends."""

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("https://x.test/a. Then", "https://x.test/a"),
            ("(see https://x.test/a)", "https://x.test/a"),
            ("https://x.test/wiki/Orders_(service).", "https://x.test/wiki/Orders_(service)"),
            ("https://x.test/?var={orders}&from=[1]", "https://x.test/?var={orders}&from=[1]"),
            ("https://x.test/?q=(a:(b:'c d'", "https://x.test/?q=(a:(b:'c"),
            ("https://x.test/?q=(a:'b \"c\" d'),e:!((f g)) then", "https://x.test/?q=(a:'b \"c\" d'),e:!((f g))"),
            ("https://x.test/(a\nb)", "https://x.test/(a"),
            ("https://x.test/a <!here>", "https://x.test/a"),
            (
                "https://k.test/#/?_g=(t:(from:'1',to:now))&i='x-*'",
                "https://k.test/#/?_g=(t:(from:'1',to:now))&i='x-*'",
            ),
            ('"https://x.test/a" is it', "https://x.test/a"),
            ("'https://x.test/it' isn't", "https://x.test/it"),
            ("it can't reach https://x.test/o'brien now", "https://x.test/o'brien"),
            ("[https://x.test/a] and", "https://x.test/a"),
            ("*https://x.test/a*, now", "https://x.test/a"),
            ('{"url":"https://x.test/a","b":1}', "https://x.test/a"),
            ("https://x.test/a?b={{c}}!", "https://x.test/a?b={{c}}"),
        ],
    )
    def test_ends_where_it_ends(self, text: str, url: str) -> None:
        """Brackets in pairs belong to it; a quote ends it only if one opened before it."""
        linked = str(link(url))
        assert linked in prose(text)
        assert prose(text).replace(linked, escape(url)) == escape(text)

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("<https://x.test/a?b=1&c=2|this page>!", "<https://x.test/a?b=1&amp;c=2|this page>!"),
            ("<https://x.test>", "<https://x.test>"),
            ("see [the *wiki*](https://x.test/a_(b)).", "see <https://x.test/a_(b)|the *wiki*>."),
            ("<https://x.test|<!here>>", "&lt;<https://x.test>|&lt;!here&gt;&gt;"),
            ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
            (
                "[x](ftp://y) <!here> <@U1|bob> <#C1|general>",
                "[x](ftp://y) &lt;!here&gt; &lt;@U1|bob&gt; &lt;#C1|general&gt;",
            ),
        ],
    )
    def test_links_of_slack_and_markdown_are_links(self, text: str, shown: str) -> None:
        """What else Slack's markup can do stays text."""
        assert prose(text) == shown

    def test_header_has_the_words_of_a_link(self) -> None:
        """No markup works there; formatting is left as it is, for it can be meant so."""
        text = "*5xx* <https://x.test|dashboard>, [wiki](https://y.test), <https://z.test> https://w.test/(a)"
        assert unmarked(text) == "*5xx* dashboard, wiki, https://z.test https://w.test/(a)"

    def test_terminal_colours_go_whole(self) -> None:
        """Without its first sign, the rest of a sequence would be shown."""
        text = "\x1b[31mERROR\x1b[0m \x1b[1;38;5;9mx\x1b[K \x9b0my \x1b]0;title\x07z \x1bMw [31m is text"
        assert clean(text) == "ERROR x y z w [31m is text"


class TestTruncate:
    def test_what_fits_is_untouched(self) -> None:
        """The limit itself still fits."""
        assert truncate("abc", 3) == "abc"

    def test_what_is_cut_says_so(self) -> None:
        """A cut text ends in an ellipsis, within the limit."""
        assert truncate("abcdef", 4) == "abc…"

    @pytest.mark.parametrize("limit", range(3, 8))
    def test_an_entity_is_never_cut(self, limit: int) -> None:
        """Half an entity would be shown as letters."""
        assert truncate("ab&amp;cd", limit) == "ab…"

    def test_a_link_is_never_cut(self) -> None:
        """Half a link would be shown as its address, and swallow what follows."""
        assert truncate("see <https://x.test|this page> now", 20) == "see…"

    @pytest.mark.parametrize("limit", [-1, 0, 1])
    def test_no_limit_is_too_small(self, limit: int) -> None:
        """Where nothing fits, nothing is left."""
        assert len(truncate("abc", limit)) <= max(limit, 0)


def test_plain_is_ascii() -> None:
    """The last resort holds nothing that any client could refuse."""
    assert plain("⚠️ Диск — full…") == "?? ???? - full..."
