"""Alerts that were said to be over, and that Alertmanager still holds, or holds again.

A resolution can be sent for an alert that is only muted (Alertmanager's ``mute_action``). And one that ended while it
was muted, and fires again, is not sent until ``repeat_interval`` has passed: Alertmanager remembers the first firing.
"""

import msgspec

from alert_threader.alertmanager.model import HeldAlert
from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import Gone
from alert_threader.threads.notification import fire_alerts
from alert_threader.threads.plan import Policy
from alert_threader.threads.record import AlertState, AlertThread
from alert_threader.threads.views import View, belongs_to

#: How long after the end of an alert a view that still has it is not believed, in seconds: a member may not have heard
#: of the end yet.
_LAG = 60.0


def refire(thread: AlertThread, view: View, now: float, policy: Policy) -> bool:
    """Fire resolved alerts again that Alertmanager holds; change the given record. Returns whether there were any.

    This concerns alerts that are seen muted, and those that a poll found gone: what a notification resolved, only a
    notification fires again. A muted alert fires without a reply.
    """
    if thread.closed_at is not None or view.at <= thread.changed_at + _LAG:
        return False
    if thread.resolved_at is not None and now >= thread.resolved_at + policy.reopen_window:
        return False
    back = {
        name: (_firing(alert, seen), seen.is_muted)
        for name, alert in thread.alerts.items()
        if alert.status is Status.RESOLVED
        and (seen := view.alerts.get(name)) is not None
        and belongs_to(view, thread, name, alert)
        and (seen.is_muted or alert.gone not in ("", Gone.CONFIRMED))
    }
    if back:
        loud = [name for name, (_, is_muted) in back.items() if not is_muted]
        fire_alerts(thread, {name: state for name, (state, _) in back.items()}, loud, now, policy)
    return bool(back)


def _firing(alert: AlertState, seen: HeldAlert) -> AlertState:
    return msgspec.structs.replace(
        alert,
        status=Status.FIRING,
        starts_at=seen.starts_at or alert.starts_at,
        ends_at=None,
        ended_with={},
        ended_left_out=0,
        ended_values="",
        gone="",
    )
