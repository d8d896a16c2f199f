"""What a look at an Alertmanager cluster makes of a thread: whether it is held there, and how our silences stand."""

from collections.abc import Mapping

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import Note, NoteKind, Silence
from alert_threader.threads.notes import answer, tell
from alert_threader.threads.press import cluster_of
from alert_threader.threads.record import AlertThread

#: Ends of a silence that are this near to each other are the same, in seconds.
_SAME = 2.0


class SeenSilence(msgspec.Struct, frozen=True):
    """A silence as Alertmanager has it: whether it holds, and when it ends (seconds since the epoch)."""

    holds: bool
    ends_at: float


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster held ``at`` a time (seconds since the epoch): fingerprints of alerts, and silences by id."""

    cluster: str
    at: float
    alerts: frozenset[str]
    silences: Mapping[str, SeenSilence]


def observe(thread: AlertThread, view: View, now: float) -> AlertThread:
    """Bring a thread to what a view says of it; the thread itself where that is nothing new."""
    observed = msgspec.structs.replace(thread)
    if _locate(observed, view) | _compare(observed, view, now):
        answer(observed)
        return observed
    return thread


def _locate(thread: AlertThread, view: View) -> bool:
    """Note the cluster that holds what fires, which decides whether it can be silenced. Whether that is new."""
    if cluster_of(thread):
        return False
    seen = {
        name: msgspec.structs.replace(alert, cluster=view.cluster)
        for name, alert in thread.alerts.items()
        if alert.status is Status.FIRING and name in view.alerts
    }
    thread.alerts = thread.alerts | seen
    return bool(seen)


def _compare(thread: AlertThread, view: View, now: float) -> bool:
    """Take over what became of our silences in Alertmanager. Whether that is new."""
    kept: list[Silence] = []
    for silence in thread.silences:
        seen = view.silences.get(silence.id)
        # What was done since is newer than the view.
        if seen is None or silence.cluster != view.cluster or view.at <= silence.confirmed_at or thread.commands:
            kept.append(silence)
        elif seen.holds:
            is_same = abs(seen.ends_at - silence.ends_at) < _SAME
            kept.append(silence if is_same else msgspec.structs.replace(silence, ends_at=seen.ends_at))
        elif thread.firing and thread.closed_at is None:
            is_over = silence.ends_at <= now + _SAME
            kind = NoteKind.SILENCE_ENDED if is_over else NoteKind.EXPIRED_ELSEWHERE
            tell(thread, Note(kind=kind, who=silence.name, at=now))
    if tuple(kept) == thread.silences:
        return False
    thread.silences = tuple(kept)
    return True
