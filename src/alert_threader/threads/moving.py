"""How a thread moves to another channel, and when it follows the default one.

SLACK_CHANNEL may have changed because the former channel takes no more messages. A thread for which that setting chose
the channel follows with its next event (``notification``). What is pending may have no next event, so it follows at the
start, and when an outcome is recorded.
"""

import msgspec

from alert_threader.threads.plan import is_pending
from alert_threader.threads.record import AlertThread, Shown

#: What Slack says of a channel that takes no more messages, at the beginning of ``AlertThread.error``
#: (https://docs.slack.dev/reference/methods/chat.postMessage).
_GONE = ("channel_not_found:", "is_archived:", "is_inactive:")


def moved(thread: AlertThread, channel: str) -> AlertThread:
    """The thread in another channel: it gets a root there, and what was under way in the old one is delivered there."""
    pending = thread.attempt.batch.then(thread.pending) if thread.attempt else thread.pending
    return msgspec.structs.replace(
        thread,
        channel=channel,
        ts=None,
        shown=Shown(),
        attempt=None,
        pending=pending,
        unnamed=(),
        failures=0,
        retry_at=0.0,
        retry_wait=0.0,
        error="",
        uneditable=False,
        uncertain_posts=(),
        reposts=0,
    )


def waits_elsewhere(thread: AlertThread, default: str) -> bool:
    """Whether something of the thread is pending in a channel that was the default one and is not any more."""
    # Only a channel that the path named is part of the key (``keys``).
    is_chosen = thread.key.endswith(f"@{thread.channel}") or thread.home or thread.route
    return thread.channel != default and not is_chosen and is_pending(thread)


def following(thread: AlertThread, default: str) -> AlertThread:
    """The thread in the default channel, where it waits elsewhere and nothing of it is to be seen there; else itself.

    Its root may stand there, or a call be under way that may have posted it: then it stays, unless Slack has said that
    the channel is gone.
    """
    if not waits_elsewhere(thread, default):
        return thread
    is_seen = thread.ts is not None or thread.attempt is not None
    return thread if is_seen and not thread.error.startswith(_GONE) else moved(thread, default)
