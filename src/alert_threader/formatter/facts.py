"""What a thread's record says, read for people: which alerts, what they share, since when, how bad."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite

from alert_threader.formatter.mrkdwn import one_line, unmarked
from alert_threader.threads import AlertState, AlertThread

_GREEN = "#2EB67D"
#: Neither good nor bad: a severity that we do not know, and a thread that nobody has heard of for days.
_GREY = "#868686"
_COLOURS = {
    "critical": "#E01E5A",
    "error": "#E01E5A",
    "warning": "#ECB22E",
    "info": _GREEN,
    "success": _GREEN,
    "debug": "#36C5F0",
}
_EMOJI = {"critical": "🚨", "error": "❌", "warning": "⚠️", "info": "ℹ️", "success": "✅", "debug": "🐛"}
_OTHER_EMOJI = "📢"
#: The annotation in which Grafana says why an alert's state changed, and its words
#: (https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/).
_REASON = "grafana_state_reason"
#: Annotations that are shown elsewhere, and Grafana's own, which nobody is meant to read.
_HAS_A_PLACE = re.compile(
    "summary|title|description|message|runbook(_url)?|dashboard(_url)?|grafana_state_reason|__.*__", re.IGNORECASE
)
_REASONS = {
    "MissingSeries": "the series is gone",
    "NoData": "there is no data",
    "Error": "the rule cannot be evaluated",
    "Paused": "the rule was paused",
    "Updated": "the rule was changed",
    "RuleDeleted": "the rule was deleted",
}


def fires(alert: AlertState) -> bool:
    """Whether the alert fires."""
    return alert.status == "firing"


def title(thread: AlertThread) -> str:
    """The thread's title on one line, never empty."""
    return unmarked(thread.title) or "Alert"


def emoji(thread: AlertThread) -> str:
    """The sign of the thread's severity."""
    return _EMOJI.get(thread.severity_level, _OTHER_EMOJI)


def sign(thread: AlertThread) -> str:
    """What a root begins with, so that its state can be read without its colour."""
    if thread.state == "firing":
        return f"{emoji(thread)} "
    return "✅ RESOLVED — " if thread.state == "resolved" else "💤 STALE — "


def severity(thread: AlertThread) -> str:
    """The severity as its sender wrote it: in capitals where it is known to be one, empty where none was given."""
    given = one_line(thread.severity)
    return given.upper() if thread.severity_level else given


def colour(thread: AlertThread, state: str) -> str:
    """The colour of a message that speaks of this state: firing, resolved or stale."""
    if state == "resolved":
        return _GREEN
    return _GREY if state == "stale" else _COLOURS.get(thread.severity_level, _GREY)


def in_order(thread: AlertThread) -> list[AlertState]:
    """The thread's alerts, the firing ones first. ``threads.plan.root_digest`` follows the same order."""
    return sorted(thread.alerts.values(), key=lambda alert: not fires(alert))


def total(thread: AlertThread) -> int:
    """How many alerts the thread has had, those included of which only the number is kept."""
    return len(thread.alerts) + thread.forgotten


def shared_labels(thread: AlertThread) -> dict[str, str]:
    """The labels that all alerts have in common, as far as their details are kept."""
    detailed = [alert.labels for alert in thread.alerts.values() if alert.labels]
    if not detailed:
        return {}
    first, *others = detailed
    return {name: value for name, value in first.items() if all(o.get(name) == value for o in others)}


def annotation(annotations: Mapping[str, str], *names: str) -> str:
    """The first of these annotations that says anything, in whatever case its name is written; else empty."""
    said = {name.lower(): text for name, text in annotations.items() if text.strip()}
    return next((said[name] for name in names if name in said), "")


def shared_annotation(thread: AlertThread, *names: str) -> str:
    """The first of these annotations that all alerts have in common, or an empty text."""
    return _shared(thread, lambda alert: [annotation(alert.annotations, name) for name in names])


def other_annotations(thread: AlertThread) -> dict[str, str]:
    """The annotations that all alerts have in common and that have no place of their own in a message."""
    detailed = [alert.annotations for alert in thread.alerts.values() if alert.labels or alert.annotations]
    return {
        name: text
        for name, text in (detailed[0].items() if detailed else ())
        if text.strip() and not _HAS_A_PLACE.fullmatch(name) and all(said.get(name) == text for said in detailed)
    }


def shared_link(thread: AlertThread, name: str) -> str:
    """The address of this name that all alerts have in common, or an empty text."""
    return _shared(thread, lambda alert: [alert.links.get(name, "")])


def shared_values(thread: AlertThread) -> str:
    """The measured values (Grafana's) where all alerts have the same, or an empty text."""
    return _shared(thread, lambda alert: [alert.values])


def is_grafana(thread: AlertThread) -> bool:
    """Whether the alerts come from Grafana, whose pages have other addresses than Alertmanager's."""
    return any("silence" in alert.links or "panel" in alert.links for alert in thread.alerts.values())


def tell_apart(alerts: Sequence[AlertState]) -> list[tuple[str, str]]:
    """Each alert's name, and the labels that tell it from others of the same name (``namespace=a``), if any."""
    names = [one_line(alert.name) or one_line(alert.labels.get("alertname", "")) or "alert" for alert in alerts]
    common = Counter(names)
    return [
        (name, _differences(alert, [a for a, n in zip(alerts, names, strict=True) if n == name]))
        if common[name] > 1
        else (name, "")
        for alert, name in zip(alerts, names, strict=True)
    ]


def ended_because(alert: AlertState) -> str:
    """Why a resolved alert ended, where Grafana says so: ``the series is gone (MissingSeries)``; else empty."""
    reason = one_line(alert.annotations.get(_REASON) or alert.ended_with.get(_REASON) or "")
    if not reason or fires(alert):
        return ""
    return f"{_REASONS[reason]} ({reason})" if reason in _REASONS else reason


def find_name(name: str, text: str) -> re.Match[str] | None:
    """Where a text says an alert's name, as a whole and not as a part of another name."""
    return re.search(rf"(?<![\w.:/-]){re.escape(name)}(?![\w:/-]|\.\w)", text)


def moment(at: float) -> str:
    """A time as people read it, ``2024-01-15 14:30:25 UTC``, or an empty text where there is none."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
    except (ValueError, OverflowError, OSError):
        return ""


def lasting(seconds: float) -> str:
    """A duration as people say it, in its two largest units: ``45s``, ``15m 5s``, ``2h 3m``, ``3d 4h``."""
    rest = int(seconds) if isfinite(seconds) and seconds > 0 else 0
    amounts = (rest // 86_400, rest // 3600 % 24, rest // 60 % 60, rest % 60)
    largest = next((i for i, amount in enumerate(amounts) if amount), 3)
    first, *others = [f"{n}{unit}" for n, unit in zip(amounts, "dhms", strict=True)][largest : largest + 2]
    return " ".join((first, *(other for other in others if not other.startswith("0"))))


def _shared(thread: AlertThread, read: Callable[[AlertState], Iterable[str]]) -> str:
    detailed = [alert for alert in thread.alerts.values() if alert.labels or alert.annotations]
    for candidates in zip(*(read(alert) for alert in detailed), strict=True):
        if candidates[0] and len(set(candidates)) == 1:
            return str(candidates[0])
    return ""


def _differences(alert: AlertState, namesakes: Sequence[AlertState]) -> str:
    differing = [
        name for name in alert.labels if any(other.labels.get(name) != alert.labels[name] for other in namesakes)
    ]
    return ", ".join(f"{name}={alert.labels[name]}" for name in differing[:2])
