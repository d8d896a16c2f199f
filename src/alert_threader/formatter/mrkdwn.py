"""Slack's text format: what escapes it, links in it, cuts it, and how much of it Slack takes.

https://docs.slack.dev/messaging/formatting-message-text. Every text object that carries a stranger's words is
sent ``verbatim``, so Slack looks for no names, channels or addresses of its own accord; what is a link is
made one here.
"""

import re
from urllib.parse import quote

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

#: Control characters but tab and newline, halves of surrogate pairs, non-characters, and the marks that turn
#: the direction of the text around them: refused or misread by Slack, and of no use in an alert.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_WEB_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
#: What would end or split ``<url|text>``.
_BREAKS_LINK = re.compile(r"[\s<>|\"`]")
_URL_IN_PROSE = re.compile(r"https?://[^\s<>|\"'`]+", re.IGNORECASE)
_END_OF_SENTENCE = ".,;:!?)]}*_~"
#: Where Slack would begin or end bold, italics, strike-through or code, or read an emoji's name.
_FORMATTING = re.compile(r"`|(?<!\w)[*_~]|[*_~](?!\w)|:[\w+'-]+:")

#: They look like the signs that would end code or bold, and do not.
_APOSTROPHE, _ASTERISK = "\u02bc", "\u2217"


def clean(text: str) -> str:
    """The text without what cannot be shown; lines end in a newline only."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """The text on one line: for a label, a title, or anything that has a line to itself."""
    return " ".join(clean(text).split())


def escape(text: str) -> str:
    """The text with nothing that mentions anybody or links anywhere. Formatting marks still work."""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def literal(text: str, limit: int = MAX_FIELD) -> str:
    """A label's value on one line, sign for sign: as code where Slack would read formatting in it."""
    said = escape(one_line(text))
    if not _FORMATTING.search(said):
        return truncate(said, limit)
    return f"`{truncate(said.replace('`', _APOSTROPHE), limit - 2)}`"


def bold(escaped: str) -> str:
    """An escaped line in bold. Asterisks inside would end it: a sign that looks the same replaces them."""
    return f"*{escaped.replace('*', _ASTERISK)}*" if escaped.strip() else escaped


def prose(text: str) -> str:
    """An annotation of several lines, escaped: formatting and web addresses work, nothing else does."""
    parts: list[str] = []
    end = 0
    text = clean(text).strip()
    for match in _URL_IN_PROSE.finditer(text):
        url = match[0].rstrip(_END_OF_SENTENCE)
        parts += (escape(text[end : match.start()]), link(url) or escape(url))
        end = match.start() + len(url)
    return "".join((*parts, escape(text[end:])))


def link(url: str, text: str = "") -> str | None:
    """``<url|text>``, or None for an address that nobody should click: not http or https, or far too long."""
    url = clean(url).strip()
    escaped = escape(_BREAKS_LINK.sub(lambda match: quote(match[0], safe=""), url))
    if not _WEB_ADDRESS.match(url) or len(escaped) > MAX_URL:
        return None
    label = escape(one_line(text))
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


def plain(escaped: str) -> str:
    """ASCII only, for when Slack refuses everything else: other signs become question marks."""
    return escaped.replace("—", "-").replace("…", "...").encode("ascii", "replace").decode("ascii")
