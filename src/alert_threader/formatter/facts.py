"""What single values mean to people: a severity's sign and colour, an alert's annotations, a time, a duration."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

import msgspec

from alert_threader.formatter.mrkdwn import one_line
from alert_threader.formatter.words import Words
from alert_threader.threads import AlertState

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
#: The annotation in which Grafana says why an alert's state changed, and its words
#: (https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/).
_REASON = "grafana_state_reason"
_REASONS = {
    "MissingSeries": "missing_series",
    "NoData": "no_data",
    "Error": "error",
    "Paused": "paused",
    "Updated": "updated",
    "RuleDeleted": "rule_deleted",
}
#: The annotation in which Grafana says what went wrong when it could not evaluate a rule.
_ERROR = "error"
#: Annotations that a sender means for itself.
_INTERNAL = re.compile(r"__.*__")
#: The annotations that have a place of their own, in any case; of those for one place the first that says anything.
_PLACES = {
    "summary": ("summary", "title"),
    "description": ("description", "message"),
    "runbook": ("runbook_url", "runbook"),
    "dashboard": ("dashboard_url", "dashboard"),
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says of itself: the annotations that have a place of their own, and the others by name."""

    summary: str = ""
    description: str = ""
    runbook: str = ""
    dashboard: str = ""
    others: dict[str, str] = {}


def said(annotations: Mapping[str, str]) -> Said:
    """Read annotations. One that has no text, or is only meant for Grafana itself, says nothing."""
    texts = {name: text for name, text in annotations.items() if text.strip() and not _INTERNAL.fullmatch(name)}
    by_name: dict[str, str] = {}
    for name in texts:
        by_name.setdefault(name.lower(), name)
    reason = by_name.get(_REASON, "")
    placed = {place: next((by_name[name] for name in names if name in by_name), "") for place, names in _PLACES.items()}
    if reason and not placed["description"]:
        placed["description"] = by_name.get(_ERROR, "")
    others = {name: text for name, text in texts.items() if name != reason and name not in placed.values()}
    return Said(**{place: texts.get(name, "") for place, name in placed.items()}, others=others)


def fires(alert: AlertState) -> bool:
    """Whether the alert fires."""
    return alert.status == "firing"


def emoji(level: str) -> str:
    """The sign of a severity's level."""
    return _EMOJI.get(level, _OTHER_EMOJI)


def colour(level: str) -> str:
    """The colour of a severity's level."""
    return _COLOURS.get(level, GREY)


def ended_because(alert: AlertState, words: Words) -> str:
    """Why a resolved alert ended, where Grafana says so: ``the series is gone (MissingSeries)``; else empty."""
    reason = one_line(alert.annotations.get(_REASON) or alert.ended_with.get(_REASON) or "")
    if not reason or fires(alert):
        return ""
    return f"{getattr(words, _REASONS[reason])} ({reason})" if reason in _REASONS else reason


def find_name(name: str, text: str) -> re.Match[str] | None:
    """Where a text says an alert's name, as a whole and not as a part of another name."""
    return re.search(rf"(?<![\w.:/-]){re.escape(name)}(?![\w:/-]|\.\w)", text)


def moment(at: float) -> str:
    """A time as people read it, ``2024-01-15 14:30:25 UTC``, or an empty text where there is none."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
    except (ValueError, OverflowError, OSError):
        return ""


def lasting(seconds: float, words: Words) -> str:
    """A duration as people say it, in its two largest units: ``45s``, ``15m 5s``, ``2h 3m``, ``3d 4h``."""
    rest = int(seconds) if isfinite(seconds) and seconds > 0 else 0
    amounts = (rest // 86_400, rest // 3600 % 24, rest // 60 % 60, rest % 60)
    units = (words.days, words.hours, words.minutes, words.seconds)
    largest = next((i for i, amount in enumerate(amounts) if amount), 3)
    parts = list(zip(amounts, units, strict=True))[largest : largest + 2]
    first, *others = [unit.format(count=amount) for amount, unit in parts if amount or unit is units[largest]]
    return " ".join((first, *others))
