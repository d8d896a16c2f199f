"""A webhook as Alertmanager writes it: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alert_threader.alertmanager.webhook import fingerprint

#: Whom the alerts are for.
RECEIVER = "alert-threader"
#: Go's zero time: the alert has not ended.
_NOT_ENDED = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAlert:
    """One alert; times are seconds since the epoch, ``ended`` is None while it fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started: float
    ended: float | None = None
    generator_url: str = ""


def notification(alerts: Sequence[SentAlert], group_by: Sequence[str], external_url: str) -> dict[str, Any]:
    """The webhook about a group of alerts, which share the labels of ``group_by``."""
    group = {name: alerts[0].labels[name] for name in sorted(group_by)}
    matchers = ", ".join(f'{name}="{value}"' for name, value in group.items())
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{matchers}}}",
        "truncatedAlerts": 0,
        "status": "firing" if any(alert.ended is None for alert in alerts) else "resolved",
        "receiver": RECEIVER,
        "groupLabels": group,
        "commonLabels": _common(alert.labels for alert in alerts),
        "commonAnnotations": _common(alert.annotations for alert in alerts),
        "externalURL": external_url,
        "alerts": [_alert(alert) for alert in alerts],
    }


def _alert(alert: SentAlert) -> dict[str, Any]:
    return {
        "status": "firing" if alert.ended is None else "resolved",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _time(alert.started),
        "endsAt": _NOT_ENDED if alert.ended is None else _time(alert.ended),
        "generatorURL": alert.generator_url,
        "fingerprint": fingerprint(alert.labels),
    }


def _common(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = maps
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
