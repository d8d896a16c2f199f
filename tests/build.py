"""Alerts, notifications and threads for tests: what a test does not name has a value that is right.

The one place where tests make them, so that a field which is added is added once. Webhooks as they are sent, in JSON,
are made by ``harness/webhooks.py``.
"""

from typing import Any

from alert_threader.alertmanager.model import HeldAlert, KnownSilence, SilenceState
from alert_threader.alertmanager.webhook import Alert, Notification, Status
from alert_threader.threads import AlertThread, Change, View

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


def held(*names: str, **fields: Any) -> dict[str, HeldAlert]:
    """Alerts as Alertmanager holds them, by fingerprint; ``silenced_by`` and the like mute them."""
    is_muted = not {"silenced_by", "inhibited_by", "muted_by"}.isdisjoint(fields)
    values: dict[str, Any] = {"labels": {}, "state": "suppressed" if is_muted else "active", **fields}
    return {name: HeldAlert(fingerprint=name, **values) for name in names}


def known_silence(name: str = "s1", *, holds: bool = True, ends_at: float = NOW + HOUR, **fields: Any) -> KnownSilence:
    """A silence as Alertmanager has it."""
    state = SilenceState.ACTIVE if holds else SilenceState.EXPIRED
    values: dict[str, Any] = {"matchers": (), "starts_at": "", "created_by": "lee", **fields}
    return KnownSilence(id=name, state=state, ends_at=ends_at, **values)


def view(alerts: dict[str, HeldAlert], *silences: KnownSilence, at: float = NOW + 100, **fields: Any) -> View:
    """What a whole cluster, ``am``, held at a time."""
    values: dict[str, Any] = {"cluster": "am", "complete": True, "settled": True, **fields}
    return View(at=at, alerts=alerts, silences={silence.id: silence for silence in silences}, **values)
