"""What polling an Alertmanager cluster does to a thread: which cluster has its alerts, and how its silences stand."""

from collections.abc import Mapping

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import Note, NoteKind, Silence
from alert_threader.threads.matchers import matches
from alert_threader.threads.notes import add_note, changed
from alert_threader.threads.press import cluster_of
from alert_threader.threads.record import AlertState, AlertThread

#: Ends of a silence that are this near to each other are the same, in seconds.
_SAME = 2.0
#: How long after a change to a silence a view may lack it, in seconds: members take a while to exchange it.
_LAG = 60.0


class SeenSilence(msgspec.Struct, frozen=True):
    """A silence as Alertmanager has it: whether it holds, and when it ends, in seconds since the epoch.

    ``tag`` is that of one of ours: the press, and of several alerts which one. ``matchers`` are those that compare for
    equality; None where there are others too.
    """

    holds: bool
    ends_at: float
    tag: str = ""
    created_by: str = ""
    matchers: Mapping[str, str] | None = None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster held ``at`` a time (seconds since the epoch): fingerprints of alerts, and silences by id.

    ``clusters`` are all that are configured; ``by_press`` are the ids of silences of ours by the press that made them.
    """

    cluster: str
    at: float
    alerts: frozenset[str]
    silences: Mapping[str, SeenSilence]
    clusters: frozenset[str] = frozenset()
    by_press: Mapping[str, tuple[str, ...]] = {}


def observe(thread: AlertThread, view: View, now: float) -> AlertThread:
    """Bring a thread up to date with a view; return the thread itself if nothing is new."""
    observed = msgspec.structs.replace(thread)
    is_located, is_changed = _locate(observed, view), _compare(observed, view, now)
    if is_changed or cluster_of(observed) != cluster_of(thread):
        changed(observed)
    return observed if is_located or is_changed else thread


def _locate(thread: AlertThread, view: View) -> bool:
    """Record which cluster has the firing alerts, so that they can be silenced there. Returns whether that is new."""
    firing = {name: alert for name, alert in thread.alerts.items() if alert.status is Status.FIRING}
    located = next((alert.cluster for alert in firing.values() if _is_located(alert, view)), view.cluster)
    if located != view.cluster:
        return False
    seen = {
        name: msgspec.structs.replace(alert, cluster=view.cluster)
        for name, alert in firing.items()
        if name in view.alerts and not _is_located(alert, view)
    }
    thread.alerts = thread.alerts | seen
    return bool(seen)


def _is_located(alert: AlertState, view: View) -> bool:
    return bool(alert.cluster) and (alert.cluster in view.clusters or not view.clusters)


def _at_home(silence: Silence, view: View) -> Silence:
    """Move a silence to the cluster that has it, if its own was renamed or removed from the settings."""
    if not view.clusters or silence.cluster in view.clusters or silence.id not in view.silences:
        return silence
    return msgspec.structs.replace(silence, cluster=view.cluster)


def _found_again(thread: AlertThread, view: View) -> list[Silence]:
    """Silences that this thread's presses made without our knowledge: the answer was lost, and the command given up."""
    if thread.commands or view.at <= thread.silences_changed_at + _LAG:
        return []
    own = {silence.alert for silence in thread.silences if silence.ours}
    ids = {silence.id for silence in thread.silences}
    found: dict[str, Silence] = {}
    for op in thread.presses:
        for name in view.by_press.get(op, ()):
            seen = view.silences[name]
            alert = seen.tag.partition("/")[2]
            if name in ids or alert in own or not seen.holds or seen.ends_at <= view.at:
                continue
            if seen.matchers is not None and _is_for(thread, alert, seen.matchers):
                found[alert] = Silence(
                    id=name,
                    name=seen.created_by,
                    ends_at=seen.ends_at,
                    ours=True,
                    matchers=tuple(seen.matchers.items()),
                    alert=alert,
                    cluster=view.cluster,
                    confirmed_at=view.at,
                )
    return list(found.values())


def _is_for(thread: AlertThread, alert: str, matchers: Mapping[str, str]) -> bool:
    """Whether a silence with our comment is for what it was made for: somebody may have given it other matchers."""
    if not alert:
        return matchers == thread.identity
    return alert in thread.alerts and matches(matchers, thread.alerts[alert])


def _compare(thread: AlertThread, view: View, now: float) -> bool:
    """Bring the thread's silences up to date with Alertmanager's. Returns whether anything is new."""
    kept: list[Silence] = []
    for silence in (_at_home(silence, view) for silence in thread.silences):
        seen = view.silences.get(silence.id)
        # What has been done since is newer than the view.
        is_older = view.at <= silence.confirmed_at + (_LAG if seen is None else 0)
        if silence.cluster != view.cluster or is_older or thread.commands:
            kept.append(silence)
        elif seen is not None and seen.holds:
            is_same = abs(seen.ends_at - silence.ends_at) < _SAME
            kept.append(silence if is_same else msgspec.structs.replace(silence, ends_at=seen.ends_at))
        elif thread.is_open:
            # If Alertmanager does not even know it, it has lost its data.
            is_over = silence.ends_at <= now + _SAME
            kind = NoteKind.SILENCE_ENDED if is_over else NoteKind.EXPIRED_ELSEWHERE
            add_note(thread, Note(kind=kind, who=silence.name, at=now))
    kept += _found_again(thread, view)
    if tuple(kept) == thread.silences:
        return False
    thread.silences = tuple(kept)
    return True
