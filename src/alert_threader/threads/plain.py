"""Text without what cannot be shown: control characters, terminal colours, line breaks where there is one line."""

import re

#: Control characters but tab and newline, halves of surrogate pairs, non-characters, and the marks that turn
#: the direction of the text around them: refused or misread by Slack, and of no use in an alert.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
#: Terminal colours and other control sequences (ECMA-48, 5.4): without the first sign the rest of one would be shown.
_TERMINAL = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")


def clean(text: str) -> str:
    """The text without what cannot be shown; lines end in a newline only."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub("", _LINE_BREAK.sub("\n", _TERMINAL.sub("", text)))


def one_line(text: str) -> str:
    """The text on one line: for a label, a title, or anything that has a line to itself."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(clean(text).split())
