"""What the passing of time, or an operator who clears the cache, makes of a thread."""

import msgspec

from alert_threader.threads.plan import Policy, ages_at, is_pending
from alert_threader.threads.record import AlertThread


def age(thread: AlertThread, now: float, policy: Policy) -> AlertThread | None:
    """Let time pass: the thread itself where nothing changes, another where it becomes stale, None to drop it."""
    at = ages_at(thread, policy)
    if at is None or now < at:
        return thread
    if thread.closed_at is None and thread.firing:
        return msgspec.structs.replace(
            thread, stale=True, closed_at=now, revision=thread.revision + 1, noted_revision=thread.revision + 1
        )
    return None


def forget(thread: AlertThread, now: float) -> AlertThread | None:
    """Make the next notification open a new thread: None to drop this one, or the thread until all is delivered.

    It stays, too, until what may still land late in Slack is put right.
    """
    is_needed = is_pending(thread) or thread.uncertain_posts or thread.shown.uncertain_until
    return msgspec.structs.replace(thread, closed_at=now) if is_needed else None
