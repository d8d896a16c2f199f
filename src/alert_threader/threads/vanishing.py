"""Alerts that are not in Alertmanager any more, although no notification said that they are over.

Alertmanager sends no resolution for an alert that ends while it is muted. It also drops an alert as soon as it ends,
while its notification waits for the next flush of its group: so absence means something only after a while.
"""

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import Gone
from alert_threader.threads.notes import changed
from alert_threader.threads.notification import end_alerts
from alert_threader.threads.plan import Policy
from alert_threader.threads.record import AlertState, AlertThread
from alert_threader.threads.silencing import covers
from alert_threader.threads.views import View, belongs_to

#: In how many complete views an alert must be missing.
LEAST_MISSED = 3
#: How often it is stored at most that the thread's alerts are still there, in seconds.
_CONFIRMED_EVERY = 60 * 60.0


def resolve_gone(thread: AlertThread, view: View, now: float, policy: Policy) -> bool:
    """Resolve what complete views have lacked for long enough; change the given record.

    Returns whether anything is new.
    """
    if thread.closed_at is not None:
        return False
    firing = thread.firing_alerts
    counted = {name: _counted(thread, name, alert, view) for name, alert in firing.items()}
    over = {name: alert for name, alert in counted.items() if _is_over(name, alert, view)}
    fresh = {name: alert for name, alert in counted.items() if alert is not firing[name] and name not in over}
    if fresh:
        thread.alerts = thread.alerts | fresh
    if over:
        end_alerts(thread, {name: _ended(thread, name, alert) for name, alert in over.items()}, now, policy)
    is_seen = any(name in view.alerts and belongs_to(view, thread, name, alert) for name, alert in counted.items())
    return _record_seen(thread, now, policy, is_seen=is_seen) or bool(fresh) or bool(over)


def _counted(thread: AlertThread, name: str, alert: AlertState, view: View) -> AlertState:
    """The alert after one view more; the alert itself if nothing is new."""
    if name in view.alerts:
        # Another cluster may have it.
        back = msgspec.structs.replace(alert, missed=0, missing_since=0.0, cluster=view.cluster)
        return back if alert.missed else alert
    if not view.complete:
        return alert
    if alert.sought and view.complete_since <= thread.changed_at:
        # The first look after it fired would have shown it: it is another cluster's, or ended before that look.
        return msgspec.structs.replace(alert, sought=False)
    if not belongs_to(view, thread, name, alert):
        return alert
    missed = _missed(thread, name, alert, view)
    return alert if missed == alert else missed


def _is_over(name: str, alert: AlertState, view: View) -> bool:
    """Whether an alert was missing for long enough, and still is."""
    if not view.complete or name in view.alerts or alert.missed < LEAST_MISSED:
        return False
    return view.at - max(alert.missing_since, view.since) >= view.gone_after


def _missed(thread: AlertThread, name: str, alert: AlertState, view: View) -> AlertState:
    """The alert, missing in one view more."""
    since = alert.missing_since if alert.missed else max(view.last_seen.get(name, view.at), thread.changed_at)
    return msgspec.structs.replace(alert, missed=min(alert.missed + 1, LEAST_MISSED), missing_since=min(since, view.at))


def _ended(thread: AlertThread, name: str, alert: AlertState) -> AlertState:
    """The alert as it is once it is over: it ended when it was last there, or as soon as it had begun."""
    return msgspec.structs.replace(
        alert,
        status=Status.RESOLVED,
        ends_at=max(alert.missing_since, alert.starts_at),
        gone=_how(thread, name, alert),
        mute=None,
        missed=0,
        missing_since=0.0,
    )


def _how(thread: AlertThread, name: str, alert: AlertState) -> Gone:
    mute = alert.mute
    if (mute and mute.silenced_by) or any(covers(silence, name, alert) for silence in thread.silences):
        return Gone.WHILE_SILENCED
    if mute is None:
        return Gone.UNANNOUNCED
    return Gone.WHILE_INHIBITED if mute.inhibited_by else Gone.WHILE_MUTED


def _record_seen(thread: AlertThread, now: float, policy: Policy, *, is_seen: bool) -> bool:
    """Record now and then that alerts are still there, so that the thread does not become stale. Whether it changed."""
    if is_seen and thread.unconfirmed_since is not None:
        thread.unconfirmed_since = None
        changed(thread)
    elif not is_seen or 0 <= now - thread.seen_at < min(_CONFIRMED_EVERY, policy.stale_after / 2):
        return False
    thread.seen_at = now
    return True
