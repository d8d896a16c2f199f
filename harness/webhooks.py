"""Webhooks as Alertmanager sends them, made from little: a name, and which of its alerts fire."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from alert_threader.alertmanager.webhook import fingerprint

FIRED, RESOLVED = "fired", "resolved"
_STATUS = {FIRED: "firing", RESOLVED: "resolved"}
_ZERO = "0001-01-01T00:00:00Z"
_STARTED = "2026-01-15T14:30:25Z"


def labels(name: str, instance: str = "db01", severity: str = "critical") -> dict[str, str]:
    """The labels of an alert. All instances of a name are one thread."""
    return {
        "alertname": name,
        "severity": severity,
        "service": "database",
        "cluster": "production",
        "instance": instance,
    }


def key(name: str, severity: str = "critical") -> str:
    """The key of a name's thread."""
    return f"{name}|{severity}|database|production|production"


def print_of(name: str, instance: str = "db01", severity: str = "critical") -> str:
    """The fingerprint of an alert."""
    return fingerprint(labels(name, instance, severity))


def webhook(
    name: str, states: Mapping[str, str] | None = None, severity: str = "critical", **annotations: str
) -> dict[str, Any]:
    """A group's notification; ``states`` is what happened to each instance, by default that "db01" fired."""
    states = states or {"db01": FIRED}
    firing = FIRED in states.values()
    return {
        "version": "4",
        "receiver": "slack",
        "status": "firing" if firing else "resolved",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "groupLabels": {"alertname": name},
        "commonLabels": {"alertname": name},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.test:9093",
        "truncatedAlerts": 0,
        "alerts": [alert(name, instance, state, severity, **annotations) for instance, state in states.items()],
    }


def alert(
    name: str, instance: str, state: str = FIRED, severity: str = "critical", **annotations: str
) -> dict[str, Any]:
    """One alert of a notification."""
    ended = datetime.now(UTC).isoformat() if state == RESOLVED else _ZERO
    return {
        "status": _STATUS[state],
        "labels": labels(name, instance, severity),
        "annotations": annotations or {"summary": f"{name} on {instance}"},
        "startsAt": _STARTED,
        "endsAt": ended,
        "generatorURL": "http://prometheus.example.test:9090/graph",
        "fingerprint": print_of(name, instance, severity),
    }
