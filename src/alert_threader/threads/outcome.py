"""What the outcome of a call to Slack makes of a thread.

The call may have taken long: the record that its outcome is written onto is the current one, not the one that the call
was planned from.
"""

import msgspec

from alert_threader.threads.record import AlertThread, Shown, Step

#: How simple a message may become: 0 in full, 1 without its attachment, 2 plain text, 3 plain text without metadata.
MAX_SIMPLE = 3


class Posted(msgspec.Struct, frozen=True, tag=True):
    """Slack has the message. ``threaded`` is false where a reply stands at channel level, its root being deleted."""

    ts: str
    threaded: bool


class Updated(msgspec.Struct, frozen=True, tag=True):
    """The root ``ts`` shows this now. Also the outcome where Slack does not let it be edited any more."""

    ts: str | None
    shown: Shown


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The attempt was looked for, and Slack has no such message: it may be told again."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Slack refused, or was never reached: the message is not there. Try again at ``retry_at``."""

    error: str
    retry_at: float
    simpler: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Nobody knows whether Slack took it (timeout, 5xx, lost connection).

    At ``retry_at`` it is to be looked for; an edit is made again.
    """

    error: str
    retry_at: float


class RootGone(msgspec.Struct, frozen=True, tag=True):
    """The root message ``ts`` is deleted: the thread needs another."""

    ts: str | None


Outcome = Posted | Updated | NotFound | Failed | Unknown | RootGone


def settle(thread: AlertThread, attempt_id: str, outcome: Outcome, now: float) -> AlertThread:
    """Write the outcome of a call onto the thread.

    ``attempt_id`` names what was posted, looked for or edited. An outcome of anything but what stands now changes
    nothing: neither a late answer nor one that is written twice undoes what was settled since.
    """
    if not attempt_id or attempt_id != thread.under_way:
        return thread
    if isinstance(outcome, Updated | RootGone) and outcome.ts != thread.ts:
        return thread
    match outcome:
        case Posted():
            return _told(thread, outcome, now)
        case NotFound():
            return _given_back(thread, next_try=0)
        case Unknown(error, retry_at):
            return _doubtful(thread, error, retry_at)
        case Failed():
            return _failed(thread, outcome)
        case Updated(_, shown):
            return _succeeded(thread, thread.ts, shown, now)
        case RootGone():
            rootless = _given_back(thread, next_try=0)
            rootless.ts, rootless.shown, rootless.changed_at = None, Shown(), now
            return rootless


def _told(thread: AlertThread, posted: Posted, now: float) -> AlertThread:
    if thread.attempt is None:
        return thread
    if thread.attempt.step is Step.POST_ROOT:
        return _succeeded(thread, posted.ts, thread.attempt.shown, now)
    if posted.threaded:
        return _succeeded(thread, thread.ts, thread.shown, thread.shown.at)
    return _succeeded(thread, posted.ts, Shown(), now)


def _succeeded(thread: AlertThread, ts: str | None, shown: Shown, at: float) -> AlertThread:
    shown = msgspec.structs.replace(shown, at=at)
    return msgspec.structs.replace(
        thread, ts=ts, shown=shown, attempt=None, failures=0, next_try=0.0, error="", simple=0
    )


def _doubtful(thread: AlertThread, error: str, retry_at: float) -> AlertThread:
    doubtful = msgspec.structs.replace(thread, failures=thread.failures + 1, error=error)
    if thread.attempt is None:
        doubtful.shown = thread.shown.in_doubt(retry_at)
    else:
        doubtful.attempt = msgspec.structs.replace(thread.attempt, find_at=retry_at)
    return doubtful


def _failed(thread: AlertThread, failed: Failed) -> AlertThread:
    given_back = _given_back(thread, next_try=failed.retry_at)
    given_back.failures, given_back.error = thread.failures + 1, failed.error
    given_back.simple = min(thread.simple + failed.simpler, MAX_SIMPLE)
    return given_back


def _given_back(thread: AlertThread, *, next_try: float) -> AlertThread:
    """The thread as if its call had not been made: what it would have told is untold again, before what came since."""
    if thread.attempt is None:
        return msgspec.structs.replace(thread, shown=thread.shown.in_doubt(), next_try=next_try)
    untold = thread.attempt.batch.then(thread.untold)
    return msgspec.structs.replace(thread, attempt=None, untold=untold, next_try=next_try)
