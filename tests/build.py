"""Alerts, notifications and threads for tests: what a test does not name has a value that is right.

The one place where tests make them, so that a field which is added is added once. Webhooks as they are sent, in JSON,
are made by ``harness/webhooks.py``.
"""

from typing import Any

from alert_threader.alertmanager.webhook import Alert, Notification, Status
from alert_threader.threads import AlertThread, Change

NOW = 1_800_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
CHANNEL = "C0000001"
KEY = "k"


def alert(name: str = "a", status: str = "firing", **fields: Any) -> Alert:
    """An alert that is known by its name: its fingerprint, and its instance."""
    values: dict[str, Any] = {
        "status": Status(status),
        "fingerprint": name,
        "labels": {"alertname": "Down", "severity": "critical", "instance": name},
        "annotations": {},
        "starts_at": NOW,
        "ends_at": None,
        "links": {},
        "values": "",
    }
    return Alert(**{**values, **fields})


def described(description: str, name: str = "a", status: str = "firing") -> Alert:
    """An alert that says this at length."""
    return alert(name, status, annotations={"description": description})


def change(*alerts: Alert, **fields: Any) -> Change:
    """What a notification with these alerts says about one thread."""
    return Change(**{"key": KEY, "channel": CHANNEL, "alerts": alerts or (alert(),), **fields})


def notification(*alerts: Alert, **fields: Any) -> Notification:
    """A notification of one group with these alerts."""
    values: dict[str, Any] = {
        "receiver": "slack",
        "alerts": alerts or (alert(),),
        "group_key": '{}:{alertname="A"}',
        "group_labels": {"alertname": "A"},
        "external_url": "",
        "truncated": 0,
        "reason": "",
    }
    return Notification(**{**values, **fields})


def thread(key: str = KEY, ts: str | None = "1.0", **fields: Any) -> AlertThread:
    """A thread without alerts, as an installation before version 2 leaves it."""
    return AlertThread(
        **{"key": key, "channel": CHANNEL, "ts": ts, "opened_at": NOW, "changed_at": NOW, "seen_at": NOW, **fields}
    )
