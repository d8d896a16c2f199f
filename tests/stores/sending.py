"""Notifications, and a sender's work, by the domain's verbs on any store."""

from typing import Any

from alert_threader.store import Lease, Store, Threads
from alert_threader.threads import AlertThread, Change, Failed, Posted, Step, Updated, Wait, shown_now, slack_lane
from tests.build import CHANNEL, NOW, alert, change, thread

LANE = slack_lane(CHANNEL)
ELSEWHERE = slack_lane("C0000002")


def fires(key: str, *names: str, status: str = "firing", severity: str = "critical") -> Change:
    """What a notification says about one thread: these alerts have that status."""
    labels = {"alertname": key, "severity": severity}
    return change(*(alert(name, status, labels={**labels, "instance": name}) for name in names), key=key)


def bare(key: str, ts: str = "1.0", **fields: Any) -> AlertThread:
    """A thread of this schema that has nothing pending."""
    return thread(key, ts, revision=1, **fields)


def claimed(store: Store, lane: str = LANE) -> Lease:
    """The lane's lease, which must be free."""
    lease = store.claim(lane)
    assert lease is not None
    return lease


def kept(store: Store, key: str = "a") -> AlertThread:
    """A thread that must be there."""
    thread = store.read(key)
    assert thread is not None
    return thread


def deliver(verbs: Threads, key: str, ts: str, now: float = NOW) -> AlertThread:
    """Make the call that is due for a thread, successfully; return what is stored then."""
    lease = claimed(verbs.store)
    started = verbs.start_attempt(lease, key, f"attempt-{ts}", now)
    assert started is not None
    outcome: Posted | Updated = Posted(ts=ts, threaded=started.step is Step.POST_REPLY)
    if started.step is Step.UPDATE_ROOT:
        outcome = Updated(ts=started.thread.ts, shown=shown_now(started.thread))
    verbs.record_outcome(lease, key, f"attempt-{ts}", outcome, now)
    verbs.store.release(lease)
    return kept(verbs.store, key)


def failed(until: float = 0, *, simpler: bool = False) -> Failed:
    """Slack refused; it may be tried again then."""
    return Failed(error="x", retry=Wait(until, until and 1), simpler=simpler)


def due(store: Store, now: float = NOW, lane: str = LANE) -> list[str]:
    """The keys that are due in a lane, most pressing first."""
    return [each.key for each in store.due(lane, now)]
