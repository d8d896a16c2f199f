"""The form for a silence, and what it says of the alerts that it would silence.

https://docs.slack.dev/surfaces/modals
"""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from alert_threader.formatter.mrkdwn import bold, escape, truncate
from alert_threader.formatter.text_objects import Block, mrkdwn_text, plain_text
from alert_threader.formatter.words import Words
from alert_threader.threads import one_line

#: The names of the form and of its inputs, by which a submission is read.
SILENCE_FORM = "silence"
DURATION, REASON, OPTIONS = "duration", "reason", "options"
EACH_ALERT, WITH_PROBLEM = "each_alert", "with_problem"
#: https://docs.slack.dev/reference/views/modal-views
_MAX_TITLE = 24
#: How many matchers are shown, and how much of each, in characters.
_MAX_SHOWN = 15
_MAX_MATCHER = 120
#: The thread's title, in characters.
_MAX_SUBJECT = 300


class FormFault(StrEnum):
    """What is wrong with what somebody has filled in."""

    BAD_DURATION = "bad_duration"
    TOO_LONG = "too_long"
    NO_REASON = "no_reason"


_FAULTS = {
    FormFault.BAD_DURATION: (DURATION, "form_bad_duration"),
    FormFault.TOO_LONG: (DURATION, "form_too_long"),
    FormFault.NO_REASON: (REASON, "form_no_reason"),
}


class Matching(NamedTuple):
    """How many firing alerts matchers match, and how many of them are not in the thread."""

    alerts: int
    others: int


def silence_form(
    words: Words, about: str, title: str, matchers: dict[str, str], longest: str, matching: Matching | str | None
) -> Block:
    """The form. ``about`` comes back with it; ``matching`` is None while it is counted, a text where it cannot be."""
    # A code span ends with its first backtick.
    written = [f"{name}={value}".replace("`", "'") for name, value in matchers.items()]
    shown = [f"`{truncate(escape(each), _MAX_MATCHER)}`" for each in written]
    subject = truncate(escape(one_line(title)), _MAX_SUBJECT)
    more = [f"+{len(shown) - _MAX_SHOWN}"] if len(shown) > _MAX_SHOWN else []
    return {
        "type": "modal",
        "callback_id": SILENCE_FORM,
        "private_metadata": about,
        "title": plain_text(truncate(words.silence, _MAX_TITLE)),
        "submit": plain_text(truncate(words.silence, _MAX_TITLE)),
        "close": plain_text(truncate(words.form_cancel, _MAX_TITLE)),
        "blocks": [
            _section(f"{bold(subject)}\n{' '.join([*shown[:_MAX_SHOWN], *more])}"),
            _section(_preview(words, matching)),
            _input(DURATION, words.form_duration.format(longest=longest), words.form_duration_hint),
            _input(REASON, words.form_reason, words.form_reason_hint),
            _choices(words),
        ],
    }


def form_faults(faults: Collection[FormFault], words: Words, longest: str) -> dict[str, str]:
    """What is said at the inputs that are wrong, by the input's name. ``longest`` is the longest silence, in words."""
    found = [(_FAULTS[fault][0], getattr(words, _FAULTS[fault][1])) for fault in faults]
    return {name: text.format(longest=longest) for name, text in found}


def _preview(words: Words, matching: Matching | str | None) -> str:
    if matching is None:
        return words.form_counting
    if isinstance(matching, str):
        return words.form_not_counted.format(reason=escape(matching))
    if matching.others:
        return words.form_matching_others.format(count=matching.alerts, others=matching.others)
    if matching.alerts == 1:
        return words.form_matching_one
    return words.form_matching.format(count=matching.alerts)


def _section(text: str) -> Block:
    return {"type": "section", "text": mrkdwn_text(text)}


def _input(name: str, label: str, hint: str) -> Block:
    return {
        "type": "input",
        "block_id": name,
        "label": plain_text(label),
        "element": {
            "type": "plain_text_input",
            "action_id": name,
            "placeholder": plain_text(hint),
            "max_length": 20 if name == DURATION else 300,
        },
    }


def _choices(words: Words) -> Block:
    choices = ((EACH_ALERT, words.form_each_alert), (WITH_PROBLEM, words.form_with_problem))
    return {
        "type": "input",
        "block_id": OPTIONS,
        "optional": True,
        "label": plain_text(words.form_options),
        "element": {
            "type": "checkboxes",
            "action_id": OPTIONS,
            "options": [{"text": plain_text(text), "value": value} for value, text in choices],
        },
    }
