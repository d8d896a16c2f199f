"""Which alerts of a thread Alertmanager mutes, and what the thread says when that begins or ends.

A muted alert still fires. Alertmanager says so in its API alone: it sends no notification when a mute begins or ends.
"""

from collections.abc import Iterable

import msgspec

from alert_threader.alertmanager.model import HeldAlert
from alert_threader.threads.answers import Inhibitor, Mute, Note, NoteKind
from alert_threader.threads.notes import add_note, changed
from alert_threader.threads.record import AlertState, AlertThread
from alert_threader.threads.views import View, belongs_to

#: How many of the alerts that inhibit a thread are kept.
_MAX_INHIBITORS = 4


def update_mutes(thread: AlertThread, view: View, now: float) -> bool:
    """Bring the thread's mutes up to date; change the given record. Returns whether anything is new."""
    if thread.closed_at is not None:
        return False
    fresh = {
        name: found
        for name, alert in thread.firing_alerts.items()
        if (seen := view.alerts.get(name)) is not None
        and belongs_to(view, thread, name, alert)
        and (found := _as_seen(alert, seen, view)) is not alert
    }
    if fresh:
        before = _mutes(thread)
        thread.alerts = thread.alerts | fresh
        _note(thread, view, before, now)
        changed(thread)
    inhibitors = _inhibitors(thread, view)
    if inhibitors == thread.inhibitors:
        return bool(fresh)
    thread.inhibitors = inhibitors
    changed(thread)
    return True


def _as_seen(alert: AlertState, seen: HeldAlert, view: View) -> AlertState:
    """The alert with the mute that it is seen to have; the alert itself if nothing is new."""
    if not seen.is_muted:
        if alert.mute is None or not view.settled:
            return alert
        return msgspec.structs.replace(alert, mute=None)
    ends = [view.silences[each].ends_at for each in seen.silenced_by if each in view.silences]
    found = Mute(
        silenced_by=tuple(sorted(seen.silenced_by)),
        inhibited_by=tuple(sorted(seen.inhibited_by)),
        muted_by=tuple(sorted(seen.muted_by or ())),
        since=alert.mute.since if alert.mute else view.at,
        until=max(ends, default=None),
    )
    return alert if found == alert.mute else msgspec.structs.replace(alert, mute=found)


def _mutes(thread: AlertThread) -> dict[str, Mute | None]:
    return {name: alert.mute for name, alert in thread.firing_alerts.items()}


def _note(thread: AlertThread, view: View, before: dict[str, Mute | None], now: float) -> None:
    """Add a note if every firing alert has become inhibited or muted by a time interval, or no longer is.

    What silences do is said with the silences (``observation``).
    """
    after = _mutes(thread)
    was_muted, is_muted = bool(before) and all(before.values()), bool(after) and all(after.values())
    if is_muted and not was_muted:
        mutes = [each for each in after.values() if each and not each.silenced_by]
        if any(each.inhibited_by for each in mutes):
            by = next(iter(_inhibitors(thread, view)), Inhibitor(name=""))
            add_note(thread, Note(kind=NoteKind.INHIBITED, text=by.name, url=by.url, at=now))
        if names := _sorted(name for each in mutes for name in each.muted_by):
            add_note(thread, Note(kind=NoteKind.MUTED, text=", ".join(names), at=now))
    elif was_muted and not is_muted:
        lifted = [each for name, each in before.items() if each and name in after and not after[name]]
        if any(each.inhibited_by or each.muted_by for each in lifted):
            add_note(thread, Note(kind=NoteKind.LOUD_AGAIN, at=now))


def _inhibitors(thread: AlertThread, view: View) -> tuple[Inhibitor, ...]:
    """What inhibits the thread's alerts; as it was where the view does not know their cluster."""
    mutes = [each for each in _mutes(thread).values() if each and each.inhibited_by]
    names = _sorted(name for each in mutes for name in each.inhibited_by)
    if any(name not in view.inhibitors for name in names):
        return thread.inhibitors
    return tuple(view.inhibitors[name] for name in names[:_MAX_INHIBITORS])


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
