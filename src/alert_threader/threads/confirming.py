"""Whether a firing thread still gets its repeats: all that is known of it where Alertmanager is not polled."""

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.keys import Change
from alert_threader.threads.notes import changed
from alert_threader.threads.record import AlertThread

#: A repeat counts as missed once this many intervals have passed. Alertmanager repeats when it next flushes a group, so
#: up to a ``group_interval`` late.
_MISSED = 1.5
#: Copies of a notification, from HA peers, come within this time (seconds).
_COPIES = 60


def missed_at(thread: AlertThread) -> float | None:
    """When a firing thread is to be marked if nothing more is heard of it, in seconds since the epoch.

    None for never: it is marked already, or never repeated.
    """
    if not thread.repeat_interval or thread.unconfirmed_since is not None:
        return None
    return thread.seen_at + _MISSED * thread.repeat_interval


def marked(thread: AlertThread, now: float) -> AlertThread:
    """The thread, not confirmed since it was last heard of. Its root is edited, and nobody is called."""
    marked = msgspec.structs.replace(thread, unconfirmed_since=thread.seen_at, texts_changed_at=now)
    changed(marked)
    return marked


def learn_interval(thread: AlertThread, before: AlertThread, change: Change, now: float) -> None:
    """Note in the given record how long a repeat took to come: the longest time so far.

    A time in which a repeat was missed says nothing, whether or not the thread was marked for it. Nor does a repeat for
    some of the alerts: several groups share the thread, and their repeats come at different times.
    """
    gap, missed = now - before.seen_at, missed_at(before)
    if before.unconfirmed_since is not None or (missed is not None and now >= missed):
        return
    if gap >= _COPIES and _is_for_all(before, change):
        thread.repeat_interval = max(thread.repeat_interval, gap)


def _is_for_all(before: AlertThread, change: Change) -> bool:
    """Whether a repeat names all alerts that fire, and after an event the others too: it may be another group's."""
    named = {alert.fingerprint for alert in change.alerts}
    after_event = before.seen_at < before.changed_at + _COPIES
    wanted = (each for each, state in before.alerts.items() if after_event or state.status is Status.FIRING)
    return named.issuperset(wanted)
