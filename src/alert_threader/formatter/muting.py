"""Which of a thread's firing alerts Alertmanager sends nothing for, and why."""

from collections.abc import Mapping
from enum import StrEnum

from alert_threader.formatter import facts
from alert_threader.threads import AlertState, AlertThread, covers


class Cause(StrEnum):
    """Why an alert is muted, or all that fires: the first that holds. It is also the state of such a thread."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"
    #: By time intervals; of several alerts also by different causes.
    MUTED = "muted"


def causes(thread: AlertThread) -> dict[str, Cause]:
    """The cause for each muted firing alert, by fingerprint."""
    alerts = thread.alerts
    # A thread can have thousands of alerts, and hardly ever one that is muted.
    if not thread.silences and [alert.mute for alert in alerts.values()].count(None) == len(alerts):
        return {}
    found = {name: _cause(thread, name, alert) for name, alert in alerts.items() if facts.fires(alert)}
    return {name: cause for name, cause in found.items() if cause is not None}


def _cause(thread: AlertThread, fingerprint: str, alert: AlertState) -> Cause | None:
    mute = alert.mute
    if (mute and mute.silenced_by) or any(covers(each, fingerprint, alert) for each in thread.silences):
        return Cause.SILENCED
    if mute is None:
        return None
    return Cause.INHIBITED if mute.inhibited_by else Cause.MUTED


def state_of(thread: AlertThread, muted: Mapping[str, Cause]) -> str:
    """Of several states the first that holds: resolved, stale, the cause why all that fires is muted, acknowledged."""
    if thread.state != "firing":
        return thread.state
    if muted and len(muted) == thread.firing:
        different = set(muted.values())
        return different.pop() if len(different) == 1 else Cause.MUTED
    return "acknowledged" if thread.acknowledgement else "firing"
