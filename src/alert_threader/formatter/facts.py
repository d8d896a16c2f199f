"""What single values mean to people: a severity's sign and colour, an alert's annotations, a time, a duration."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

import msgspec

from alert_threader.formatter.words import Words
from alert_threader.threads import STATE_REASON, AlertState, Gone, one_line

GREEN = "#2EB67D"
#: Neither good nor bad: a severity that we do not know, and a thread that nobody has heard of for days.
GREY = "#868686"
_COLOURS = {
    "critical": "#E01E5A",
    "error": "#E01E5A",
    "warning": "#ECB22E",
    "info": GREEN,
    "success": GREEN,
    "debug": "#36C5F0",
}
_EMOJI = {"critical": "🚨", "error": "❌", "warning": "⚠️", "info": "ℹ️", "success": "✅", "debug": "🐛"}
_OTHER_EMOJI = "📢"
#: Grafana's words for why an alert is in the state it is in
#: (https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/).
_REASONS = {
    "MissingSeries": "missing_series",
    "NoData": "no_data",
    "Error": "error",
    "Paused": "paused",
    "Updated": "updated",
    "RuleDeleted": "rule_deleted",
}
#: How an alert ended without a notification: the words beside its name, and those for all alerts of a message.
_GONE = {
    Gone.WHILE_SILENCED: ("gone_silenced", "all_gone_silenced"),
    Gone.WHILE_INHIBITED: ("gone_inhibited", "all_gone_inhibited"),
    Gone.WHILE_MUTED: ("gone_muted", "all_gone_muted"),
    Gone.UNANNOUNCED: ("gone_unannounced", "all_gone_unannounced"),
}
#: The annotation in which Grafana says what went wrong when it could not evaluate a rule.
_ERROR = "error"
#: A shorter name is not looked for in a text, in characters.
_LEAST_NAME = 2
_NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?")
_AFTER_NAME = r"(?![A-Za-z0-9_/-]|[.:][A-Za-z0-9])"
#: The annotations that have a place of their own, in any case, and which comes first of those for one place.
_PLACES = {
    "summary": ("summary", 0),
    "title": ("summary", 1),
    "description": ("description", 0),
    "message": ("description", 1),
    "runbook_url": ("runbook", 0),
    "runbookurl": ("runbook", 1),
    "runbook": ("runbook", 2),
    "dashboard_url": ("dashboard", 0),
    "dashboardurl": ("dashboard", 1),
    "dashboard": ("dashboard", 2),
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says of itself: the annotations that have a place of their own, and the others by name."""

    summary: str = ""
    description: str = ""
    runbook: str = ""
    dashboard: str = ""
    others: dict[str, str] = {}


def said(annotations: Mapping[str, str]) -> Said:
    """Read annotations. One that has no text, or is only meant for Grafana itself (``__…__``), says nothing."""
    placed: dict[str, str] = {}
    ranks: dict[str, tuple[int, str]] = {}
    others: dict[str, str] = {}
    for name, text in annotations.items():
        if not text or text.isspace() or (name.startswith("__") and name.endswith("__")) or name == STATE_REASON:
            continue
        place, rank = _PLACES.get(name.lower(), ("", 0))
        if not place:
            others[name] = text
        elif place not in ranks or rank < ranks[place][0]:
            if place in ranks:
                others[ranks[place][1]] = placed[place]
            placed[place], ranks[place] = text, (rank, name)
        else:
            others[name] = text
    if STATE_REASON in annotations and "description" not in placed:
        error = next((name for name in others if name.lower() == _ERROR), "")
        placed |= {"description": others.pop(error)} if error else {}
    # The same text under another name is not shown twice.
    summary, description = placed.get("summary", ""), placed.get("description", "")
    if description == summary:
        placed.pop("description", None)
    if others:
        others = {name: text for name, text in others.items() if text not in (summary, description)}
    return Said(**placed, others=others)


def fires(alert: AlertState) -> bool:
    """Whether the alert fires."""
    return alert.status == "firing"


def emoji(level: str) -> str:
    """The sign of a severity's level."""
    return _EMOJI.get(level, _OTHER_EMOJI)


def colour(level: str) -> str:
    """The colour of a severity's level."""
    return _COLOURS.get(level, GREY)


def state_reason(alert: AlertState, words: Words) -> str:
    """Why an alert fires or ended, where Grafana says so: ``the series is gone (MissingSeries)``; else empty."""
    said = (alert.annotations if fires(alert) else alert.ended_with).get(STATE_REASON)
    reason = one_line(said) if said else ""
    if not reason:
        return ""
    return f"{getattr(words, _REASONS[reason])} ({reason})" if reason in _REASONS else reason


def gone(alert: AlertState, words: Words) -> str:
    """How an alert ended without a notification, to stand beside its name; else empty."""
    return getattr(words, _GONE[Gone(alert.gone)][0]) if alert.gone in _GONE and not fires(alert) else ""


def all_gone(alert: AlertState, words: Words) -> str:
    """The same as a line that speaks of all alerts of a message."""
    return getattr(words, _GONE[Gone(alert.gone)][1]) if alert.gone in _GONE and not fires(alert) else ""


def has_late_words(alert: AlertState) -> bool:
    """Whether an alert's resolution came after the reply that said it had ended: only the root can say its words."""
    return alert.gone == Gone.CONFIRMED and not fires(alert)


def find_name(name: str, text: str) -> re.Match[str] | None:
    """Where a text says an alert's name, as a whole and not as a part of another name.

    A number, or a single letter, can mean anything. A namespace may stand before it (``shop/api-0``), a colon or a
    Korean particle behind it.
    """
    if len(name) < _LEAST_NAME or _NUMBER.fullmatch(name):
        return None
    return re.search(rf"(?<![A-Za-z0-9_.:-]){re.escape(name)}{_AFTER_NAME}", text)


def find_value(name: str, text: str) -> re.Match[str] | None:
    """Where a text says the value of a name like ``queue=orders`` behind the label; group 1 is the value."""
    label, _, value = name.partition("=")
    if not value:
        return None
    return re.search(rf"(?i:(?<!\w){re.escape(label)})[\W_]{{1,3}}({re.escape(value)}){_AFTER_NAME}", text)


def moment(at: float) -> str:
    """A time as people read it, ``2024-01-15 14:30:25 UTC``, or an empty text where there is none."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
    except (ValueError, OverflowError, OSError):
        return ""


def clock(at: float, beside: float) -> str:
    """A time to the minute, ``14:30 UTC``; with its date where ``beside``, which is shown too, has another one."""
    try:
        when, other = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(beside, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return when.strftime("%H:%M UTC" if when.date() == other.date() else "%Y-%m-%d %H:%M UTC")


def between(began: float, ended: float) -> int:
    """The seconds between two moments as they are written, without fractions; 0 where one of them is none."""
    return int(ended) - int(began) if isfinite(began) and isfinite(ended) else 0


def lasting(seconds: float, words: Words) -> str:
    """A duration as people say it, in its two largest units: ``45s``, ``15m 5s``, ``2h 3m``, ``3d 4h``."""
    rest = int(seconds) if isfinite(seconds) and seconds > 0 else 0
    amounts = (rest // 86_400, rest // 3600 % 24, rest // 60 % 60, rest % 60)
    units = (words.days, words.hours, words.minutes, words.seconds)
    largest = next((i for i, amount in enumerate(amounts) if amount), 3)
    parts = list(zip(amounts, units, strict=True))[largest : largest + 2]
    first, *others = [unit.format(count=amount) for amount, unit in parts if amount or unit is units[largest]]
    return " ".join((first, *others))
