"""What the passing of time, or an operator who clears the cache, makes of a thread."""

import msgspec

from alert_threader.threads.acknowledging import acknowledged_for_too_long, is_answered
from alert_threader.threads.confirming import marked
from alert_threader.threads.plan import Policy, ages_at, is_pending
from alert_threader.threads.record import AlertThread
from alert_threader.threads.silencing import ended_by_time


def age(thread: AlertThread, now: float, policy: Policy) -> AlertThread | None:
    """Let time pass: the thread itself where nothing changes, another where something ends, None to drop it."""
    at = ages_at(thread, policy)
    if at is None or now < at:
        return thread
    ended = ended_by_time(acknowledged_for_too_long(thread, now, policy.ack_timeout), now)
    if ended is not thread:
        return ended
    if thread.is_open and now < thread.seen_at + policy.stale_after:
        return marked(thread, now)
    if thread.is_open:
        return msgspec.structs.replace(
            thread, stale=True, closed_at=now, revision=thread.revision + 1, noted_revision=thread.revision + 1
        )
    return None


def forget(thread: AlertThread, now: float) -> AlertThread | None:
    """Make the next notification open a new thread: None to drop this one, or the thread until all is delivered.

    It stays, too, until what may still land late in Slack is put right, and while people's answers to it hold.
    """
    is_needed = is_pending(thread) or thread.uncertain_posts or thread.shown.uncertain_until or is_answered(thread)
    return msgspec.structs.replace(thread, closed_at=now) if is_needed else None
