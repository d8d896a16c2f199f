"""What a press in Slack does to a thread. Pure; whether the person may press was checked before.

The rules:

1.  A press counts only on the thread's newest first message, and once, however often it arrives (by its ``op``).
2.  On a thread that is over it changes nothing: a late acknowledgement must not open it again.
3.  An acknowledgement has an owner. It ends when the problem becomes worse than it was then, when the thread is
    re-opened more than 15 minutes after it had resolved, after ACK_TIMEOUT, or by a press. If a second person
    acknowledges, that person becomes the owner. A reply reports each of these. New alerts that are no worse stay
    covered.
4.  A silence is made by a command to Alertmanager, which stays in the record until it succeeds or is given up
    (``silencing``). Only the Alertmanager that holds one of the thread's firing alerts is asked, and only for
    matchers that hold for this thread and no other (``matchers``).
5.  If a silence of ours already covers the thread, it is extended, never shortened, and no second one is made. So a
    thread has one command at a time.
6.  Unsilencing ends our own silences only.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads import matchers
from alert_threader.threads.answers import Acknowledgement, Command, CommandKind, Note, NoteKind, Silence
from alert_threader.threads.notes import add_note, answer
from alert_threader.threads.plan import Policy
from alert_threader.threads.record import AlertThread, Step

#: How many presses are remembered, so that one that arrives again is known.
MAX_PRESSES = 20
#: How many silences a thread can have, and so how many alerts of it can be silenced one by one.
MAX_SILENCES = 10


class Operation(StrEnum):
    """What can be pressed."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    SILENCE = "silence"
    EXTEND = "extend"
    UNSILENCE = "unsilence"


class Press(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody pressed, on which message, and when (seconds since the epoch).

    ``op`` identifies the press. ``seconds`` is for how long to silence; ``each_alert`` is for silencing the alerts that
    fire now one by one, instead of the whole thread.
    """

    op: str
    operation: Operation
    user: str
    name: str
    channel: str
    ts: str
    at: float
    seconds: float = 0
    comment: str = ""
    each_alert: bool = False
    ends_with_problem: bool = False


class Verdict(StrEnum):
    """What became of a press. The same word goes into the log, the metric and the answer."""

    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    SILENCING = "silencing"
    EXTENDING = "extending"
    UNSILENCING = "unsilencing"
    #: It came before.
    DUPLICATE = "duplicate"
    #: It changes nothing.
    UNCHANGED = "unchanged"
    #: The message is not, or not any more, the first one of a thread.
    OUT_OF_DATE = "out_of_date"
    #: The first message is being posted: whether this is it is known in a moment.
    NOT_YET = "not_yet"
    #: Nothing fires any more.
    OVER = "over"
    #: Another command of the thread is waiting for Alertmanager.
    BUSY = "busy"
    #: No Alertmanager that is configured holds an alert of the thread.
    NOT_HELD = "not_held"
    #: There are no matchers that silence this and nothing else.
    NO_MATCHERS = "no_matchers"
    #: There are too many alerts to silence them one by one.
    TOO_MANY = "too_many"
    TOO_LONG = "too_long"

    @property
    def has_changed(self) -> bool:
        """Whether the press did something."""
        return self in _CHANGES


_CHANGES = frozenset(
    {Verdict.ACKNOWLEDGED, Verdict.UNACKNOWLEDGED, Verdict.SILENCING, Verdict.EXTENDING, Verdict.UNSILENCING}
)


class Pressed(msgspec.Struct, frozen=True):
    """A thread after a press, and what became of the press. The thread is the given one where nothing changed."""

    thread: AlertThread | None
    verdict: Verdict


def press(thread: AlertThread | None, pressed: Press, now: float, policy: Policy) -> Pressed:
    """Apply a press to the thread whose first message was pressed. ``now`` is in seconds since the epoch."""
    if thread is None:
        return Pressed(None, Verdict.OUT_OF_DATE)
    if misplaced := not_on_root(thread, pressed.channel, pressed.ts):
        return Pressed(thread, misplaced)
    if pressed.op in thread.presses:
        return Pressed(thread, Verdict.DUPLICATE)
    if not thread.is_open:
        return Pressed(thread, Verdict.OVER)
    changed = msgspec.structs.replace(thread)
    verdict = _apply(changed, pressed, now, policy)
    if not verdict.has_changed:
        return Pressed(thread, verdict)
    changed.presses = (*thread.presses, pressed.op)[-MAX_PRESSES:]
    answer(changed)
    return Pressed(changed, verdict)


def not_on_root(thread: AlertThread, channel: str, ts: str) -> Verdict | None:
    """Why a press on this message does not count for the thread; None if the message is the thread's first."""
    if thread.channel != channel:
        return Verdict.OUT_OF_DATE
    if thread.ts != ts:
        is_being_posted = thread.attempt is not None and thread.attempt.step is Step.POST_ROOT
        return Verdict.NOT_YET if is_being_posted else Verdict.OUT_OF_DATE
    return None


def not_silenceable(thread: AlertThread) -> Verdict | None:
    """Why the thread as a whole cannot be silenced; None if it can."""
    if not cluster_of(thread):
        return Verdict.NOT_HELD
    return None if matchers.of_target(thread, "") else Verdict.NO_MATCHERS


def cluster_of(thread: AlertThread) -> str:
    """The Alertmanager cluster that was seen to hold an alert of the thread, best one that fires; empty for none."""
    held = [alert for alert in thread.alerts.values() if alert.cluster]
    firing = (alert.cluster for alert in held if alert.status is Status.FIRING)
    # One that has joined since may be held there too; the next look says so.
    return next(firing, held[0].cluster if held else "")


def _apply(thread: AlertThread, pressed: Press, now: float, policy: Policy) -> Verdict:
    match pressed.operation:
        case Operation.ACKNOWLEDGE:
            return _acknowledge(thread, pressed)
        case Operation.UNACKNOWLEDGE:
            return _unacknowledge(thread, pressed)
        case Operation.SILENCE:
            return _silence(thread, pressed, now, policy)
        case Operation.EXTEND:
            return _extend(thread, pressed, now, policy)
        case Operation.UNSILENCE:
            return _unsilence(thread, pressed)
        case _:
            assert_never(pressed.operation)


def _acknowledge(thread: AlertThread, pressed: Press) -> Verdict:
    before = thread.acknowledgement
    if before is not None and before.by == pressed.user:
        return Verdict.UNCHANGED
    thread.acknowledgement = Acknowledgement(
        by=pressed.user, name=pressed.name, at=pressed.at, severity=thread.severity_level
    )
    kind = NoteKind.ACKNOWLEDGED if before is None else NoteKind.TAKEN_OVER
    former = "" if before is None else before.name or before.by
    add_note(thread, Note(kind=kind, who=pressed.name, at=pressed.at, text=former))
    return Verdict.ACKNOWLEDGED


def _unacknowledge(thread: AlertThread, pressed: Press) -> Verdict:
    if thread.acknowledgement is None:
        return Verdict.UNCHANGED
    thread.acknowledgement = None
    add_note(thread, Note(kind=NoteKind.UNACKNOWLEDGED, who=pressed.name, at=pressed.at))
    return Verdict.UNACKNOWLEDGED


def _silence(thread: AlertThread, pressed: Press, now: float, policy: Policy) -> Verdict:
    if pressed.seconds > policy.silence_max:
        return Verdict.TOO_LONG
    if thread.commands:
        return Verdict.BUSY
    until = now + pressed.seconds
    whole = [silence for silence in thread.silences if silence.ours and not silence.alert]
    if whole and not pressed.each_alert:
        return _make_longer(thread, pressed, whole, until)
    cluster = cluster_of(thread)
    if not cluster:
        return Verdict.NOT_HELD
    targets: tuple[str, ...] = ("",)
    if pressed.each_alert:
        own = {silence.alert: silence for silence in thread.silences if silence.ours and silence.alert}
        firing = [each for each, alert in thread.alerts.items() if alert.status is Status.FIRING]
        targets = tuple(each for each in firing if each not in own)
        if not targets:
            return _make_longer(thread, pressed, [own[each] for each in firing], until)
    if len(targets) + sum(silence.ours for silence in thread.silences) > MAX_SILENCES:
        return Verdict.TOO_MANY
    if not matchers.silenceable(thread, targets):
        return Verdict.NO_MATCHERS
    return _command(thread, pressed, CommandKind.SILENCE, targets, until, cluster)


def _make_longer(thread: AlertThread, pressed: Press, silences: Sequence[Silence], until: float) -> Verdict:
    if all(silence.ends_at >= until for silence in silences):
        return Verdict.UNCHANGED
    ids = tuple(silence.id for silence in silences)
    return _command(thread, pressed, CommandKind.EXTEND, ids, until, silences[0].cluster)


def _extend(thread: AlertThread, pressed: Press, now: float, policy: Policy) -> Verdict:
    ours = [silence for silence in thread.silences if silence.ours]
    if not ours:
        return _silence(thread, pressed, now, policy)
    if thread.commands:
        return Verdict.BUSY
    until = max(silence.ends_at for silence in ours) + pressed.seconds
    if until > now + policy.silence_max:
        return Verdict.TOO_LONG
    return _make_longer(thread, pressed, ours, until)


def _unsilence(thread: AlertThread, pressed: Press) -> Verdict:
    if thread.commands:
        return Verdict.BUSY
    ours = [silence for silence in thread.silences if silence.ours]
    if not ours:
        return Verdict.UNCHANGED
    ids = tuple(silence.id for silence in ours)
    return _command(thread, pressed, CommandKind.UNSILENCE, ids, 0, ours[0].cluster)


def _command(
    thread: AlertThread, pressed: Press, kind: CommandKind, targets: tuple[str, ...], until: float, cluster: str
) -> Verdict:
    command = Command(
        op=pressed.op,
        kind=kind,
        targets=targets,
        cluster=cluster,
        by=pressed.user,
        name=pressed.name,
        until=until,
        comment=pressed.comment,
        ends_with_problem=pressed.ends_with_problem,
        at=pressed.at,
    )
    thread.commands = (*thread.commands, command)
    return _WORDS[kind]


_WORDS = {
    CommandKind.SILENCE: Verdict.SILENCING,
    CommandKind.EXTEND: Verdict.EXTENDING,
    CommandKind.UNSILENCE: Verdict.UNSILENCING,
}
