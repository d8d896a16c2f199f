"""Slack's text format: what escapes it, links in it, cuts it, and how much of it Slack takes.

https://docs.slack.dev/messaging/formatting-message-text. Every text object that carries a stranger's words is
sent ``verbatim``, so Slack looks for no names, channels or addresses of its own accord; what is a link is
made one here.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

from alert_threader.threads import CUT, MAX_LABEL, clean, one_line

#: https://docs.slack.dev/reference/block-kit/blocks: "up to 50 blocks in each message"
MAX_BLOCKS = 50
#: https://docs.slack.dev/reference/block-kit/blocks/header-block
MAX_HEADER = 150
#: https://docs.slack.dev/reference/block-kit/blocks/section-block
MAX_SECTION = 3000
#: https://docs.slack.dev/reference/block-kit/blocks/section-block
MAX_FIELDS = 10
#: https://docs.slack.dev/reference/block-kit/blocks/section-block
MAX_FIELD = 2000
#: https://docs.slack.dev/reference/block-kit/blocks/context-block
MAX_CONTEXT_ELEMENTS = 10
#: https://docs.slack.dev/reference/block-kit/composition-objects/text-object
MAX_TEXT_OBJECT = 3000
#: https://docs.slack.dev/reference/methods/chat.update: more is refused. chat.postMessage recommends as much.
MAX_TEXT = 4000
#: https://docs.slack.dev/changelog/2018-truncating-really-long-messages: longer texts are cut by Slack.
MAX_TEXT_HARD = 40_000
#: All blocks of a message, those in attachments too, together: ``msg_blocks_too_long``. Slack publishes no
#: number; its maintainers name 12,000 with a margin for the blocks themselves
#: (https://github.com/slackapi/bolt-js/issues/2509).
MAX_MESSAGE = 10_000
#: Ours, Slack has none: a longer address would push everything else out of the message.
MAX_URL = 1500

_WEB_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
#: What would end or split ``<url|text>``.
_BREAKS_LINK = re.compile(r"[\s<>|\"`]")
#: An address in a text: in Slack's markup, in Markdown's, or as it is.
_ADDRESS = re.compile(
    r"<(?P<slack>https?://[^\s<>|]+)(?:\|(?P<slack_words>[^<>\n]*))?>"
    r"|\[(?P<words>[^\[\]\n]+)\]\((?P<markdown>https?://(?:[^\s()<>]|\([^\s()<>]*\))+)\)"
    r"|(?P<bare>https?://[^\s<>`]+)",
    re.IGNORECASE,
)
#: Part of every address: a text without it need not be searched.
_IN_ADDRESS = "://"
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_OPENING, _CLOSING = re.compile(r"(?<!\w)[\"'](?=\S)"), re.compile(r"(?<=\S)[\"'](?!\w)")
#: What ends a sentence or begins something else, and no address.
_AFTER_ADDRESS = ".,;:!?*_~|([{"
#: Where Slack would begin or end bold, italics, strike-through or code, or read an emoji's name.
_FORMATTING = re.compile(r"`|(?<!\w)[*_~]|[*_~](?!\w)|:[\w+'-]+:")

#: They look like the signs that would end code, bold or an address, and do not.
_APOSTROPHE, _ASTERISK, _BAR = "\u02bc", "\u2217", "\u2223"


def escape(text: str) -> str:
    """The text with nothing that mentions anybody or links anywhere. Formatting marks still work."""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def literal(text: str, limit: int = MAX_FIELD) -> str:
    """A label's value on one line, sign for sign: as code where Slack would read formatting in it."""
    if not text:
        return ""
    said = escape(one_line(text))
    if not _FORMATTING.search(said):
        return truncate(said, limit)
    return f"`{truncate(said.replace('`', _APOSTROPHE), limit - 2)}`"


def bold(escaped: str) -> str:
    """An escaped line in bold. Asterisks inside would end it: a sign that looks the same replaces them."""
    return f"*{escaped.replace('*', _ASTERISK)}*" if escaped.strip() else escaped


def prose(text: str) -> str:
    """An annotation of several lines, escaped: formatting, web addresses and links work, nothing else does."""
    text = clean(text).strip()
    if _IN_ADDRESS not in text:
        return escape(text)
    parts: list[str] = []
    end = 0
    while found := _ADDRESS.search(text, end):
        start = found.start()
        url, words, after = _address(text, found)
        parts += (escape(text[end:start]), link(url, words) or escape(text[start:after]))
        end = after
    return "".join((*parts, escape(text[end:])))


def unmarked(text: str) -> str:
    """A text on one line where no link works, a header say: of a link its words are left."""
    text = one_line(text)
    if _IN_ADDRESS not in text:
        return text
    return _ADDRESS.sub(lambda found: found["slack_words"] or found["words"] or found["slack"] or found[0], text)


def _address(text: str, found: re.Match[str]) -> tuple[str, str, int]:
    """An address, the words of its link, and where what follows it begins."""
    if found["bare"] is None:
        return found["slack"] or found["markdown"], found["slack_words"] or found["words"] or "", found.end()
    url = text[found.start() : _end_of_address(text, found.start())].rstrip(_AFTER_ADDRESS)
    return url, "", found.start() + len(url)


def _end_of_address(text: str, start: int) -> int:
    """Where an address ends: at a bracket that none in it opened, at a quote that one before it opened, or at a blank.

    A blank in brackets that close on the same line belongs to it: Kibana's addresses hold whole queries.
    """
    before = text[: start + 1]  # what a quote stands before decides whether it opens
    opened, closed = "".join(_OPENING.findall(before)), "".join(_CLOSING.findall(before))
    quotes = {quote for quote in "\"'" if opened.count(quote) > closed.count(quote)}
    brackets: list[str] = []
    blank, end = None, len(text)
    for place in range(start, len(text)):
        sign = text[place]
        is_unpaired = sign in _BRACKETS and (not brackets or brackets.pop() != _BRACKETS[sign])
        if is_unpaired or sign in quotes or sign in "\n<>`" or (sign.isspace() and not brackets):
            end = place
            break
        if sign in _BRACKETS.values():
            brackets.append(sign)
        elif sign.isspace() and blank is None:
            blank = place
        blank = blank if brackets else None
    return end if blank is None else blank


def link(url: str, text: str = "") -> str | None:
    """``<url|text>``, or None for an address that nobody should click: not http or https, or far too long."""
    if not url:
        return None
    url = clean(url).strip()
    escaped = escape(_BREAKS_LINK.sub(lambda match: quote(match[0], safe=""), url))
    if not _WEB_ADDRESS.match(url) or len(escaped) > MAX_URL:
        return None
    label = escape(one_line(text)).replace("|", _BAR)
    return f"<{escaped}|{label}>" if label else f"<{escaped}>"


def truncate(escaped: str, limit: int) -> str:
    """At most ``limit`` characters of an escaped text; a cut one ends in ``…``, never inside a link or entity."""
    if len(escaped) <= limit:
        return escaped
    kept = escaped[: max(limit - 1, 0)]
    for opening, closing in (("<", ">"), ("&", ";")):
        begin = kept.rfind(opening)
        if begin > kept.rfind(closing):
            kept = kept[:begin]
    return f"{kept.rstrip()}…"[: max(limit, 0)]


def is_cut(shown: str, text: str) -> bool:
    """Whether a text was shown in part only: by a message, or already by the record that keeps it."""
    if not shown.endswith((CUT, f"{CUT}`")):
        return False
    return not text.rstrip().endswith(CUT) or len(text) > len(shown) or len(text) == MAX_LABEL


def joined(parts: Iterable[tuple[str, str]], between: str, room: int) -> tuple[str, int]:
    """As many of the parts on one line as fit into ``room``, the first ones first, and how many are cut or left out.

    Each part is given as it is shown, and as it was before it was cut.
    """
    line, left = "", 0
    for part, text in parts:
        longer = f"{line}{between}{part}" if line else part
        if len(longer) <= room:
            line = longer
            left += is_cut(part, text)
        else:
            left += 1
    return line, left


def plain(escaped: str) -> str:
    """ASCII only, for when Slack refuses everything else: other signs become question marks."""
    return escaped.replace("—", "-").replace("…", "...").encode("ascii", "replace").decode("ascii")
