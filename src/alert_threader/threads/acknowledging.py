"""When an acknowledgement ends by itself."""

import msgspec

from alert_threader.threads.answers import Note, NoteKind
from alert_threader.threads.notes import add_note, answer
from alert_threader.threads.record import AlertThread
from alert_threader.threads.severity import severity_rank

#: A problem that returns this soon, in seconds, stays acknowledged: whoever works on it is not called again.
KEPT_FOR = 15 * 60.0


def review(thread: AlertThread, now: float, *, resolved_for: float | None) -> None:
    """End the acknowledgement where what has just happened is not what was acknowledged; change the given record.

    ``resolved_for`` is for how long nothing fired before the thread was re-opened, in seconds; None where it was not.
    """
    acknowledgement = thread.acknowledgement
    if acknowledgement is None or not thread.firing:
        return
    kind = None
    if severity_rank(thread.severity_level) < severity_rank(acknowledgement.severity):
        kind = NoteKind.ENDED_WORSE
    elif resolved_for is not None:
        kind = NoteKind.ENDED_REOPENED if resolved_for > KEPT_FOR else NoteKind.KEPT
    if kind is None:
        return
    if kind is not NoteKind.KEPT:
        thread.acknowledgement = None
    add_note(thread, Note(kind=kind, who=acknowledgement.name or acknowledgement.by, at=now))


def acknowledged_for_too_long(thread: AlertThread, now: float, timeout: float) -> AlertThread:
    """The thread without its acknowledgement where that is older than ``timeout`` seconds; 0 is for never."""
    by = thread.acknowledgement
    if by is None or not timeout or now < by.at + timeout or not thread.is_open:
        return thread
    lifted = msgspec.structs.replace(thread, acknowledgement=None)
    add_note(lifted, Note(kind=NoteKind.ENDED_TIMEOUT, who=by.name or by.by, at=now))
    answer(lifted)
    return lifted


def is_answered(thread: AlertThread) -> bool:
    """Whether people have answered: acknowledged the problem while it fires, or silenced it from here."""
    is_acknowledged = thread.acknowledgement is not None and thread.firing > 0
    return is_acknowledged or any(silence.ours for silence in thread.silences)


def carried_over(before: AlertThread | None, thread: AlertThread) -> AlertThread:
    """A new thread for a problem, with the answers to the thread before it that still hold.

    Silences hold until they end. An acknowledgement does where the thread was only forgotten (``forget``).
    """
    if before is None:
        return thread
    was_forgotten = before.firing > 0 and not before.stale
    return msgspec.structs.replace(
        thread,
        silences=tuple(silence for silence in before.silences if silence.ours),
        acknowledgement=before.acknowledgement if was_forgotten else None,
    )
