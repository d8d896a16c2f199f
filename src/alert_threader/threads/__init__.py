"""The life of a thread, as pure functions: no clock, no I/O, no logging, no randomness.

``apply`` writes a notification into a record, ``plan`` names the one action that is missing, ``begin`` starts it,
``settle`` writes its outcome down, ``expire`` lets time pass. All of them return new records and may be run again.

The rules:

1.  An alert's status is its own; the notification's only where the alert has none. Mixed groups are normal.
2.  An alert that is new, or fires again after resolving, has *fired*; one that stops firing has *resolved*. The same
    status again is no event: it is a repeat or a duplicate (HA pairs, retries after a timeout, two routes).
3.  ``startsAt`` is not an identity: a re-fire can carry the old one, a repeat a new one. No firing is discarded as
    stale.
4.  A thread fires while any of its alerts does, and is resolved when none does. A re-fire within the re-open window
    goes on in the same thread (a reply says so, the root is red again, flaps are counted); after it a new one opens.
5.  A resolution that no thread knows opens one that is resolved at once: quiet and green.
6.  Alerts that a notification leaves out say nothing. The root says how many ``max_alerts`` cut off.
7.  A repeat (nothing changed, and Alertmanager says that it repeats, or half an hour has passed) follows the policy:
    it updates the root's count, is told in a reply, or is ignored.
8.  What fired and resolved before anything was told is told once, by a root in its final state.
9.  A firing thread that nothing is heard of for STALE_AFTER is marked stale and closes.
10. A notification is applied once however often it arrives.

Nothing is told twice: a post is an attempt, stored with an id before the call; the outcome of one that stands is
looked up in Slack before anything else is posted for the thread. An edit may be made twice, but none is made while an
earlier one could still land on top of it.
"""

from alert_threader.threads.keys import Change, Identity, ThreadBy, changes, thread_key
from alert_threader.threads.notification import Applied, Reason, apply, drop_at, expire, forget
from alert_threader.threads.outcome import (
    MAX_SIMPLE,
    Failed,
    NotFound,
    Outcome,
    Posted,
    RootGone,
    Unknown,
    Updated,
    settle,
)
from alert_threader.threads.plan import LISTED, Action, Policy, RepeatPolicy, begin, pending, plan
from alert_threader.threads.record import (
    AlertState,
    AlertThread,
    Attempt,
    Batch,
    Event,
    EventKind,
    Shown,
    Step,
    severity_rank,
)

__all__ = [
    "LISTED",
    "MAX_SIMPLE",
    "Action",
    "AlertState",
    "AlertThread",
    "Applied",
    "Attempt",
    "Batch",
    "Change",
    "Event",
    "EventKind",
    "Failed",
    "Identity",
    "NotFound",
    "Outcome",
    "Policy",
    "Posted",
    "Reason",
    "RepeatPolicy",
    "RootGone",
    "Shown",
    "Step",
    "ThreadBy",
    "Unknown",
    "Updated",
    "apply",
    "begin",
    "changes",
    "drop_at",
    "expire",
    "forget",
    "pending",
    "plan",
    "settle",
    "severity_rank",
    "thread_key",
]
