"""What the outcome of a call to Slack makes of a thread.

The call may have taken long: its outcome is written onto the current record, not onto the one it was planned from.
"""

from typing import assert_never

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import Note, NoteKind, UncertainPost
from alert_threader.threads.events import Batch
from alert_threader.threads.plan import MAX_UNCERTAIN, Policy, next_step, shown_now
from alert_threader.threads.record import AlertThread, Shown, Step, Wait
from alert_threader.threads.silencing import Expired, NotDone, OfCommand, Silenced, record_command

#: How simple a message may become: 0 in full, 1 without its attachment, 2 plain text, 3 plain text without metadata.
MAX_SIMPLE = 3


class Posted(msgspec.Struct, frozen=True, tag=True):
    """Slack has the message. ``threaded`` is false where a reply stands at channel level, its root being deleted.

    ``hash`` is of a root as it was rendered, empty where that is not known.
    """

    ts: str
    threaded: bool
    hash: str = ""


class Uneditable(msgspec.Struct, frozen=True, tag=True):
    """Slack does not let the root ``ts`` be edited any more: it stays as it is."""

    ts: str | None


class Updated(msgspec.Struct, frozen=True, tag=True):
    """The root ``ts`` shows this now."""

    ts: str | None
    shown: Shown


class PostedBefore(msgspec.Struct, frozen=True, tag=True):
    """The last message of a restored thread that Slack has had since the copy: its root, or a reply."""

    ts: str


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The attempt was looked up, and Slack has no such message yet: it is posted again. A copy may still arrive."""


class NotMade(msgspec.Struct, frozen=True, tag=True):
    """The call was not made after all: what it carried is pending again."""


class CopiesRemoved(msgspec.Struct, frozen=True, tag=True):
    """Slack has no copies of these posts any more. Those that are left are looked for again after ``retry``."""

    ids: tuple[str, ...]
    retry: Wait = Wait()


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Slack refused, or was never reached: the message is not there. Try again after ``retry``.

    With a simpler message, or in full again where its form was not to blame.
    """

    error: str
    retry: Wait
    simpler: bool = False
    in_full: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Slack may or may not have done it (timeout, 5xx, lost connection).

    After ``retry`` a post is to be looked up, and an edit made again, which is sent once more when the first one can
    land no more.
    """

    error: str
    retry: Wait


class RootGone(msgspec.Struct, frozen=True, tag=True):
    """The root message ``ts`` is deleted: the thread needs another."""

    ts: str | None


#: What became of the call under way.
_OfCall = Posted | PostedBefore | Updated | Uneditable | NotFound | NotMade | Failed | Unknown | RootGone
Outcome = _OfCall | CopiesRemoved | OfCommand

#: A post that is made for the second, third, ... time follows the one before it by so many seconds, then by the last:
#: so it is tried again soon after an outage, and few copies can come of it.
_REPOST_AFTER = (1.0, 1.0, 2.0, 3.0)


def record_outcome(thread: AlertThread, attempt_id: str, outcome: Outcome, now: float, policy: Policy) -> AlertThread:
    """Write the outcome of a call onto the thread.

    ``attempt_id`` names what was posted, looked up or edited. An outcome of anything but what is under way changes
    nothing: neither a late answer nor one that is written twice undoes what was recorded since.
    """
    if isinstance(outcome, CopiesRemoved):
        return _copies_removed(thread, outcome)
    if isinstance(outcome, Silenced | Expired | NotDone):
        return record_command(thread, attempt_id, outcome, now)
    is_under_way = attempt_id and attempt_id == thread.under_way
    is_of_another_root = isinstance(outcome, Updated | Uneditable | RootGone) and outcome.ts != thread.ts
    return _recorded(thread, outcome, now, policy) if is_under_way and not is_of_another_root else thread


def _recorded(thread: AlertThread, outcome: _OfCall, now: float, policy: Policy) -> AlertThread:
    match outcome:
        case Posted():
            return _posted(thread, outcome, now)
        case PostedBefore():
            return _posted_before(thread, outcome)
        case NotFound():
            return _not_found(thread, policy)
        case NotMade():
            return _pending_again(thread, Wait())
        case Unknown():
            return _unknown(thread, outcome, now, policy)
        case Failed():
            return _failed(thread, outcome)
        case Updated():
            until, length = thread.shown.uncertain
            shown = msgspec.structs.replace(outcome.shown, uncertain_until=until, uncertain_wait=length)
            return _succeeded(thread, thread.ts, shown, now)
        case Uneditable():
            return _uneditable(thread, now)
        case RootGone():
            rootless = _pending_again(thread, Wait())
            return msgspec.structs.replace(rootless, ts=None, shown=Shown(), uneditable=False, changed_at=now)
        case _:
            assert_never(outcome)


def record_unchanged(thread: AlertThread, revision: int) -> AlertThread:
    """Note that the root shows this revision as it is: rendered, it is the message that was sent last.

    The record itself where it has changed since, or no edit of the root is next.
    """
    if thread.revision != revision or next_step(thread) is not Step.UPDATE_ROOT:
        return thread
    until, length = thread.shown.uncertain
    shown = shown_now(thread, thread.shown.hash)
    shown.at, shown.uncertain_until, shown.uncertain_wait = thread.shown.at, until, length
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
    root = _succeeded(thread, posted.ts, Shown(), now)
    root.uneditable = False
    return root


def _uneditable(thread: AlertThread, now: float) -> AlertThread:
    """Leave the root as it is. Where it looks as if the problem went on, its end is told once more, in the channel."""
    left = _succeeded(thread, thread.ts, shown_now(thread), now)
    left.uneditable = True
    if left.status is Status.RESOLVED:
        left.pending = left.pending.then(Batch(notes=(Note(kind=NoteKind.NOT_EDITABLE, at=now),)))
    return left


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
    is_answered = shown.revision >= thread.answered_revision
    return msgspec.structs.replace(
        thread,
        answered_revision=0 if is_answered else thread.answered_revision,
        ts=ts,
        shown=shown,
        attempt=None,
        failures=0,
        reposts=0,
        retry_at=0.0,
        retry_wait=0.0,
        error="",
        simple=0,
    )


def _not_found(thread: AlertThread, policy: Policy) -> AlertThread:
    """Post it again, soon, and remember that the post before it may still arrive."""
    attempt = thread.attempt
    if attempt is None or thread.is_asked_by_key:
        return _pending_again(thread, Wait())
    spacing = _REPOST_AFTER[min(thread.reposts, len(_REPOST_AFTER) - 1)]
    again = _pending_again(thread, Wait(attempt.at + spacing, spacing))
    again.reposts = thread.reposts + 1
    visible = policy.visible(attempt.at)
    into = (thread.ts or "") if attempt.step is Step.POST_REPLY else ""
    late = UncertainPost(id=attempt.id, at=visible.until, wait=visible.length, step=attempt.step, thread_ts=into)
    again.uncertain_posts = (*thread.uncertain_posts, late)[-MAX_UNCERTAIN:]
    return again


def _copies_removed(thread: AlertThread, removed: CopiesRemoved) -> AlertThread:
    left = tuple(post for post in thread.uncertain_posts if post.id not in removed.ids)
    if removed.retry.length:
        until = removed.retry.until
        # The search goes back to when the post was made, however often it is put off.
        left = tuple(
            msgspec.structs.replace(post, at=at, wait=at - (post.at - post.wait))
            for post, at in ((post, max(post.at, until)) for post in left)
        )
    return thread if left == thread.uncertain_posts else msgspec.structs.replace(thread, uncertain_posts=left)


def _unknown(thread: AlertThread, outcome: Unknown, now: float, policy: Policy) -> AlertThread:
    unknown = msgspec.structs.replace(thread, failures=thread.failures + 1, error=outcome.error)
    attempt, (until, length) = thread.attempt, outcome.retry
    if attempt is None:
        unknown.retry_at, unknown.retry_wait = until, length
        unknown.shown = thread.shown.as_unknown(uncertain=policy.finished(now))
    else:
        unknown.attempt = msgspec.structs.replace(
            attempt, look_up_at=until, look_up_wait=length, unknown_since=attempt.unknown_since or now
        )
    return unknown


def _failed(thread: AlertThread, failed: Failed) -> AlertThread:
    again = _pending_again(thread, failed.retry)
    again.failures, again.error = thread.failures + 1, failed.error
    again.simple = 0 if failed.in_full else min(thread.simple + failed.simpler, MAX_SIMPLE)
    return again


def _pending_again(thread: AlertThread, retry: Wait) -> AlertThread:
    """The thread as if its call had not been made: what it carried is pending again, before what came since."""
    waiting = msgspec.structs.replace(thread, retry_at=retry.until, retry_wait=retry.length)
    if thread.is_asked_by_key:
        waiting.restored_from = 0
    if thread.attempt is None:
        waiting.shown = thread.shown.as_unknown()
    else:
        waiting.attempt, waiting.pending = None, thread.attempt.batch.then(thread.pending)
        waiting.unnamed = thread.attempt.batch.named + thread.unnamed
    return waiting
