"""What the outcome of a call to Slack makes of a thread.

The call may have taken long: its outcome is written onto the current record, not onto the one it was planned from.
"""

from typing import assert_never

import msgspec

from alert_threader.threads.plan import next_step, shown_now
from alert_threader.threads.record import AlertThread, Shown, Step, Wait

#: How simple a message may become: 0 in full, 1 without its attachment, 2 plain text, 3 plain text without metadata.
MAX_SIMPLE = 3


class Posted(msgspec.Struct, frozen=True, tag=True):
    """Slack has the message. ``threaded`` is false where a reply stands at channel level, its root being deleted.

    ``hash`` is of a root as it was rendered, empty where that is not known.
    """

    ts: str
    threaded: bool
    hash: str = ""


class Updated(msgspec.Struct, frozen=True, tag=True):
    """The root ``ts`` shows this now. Also the outcome where Slack does not let it be edited any more."""

    ts: str | None
    shown: Shown


class PostedBefore(msgspec.Struct, frozen=True, tag=True):
    """The last message of a restored thread that Slack has had since the copy: its root, or a reply."""

    ts: str


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The attempt was looked up, and Slack has no such message: it may be posted again."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Slack refused, or was never reached: the message is not there. Try again after ``retry``."""

    error: str
    retry: Wait
    simpler: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Slack may or may not have done it (timeout, 5xx, lost connection).

    After ``retry`` a post is to be looked up, and an edit made again.
    """

    error: str
    retry: Wait


class RootGone(msgspec.Struct, frozen=True, tag=True):
    """The root message ``ts`` is deleted: the thread needs another."""

    ts: str | None


Outcome = Posted | PostedBefore | Updated | NotFound | Failed | Unknown | RootGone


def record_outcome(thread: AlertThread, attempt_id: str, outcome: Outcome, now: float) -> AlertThread:
    """Write the outcome of a call onto the thread.

    ``attempt_id`` names what was posted, looked up or edited. An outcome of anything but what is under way changes
    nothing: neither a late answer nor one that is written twice undoes what was recorded since.
    """
    if not attempt_id or attempt_id != thread.under_way:
        return thread
    if isinstance(outcome, Updated | RootGone) and outcome.ts != thread.ts:
        return thread
    match outcome:
        case Posted():
            return _posted(thread, outcome, now)
        case PostedBefore():
            return _posted_before(thread, outcome)
        case NotFound():
            return _pending_again(thread, Wait())
        case Unknown():
            return _unknown(thread, outcome)
        case Failed():
            return _failed(thread, outcome)
        case Updated():
            return _succeeded(thread, thread.ts, outcome.shown, now)
        case RootGone():
            rootless = _pending_again(thread, Wait())
            return msgspec.structs.replace(rootless, ts=None, shown=Shown(), changed_at=now)
        case _:
            assert_never(outcome)


def record_unchanged(thread: AlertThread, revision: int) -> AlertThread:
    """Note that the root shows this revision as it is: rendered, it is the message that was sent last.

    The record itself where it has changed since, or no edit of the root is next.
    """
    if thread.revision != revision or next_step(thread) is not Step.UPDATE_ROOT:
        return thread
    shown = msgspec.structs.replace(shown_now(thread, thread.shown.hash), at=thread.shown.at)
    return msgspec.structs.replace(thread, shown=shown)


def _posted(thread: AlertThread, posted: Posted, now: float) -> AlertThread:
    if thread.attempt is None:
        return thread
    if thread.attempt.step is Step.POST_ROOT:
        shown = msgspec.structs.replace(thread.attempt.shown, hash=posted.hash)
        return _succeeded(thread, posted.ts, shown, now)
    if posted.threaded:
        return _succeeded(thread, thread.ts, thread.shown, thread.shown.at)
    # The root was deleted: the reply that stands in the channel becomes the root, and is edited to look like one.
    return _succeeded(thread, posted.ts, Shown(), now)


def _posted_before(thread: AlertThread, found: PostedBefore) -> AlertThread:
    """Go on where Slack is: only what came after its message is still pending, and nobody knows what the root shows."""
    if thread.attempt is None:
        return thread
    batch = thread.attempt.batch
    later = {fingerprint: event for fingerprint, event in batch.events.items() if event.at > float(found.ts)}
    pending = msgspec.structs.replace(batch, events=later, reopened=batch.reopened and bool(later), repeated=False)
    is_root = thread.attempt.step is Step.POST_ROOT
    known = _succeeded(thread, found.ts if is_root else thread.ts, Shown(), 0)
    return msgspec.structs.replace(known, pending=pending.then(thread.pending), restored_from=0)


def _succeeded(thread: AlertThread, ts: str | None, shown: Shown, at: float) -> AlertThread:
    shown = msgspec.structs.replace(shown, at=at)
    return msgspec.structs.replace(
        thread, ts=ts, shown=shown, attempt=None, failures=0, retry_at=0.0, retry_wait=0.0, error="", simple=0
    )


def _unknown(thread: AlertThread, outcome: Unknown) -> AlertThread:
    unknown = msgspec.structs.replace(thread, failures=thread.failures + 1, error=outcome.error)
    if thread.attempt is None:
        unknown.shown = thread.shown.as_uncertain(outcome.retry)
    else:
        unknown.attempt = msgspec.structs.replace(
            thread.attempt, look_up_at=outcome.retry.until, look_up_wait=outcome.retry.length
        )
    return unknown


def _failed(thread: AlertThread, failed: Failed) -> AlertThread:
    again = _pending_again(thread, failed.retry)
    again.failures, again.error = thread.failures + 1, failed.error
    again.simple = min(thread.simple + failed.simpler, MAX_SIMPLE)
    return again


def _pending_again(thread: AlertThread, retry: Wait) -> AlertThread:
    """The thread as if its call had not been made: what it carried is pending again, before what came since."""
    waiting = msgspec.structs.replace(thread, retry_at=retry.until, retry_wait=retry.length)
    if thread.is_asked_by_key:
        waiting.restored_from = 0
    if thread.attempt is None:
        waiting.shown = thread.shown.as_uncertain()
    else:
        waiting.attempt, waiting.pending = None, thread.attempt.batch.then(thread.pending)
        waiting.unnamed = thread.attempt.batch.named + thread.unnamed
    return waiting
