"""What polling an Alertmanager cluster does to a thread: where its alerts are, what mutes them, and which are gone.

The rules:

1.  An alert that is there fires: it never becomes stale.
2.  A mute is shown for as long as it lasts. A reply is posted only when somebody else's silence appears, when a
    silence ends, and when the last loud alert becomes inhibited or muted by a time interval, or the first one is loud
    again.
3.  An alert that complete views lack for ``gone_after`` is over, and its thread says how. A notification that comes
    later has the last word.
4.  An incomplete view resolves nothing, but what it shows still counts. It lifts a mute only if every member that
    answered has settled: one that has just started does not know all silences.
5.  A poll never opens a thread. It makes an alert fire again only if the thread shows it as over, and it is seen muted
    or a poll had found it gone.
6.  A notification or a press wins over a view that is older.
"""

import re
from collections.abc import Collection, Sequence

import msgspec

from alert_threader.alertmanager.model import KnownSilence
from alert_threader.threads.answers import Note, NoteKind, Silence
from alert_threader.threads.matchers import matches
from alert_threader.threads.muting import update_mutes
from alert_threader.threads.notes import add_note, changed
from alert_threader.threads.plan import CLOCK_TOLERANCE, Policy
from alert_threader.threads.press import cluster_of
from alert_threader.threads.record import AlertThread
from alert_threader.threads.returning import refire
from alert_threader.threads.silencing import covers, lift
from alert_threader.threads.vanishing import resolve_gone
from alert_threader.threads.views import View, is_located

#: Ends of a silence that are this near to each other are the same, in seconds.
_SAME = 2.0
#: How long after a change to a silence a view may lack it, in seconds: members take a while to exchange it.
_LAG = 60.0
#: How many silences that were made elsewhere are kept.
_MAX_FOREIGN = 10
#: How much of a comment is kept, in characters.
_MAX_COMMENT = 500
#: What a press adds to the comment of its silence: the address of a message, and the tag.
_OF_OURS = re.compile(r"\s*\S*/archives/\S+\s+\[alert-threader [^\]]+\]|\s*\[alert-threader [^\]]+\]")


def observe(thread: AlertThread, view: View, now: float, policy: Policy) -> AlertThread:
    """Bring a thread up to date with a view; return the thread itself if nothing is new."""
    # Times in the future date from before the clock was set back.
    newest = max(at for at in (0, *_changes(thread)) if at <= now + CLOCK_TOLERANCE)
    if view.at <= newest:
        return thread
    observed = msgspec.structs.replace(thread)
    news = [_locate(observed, view)]
    if not view.is_only_to_locate:
        news += [
            refire(observed, view, now, policy),
            update_mutes(observed, view, now),
            _compare(observed, view, now, _muting(thread)),
            resolve_gone(observed, view, now, policy),
        ]
    if cluster_of(observed) != cluster_of(thread):
        changed(observed)
    return observed if any(news) else thread


def _changes(thread: AlertThread) -> tuple[float, ...]:
    """When a notification or a press last changed the thread."""
    return thread.changed_at, thread.notified_at, thread.silences_changed_at


def _locate(thread: AlertThread, view: View) -> bool:
    """Record which cluster has the firing alerts, so that they can be silenced there. Returns whether that is new."""
    if thread.external_url in view.other_addresses and thread.external_url not in view.addresses:
        return False
    firing = thread.firing_alerts
    located = next((alert.cluster for alert in firing.values() if is_located(alert, view)), view.cluster)
    if located != view.cluster:
        return False
    seen = {
        name: msgspec.structs.replace(alert, cluster=view.cluster, sought=False)
        for name, alert in firing.items()
        if name in view.alerts and not is_located(alert, view)
    }
    if not seen:
        return False
    thread.alerts = thread.alerts | seen
    return True


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
            matchers = seen.plain_matchers
            if matchers is not None and _is_for(thread, alert, matchers):
                found[alert] = Silence(
                    id=name,
                    name=seen.created_by,
                    ends_at=seen.ends_at,
                    ours=True,
                    matchers=tuple(matchers.items()),
                    alert=alert,
                    cluster=view.cluster,
                    confirmed_at=view.at,
                )
    return list(found.values())


def _is_own(thread: AlertThread, silence: KnownSilence) -> bool:
    """Whether a press on this thread made a silence, and nobody has changed what it matches since."""
    op, _, alert = silence.tag.partition("/")
    matchers = silence.plain_matchers
    return op in thread.presses and matchers is not None and _is_for(thread, alert, matchers)


def _is_for(thread: AlertThread, alert: str, matchers: dict[str, str]) -> bool:
    """Whether a silence with our comment is for what it was made for: somebody may have given it other matchers."""
    if not alert:
        return matchers == thread.identity
    return alert in thread.alerts and matches(matchers, thread.alerts[alert])


def _compare(thread: AlertThread, view: View, now: float, muting: Collection[str]) -> bool:
    """Bring the thread's silences up to date with Alertmanager's. Returns whether anything is new.

    ``muting`` are the ids of the silences that muted firing alerts before this view.
    """
    kept: list[Silence] = []
    ended: list[Silence] = []
    for silence in (_at_home(silence, view) for silence in thread.silences):
        seen = view.silences.get(silence.id)
        if _is_left_alone(thread, silence, seen, view):
            kept.append(silence)
        elif seen is not None and seen.holds:
            kept.append(_as_seen(silence, seen, view))
        else:
            ended.append(silence)
    lift(thread, [silence.id for silence in ended], _loud(thread, view) if ended else ())
    # The end of somebody else's silence is news only if it muted a firing alert.
    _say_ended(thread, [silence for silence in ended if silence.ours or silence.id in muting], now)
    kept += _found_again(thread, view)
    kept = _without_idle(kept, _muting(thread))
    if not thread.commands:
        kept += _made_elsewhere(thread, view, kept, now)
    if tuple(kept) == thread.silences:
        return False
    thread.silences = tuple(kept)
    changed(thread)
    return True


def _as_seen(silence: Silence, seen: KnownSilence, view: View) -> Silence:
    """The silence as it holds; the silence itself if nothing is new."""
    ends_at = silence.ends_at if abs(seen.ends_at - silence.ends_at) < _SAME else seen.ends_at
    is_exchanged = silence.is_exchanged or (silence.ours and view.settled and view.at > silence.confirmed_at + _LAG)
    if (ends_at, is_exchanged) == (silence.ends_at, silence.is_exchanged):
        return silence
    return msgspec.structs.replace(silence, ends_at=ends_at, is_exchanged=is_exchanged)


def _is_left_alone(thread: AlertThread, silence: Silence, seen: KnownSilence | None, view: View) -> bool:
    """Whether the view has no say on a silence: it is another cluster's, or a newer change may be missing here."""
    if silence.cluster != view.cluster or thread.commands:
        return True
    if seen is None:
        return not view.complete or view.at <= silence.confirmed_at + _LAG
    return view.at <= silence.confirmed_at


def _loud(thread: AlertThread, view: View) -> list[str]:
    """The alerts seen as active that no remaining silence can match: a member may not know such a silence yet."""
    active = [alert for name in thread.alerts if (alert := view.alerts.get(name)) is not None and not alert.is_muted]
    silences = [silence for silence in view.silences.values() if silence.holds]
    return [each.fingerprint for each in active if not any(silence.may_match(each.labels) for silence in silences)]


def _say_ended(thread: AlertThread, silences: Sequence[Silence], now: float) -> None:
    """Add notes for the silences that have ended, unless the problem is over."""
    if not thread.is_open:
        return
    # A press can make one silence for each alert: one note is enough for them.
    for is_over, who in dict.fromkeys((silence.ends_at <= now + _SAME, silence.name) for silence in silences):
        kind = NoteKind.SILENCE_ENDED if is_over else NoteKind.EXPIRED_ELSEWHERE
        add_note(thread, Note(kind=kind, who=who, at=now))


def _muting(thread: AlertThread) -> dict[str, None]:
    """The silences that mute firing alerts, in order. Missing alerts do not count."""
    mutes = [alert.mute for alert in thread.firing_alerts.values() if alert.mute and not alert.missed]
    return dict.fromkeys(name for each in mutes for name in each.silenced_by)


def _without_idle(kept: list[Silence], muting: Collection[str]) -> list[Silence]:
    """The silences; once the list is full, without other people's that mute nothing now."""
    foreign = [silence for silence in kept if not silence.ours]
    idle = [silence for silence in foreign if silence.id not in muting] if len(foreign) >= _MAX_FOREIGN else []
    return [silence for silence in kept if silence not in idle]


def _made_elsewhere(thread: AlertThread, view: View, kept: list[Silence], now: float) -> list[Silence]:
    """Silences of other people that have appeared; the thread says so of each."""
    if not thread.is_open:
        return []
    known = {silence.id for silence in (*thread.silences, *kept)}
    found = [view.silences[name] for name in _muting(thread) if name in view.silences and name not in known]
    new = [each for each in found if each.holds and each.ends_at > view.at and not _is_own(thread, each)]
    silences = []
    for each in new[: max(_MAX_FOREIGN - len([each for each in kept if not each.ours]), 0)]:
        silence = _foreign(each, view)
        silences.append(silence)
        count = _covered(thread, silence)
        about = Note(
            kind=NoteKind.SILENCED_ELSEWHERE,
            who=silence.name,
            at=now,
            until=silence.ends_at,
            text=silence.comment,
            count=count if count < thread.firing else 0,
        )
        add_note(thread, about)
    return silences


def _foreign(seen: KnownSilence, view: View) -> Silence:
    return Silence(
        id=seen.id,
        name=seen.created_by[:_MAX_COMMENT],
        comment=_OF_OURS.sub("", seen.comment)[:_MAX_COMMENT],
        ends_at=seen.ends_at,
        cluster=view.cluster,
        confirmed_at=view.at,
    )


def _covered(thread: AlertThread, silence: Silence) -> int:
    """How many firing alerts of the thread a silence covers."""
    return sum(covers(silence, name, alert) for name, alert in thread.firing_alerts.items())
