"""How commands to Alertmanager are carried out, and what their outcomes do to a thread's silences.

A command needs one call for each target, one after another. Each call is recorded before it is made. If its answer is
lost, the silence is looked up by the tag in its comment before the call is repeated.
"""

from collections.abc import Collection
from typing import NamedTuple, assert_never

import msgspec

from alert_threader.threads.answers import Command, CommandKind, Mute, Note, NoteKind, Silence
from alert_threader.threads.matchers import matches
from alert_threader.threads.notes import add_note, answer, changed
from alert_threader.threads.plan import ending, next_command
from alert_threader.threads.record import AlertState, AlertThread, Wait

#: How long a call is repeated, in seconds. After that, the thread says that it failed.
GIVE_UP_COMMAND_AFTER = 15 * 60.0


class Silenced(msgspec.Struct, frozen=True, tag=True):
    """Alertmanager has created or extended the silence. After an extension, ``former`` is its previous id."""

    silence: Silence
    former: str = ""


class Expired(msgspec.Struct, frozen=True, tag=True):
    """The silence with this id has ended."""

    id: str


class NotDone(msgspec.Struct, frozen=True, tag=True):
    """The call failed. Repeat it after ``retry``, unless it ``is_final``: then it would fail again."""

    error: str
    retry: Wait = Wait()
    outcome_unknown: bool = False
    is_final: bool = False


#: The outcome of a call to Alertmanager.
OfCommand = Silenced | Expired | NotDone


class Tag(NamedTuple):
    """Identifies a silence in Alertmanager: the press that made it and, if it covers a single alert, which one."""

    op: str
    target: str

    def __str__(self) -> str:
        return f"{self.op}/{self.target}" if self.target else self.op


def tag_of(command: Command) -> Tag:
    """The tag of the command's next call."""
    return Tag(command.op, command.targets[0])


def start_command(thread: AlertThread, attempt_id: str, now: float) -> AlertThread | None:
    """Start the first command's next call; None if none is due. If one was already under way, its outcome is unknown.

    The record that is returned must be stored before the call.
    """
    if not thread.commands or not next_command(thread).is_due(now):
        return None
    command = thread.commands[0]
    started = msgspec.structs.replace(
        command,
        attempt=attempt_id,
        tries=command.tries + 1,
        outcome_unknown=command.outcome_unknown or bool(command.attempt),
    )
    return msgspec.structs.replace(thread, commands=(started, *thread.commands[1:]))


def record_command(thread: AlertThread, attempt_id: str, outcome: OfCommand, now: float) -> AlertThread:
    """Record the outcome of the call ``attempt_id``; return the thread itself if another call is under way by now."""
    if not thread.commands or thread.commands[0].attempt != attempt_id:
        return thread
    recorded = msgspec.structs.replace(thread)
    command = thread.commands[0]
    match outcome:
        case Silenced():
            _silenced(recorded, command, outcome, now)
        case Expired():
            _expired(recorded, command, outcome, now)
        case NotDone():
            _not_done(recorded, command, outcome, now)
        case _:
            assert_never(outcome)
    return recorded


def end_with_problem(thread: AlertThread, now: float) -> None:
    """Add commands to expire the silences that were to end with the problem, now that it has resolved."""
    for silence in thread.silences:
        if silence.ours and silence.ends_with_problem and not _is_being_ended(thread, silence.id):
            command = Command(
                op=f"end-{silence.id}",
                kind=CommandKind.UNSILENCE,
                targets=(silence.id,),
                cluster=silence.cluster,
                by=silence.by,
                name=silence.name,
                ends_with_problem=True,
                at=now,
            )
            thread.commands = (*thread.commands, command)


def ended_by_time(thread: AlertThread, now: float) -> AlertThread:
    """The thread without the silences whose end has come; the thread itself if there are none."""
    over = [silence for silence in ending(thread) if silence.ends_at <= now]
    if not over:
        return thread
    ended = msgspec.structs.replace(thread)
    ended.silences = tuple(silence for silence in thread.silences if silence not in over)
    ended.silences_changed_at = now
    lift(ended, [silence.id for silence in over])
    changed(ended)
    if thread.is_open:
        # The end of somebody else's silence is news only if it muted a firing alert.
        told = [silence for silence in over if silence.ours or any(covers(silence, *each) for each in _firing(thread))]
        for who in dict.fromkeys(silence.name for silence in told):
            add_note(ended, Note(kind=NoteKind.SILENCE_ENDED, who=who, at=now))
    return ended


def _firing(thread: AlertThread) -> list[tuple[str, AlertState]]:
    """The alerts that fire, without those that Alertmanager does not hold any more."""
    return [(name, alert) for name, alert in thread.firing_alerts.items() if not alert.missed]


def lift(thread: AlertThread, ids: Collection[str], names: Collection[str] | None = None) -> None:
    """Take silences that have ended out of the mutes of all alerts, or of those named; change the given record.

    An alert that is missing from Alertmanager does not become loud by that: it is about to be over.
    """
    lifted = {
        name: msgspec.structs.replace(alert, mute=_without(alert.mute, ids))
        for name, alert in _firing(thread)
        if alert.mute is not None and (names is None or name in names) and set(ids) & set(alert.mute.silenced_by)
    }
    if lifted:
        thread.alerts = thread.alerts | lifted


def _without(mute: Mute, ids: Collection[str]) -> Mute | None:
    """The mute without some silences; None if nothing else mutes."""
    left = msgspec.structs.replace(mute, silenced_by=tuple(each for each in mute.silenced_by if each not in ids))
    return left if left.silenced_by or left.inhibited_by or left.muted_by else None


def covers(silence: Silence, fingerprint: str, alert: AlertState) -> bool:
    """Whether a silence of the thread covers this alert. Alertmanager says so, but for one that was just made here."""
    if not silence.ours or silence.is_exchanged:
        return alert.mute is not None and silence.id in alert.mute.silenced_by
    return silence.alert == fingerprint or (not silence.alert and matches(dict(silence.matchers), alert))


def _is_being_ended(thread: AlertThread, silence_id: str) -> bool:
    return any(c.kind is CommandKind.UNSILENCE and silence_id in c.targets for c in thread.commands)


def _silenced(thread: AlertThread, command: Command, outcome: Silenced, now: float) -> None:
    silence = msgspec.structs.replace(outcome.silence, confirmed_at=now)
    others = tuple(each for each in thread.silences if each.id not in (silence.id, outcome.former))
    thread.silences = (*others, silence)
    thread.silences_changed_at = now
    _next_target(thread, command, _done_note(command, now, silence.ends_at), now)
    if not thread.firing:
        end_with_problem(thread, now)


def _expired(thread: AlertThread, command: Command, outcome: Expired, now: float) -> None:
    thread.silences = tuple(each for each in thread.silences if each.id != outcome.id)
    thread.silences_changed_at = now
    lift(thread, [outcome.id])
    _next_target(thread, command, _done_note(command, now, None), now)


def _next_target(thread: AlertThread, command: Command, note: Note | None, now: float, failure: str = "") -> None:
    """Go on to the command's next target. After the last one, add the notes about what succeeded and what failed."""
    left = command.targets[1:]
    rest = thread.commands[1:]
    done, failed = command.done + (note is not None), command.failed or failure
    if left:
        again = msgspec.structs.replace(
            command,
            targets=left,
            done=done,
            failed=failed,
            attempt="",
            tries=0,
            next_try=0.0,
            next_try_wait=0.0,
            outcome_unknown=False,
            error="",
        )
        thread.commands = (again, *rest)
    else:
        thread.commands = rest
        if done:
            add_note(thread, note or _done_note(command, now, command.until))
        if failed:
            kind = NoteKind.NOT_UNSILENCED if command.kind is CommandKind.UNSILENCE else NoteKind.NOT_SILENCED
            add_note(thread, Note(kind=kind, who=command.name, at=now, text=failed))
    answer(thread)


def _done_note(command: Command, now: float, until: float | None) -> Note:
    """The note for a command of which at least one call was successful; ``until`` is the end of the silence."""
    if command.kind is CommandKind.UNSILENCE:
        kind = NoteKind.ENDED_WITH_PROBLEM if command.ends_with_problem else NoteKind.UNSILENCED
        return Note(kind=kind, who=command.name, at=now)
    kind = NoteKind.SILENCED if command.kind is CommandKind.SILENCE else NoteKind.EXTENDED
    return Note(kind=kind, who=command.name, at=now, until=until, text=command.comment)


def _not_done(thread: AlertThread, command: Command, outcome: NotDone, now: float) -> None:
    if outcome.is_final or now - command.at >= GIVE_UP_COMMAND_AFTER:
        _next_target(thread, command, None, now, failure=outcome.error)
        return
    again = msgspec.structs.replace(
        command,
        attempt="",
        next_try=outcome.retry.until,
        next_try_wait=outcome.retry.length,
        outcome_unknown=command.outcome_unknown or outcome.outcome_unknown,
        error=outcome.error,
    )
    thread.commands = (again, *thread.commands[1:])
