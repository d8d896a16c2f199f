"""The line that answers a press. Only the person who pressed sees it."""

from enum import StrEnum

from alert_threader.formatter.words import Words
from alert_threader.threads import Verdict


class RefusedPress(StrEnum):
    """Why a press was refused before it reached its thread."""

    NOT_ALLOWED = "not_allowed"
    OTHER_WORKSPACE = "other_workspace"
    #: The form that it asked for could not be opened.
    NO_FORM = "no_form"


_WORDS = {
    Verdict.ACKNOWLEDGED: "press_acknowledged",
    Verdict.UNACKNOWLEDGED: "press_unacknowledged",
    Verdict.SILENCING: "press_silencing",
    Verdict.EXTENDING: "press_extending",
    Verdict.UNSILENCING: "press_unsilencing",
    Verdict.DUPLICATE: "press_duplicate",
    Verdict.UNCHANGED: "press_unchanged",
    Verdict.OUT_OF_DATE: "press_out_of_date",
    Verdict.NOT_YET: "press_not_yet",
    Verdict.OVER: "press_over",
    Verdict.BUSY: "press_busy",
    Verdict.NOT_HELD: "press_not_held",
    Verdict.NO_MATCHERS: "press_no_matchers",
    Verdict.TOO_MANY: "press_too_many",
    Verdict.TOO_LONG: "press_too_long",
    RefusedPress.NOT_ALLOWED: "press_not_allowed",
    RefusedPress.OTHER_WORKSPACE: "press_other_workspace",
    RefusedPress.NO_FORM: "press_no_form",
}


def answer_to(verdict: Verdict | RefusedPress, words: Words) -> str:
    """The line that answers a press."""
    line: str = getattr(words, _WORDS[verdict])
    return line


def silence_comment(words: Words, comment: str, link: str, tag: str) -> str:
    """What a silence says of itself in Alertmanager: why, where to read on, and the tag that it is found by."""
    return " ".join(filter(None, (comment or words.silenced_from_slack, link, f"[alert-threader {tag}]")))
