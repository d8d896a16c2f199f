"""The domain's verbs, written once on top of a store's primitives: each applies one input to the threads it is about.

Everything that changes a thread passes here: a notification, the start of an attempt, its outcome, the passing of time,
an operator. Each is one pure function of ``threads``, applied atomically by ``Store.transact``.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from alert_threader.errors import RecordDamagedError
from alert_threader.store.base import Decide, Lease, Store
from alert_threader.threads import (
    AlertThread,
    Applied,
    Change,
    Outcome,
    Policy,
    Press,
    Pressed,
    Reason,
    Step,
    View,
    age,
    apply,
    divided,
    following,
    forget,
    is_slack_lane,
    lanes_of,
    observe,
    press,
    record_outcome,
    record_unchanged,
    slack_lane,
    start_attempt,
    start_command,
    waits_elsewhere,
)

#: Threads that are changed in one transaction, where all are to be: an alert that arrives meanwhile is not held up.
_BATCH = 200


class Attempted(msgspec.Struct, frozen=True):
    """A call that was started: the record as it was stored for it, the step, and the id that its outcome is for."""

    thread: AlertThread
    step: Step
    id: str


class Followed(msgspec.Struct, frozen=True):
    """How many threads that waited in a former default channel went to the present one, and how many stay there."""

    moved: int
    stay: int


class Threads:
    """The threads in a store. Safe to use from several threads; errors are those of ``Store``."""

    def __init__(self, store: Store, policy: Policy, channel: str = "") -> None:
        """Take the store, the settings of the rules, and the default channel; without one no thread follows it."""
        self.store = store
        self.policy = policy
        self._channel = channel

    def notify(self, changes: Sequence[Change], now: float) -> list[Applied]:
        """Apply what a notification says of each of its threads; on return all of it is durable."""
        restored_from = self.store.restored_from(now)
        notified = partial(_notified, now=now, policy=self.policy, restored_from=restored_from)
        changes = [part for change in changes for part in self._by_thread(change)]
        return self.store.transact_all([(each.key, partial(notified, each)) for each in changes])

    def start_attempt(self, lease: Lease, key: str, attempt_id: str, now: float) -> Attempted | None:
        """Start the thread's next call; on return its attempt, or the mark of its edit, is durable.

        None where none is due any more, or the record is damaged: then the thread is not due before it can be read.
        """
        is_slack = is_slack_lane(lease.lane)

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, Attempted | None]:
            if thread is None:
                return None, None
            if not is_slack:
                commanded = start_command(thread, attempt_id, now)
                if commanded is None:
                    return thread, None
                return commanded, Attempted(commanded, Step.COMMAND, attempt_id)
            started, step = start_attempt(thread, attempt_id, now, self.policy)
            return started, None if step is None else Attempted(started, step, started.under_way)

        with suppress(RecordDamagedError):
            return self.store.transact(key, decide, lease)
        return None

    def press(self, key: str, pressed: Press, now: float) -> Pressed:
        """Apply what somebody pressed on the thread's first message; on return what came of it is durable."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, Pressed]:
            result = press(thread, pressed, now, self.policy)
            return result.thread, result

        return self.store.transact(key, decide)

    def record_outcome(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome, now: float) -> None:
        """Write a call's outcome onto the thread as it is now, durably. Nothing happens if it is gone, or damaged."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, None]:
            if thread is None:
                return None, None
            return self._following(record_outcome(thread, attempt_id, outcome, now, self.policy)), None

        with suppress(RecordDamagedError):
            self.store.transact(key, decide, lease)

    def record_unchanged(self, lease: Lease, key: str, revision: int) -> bool:
        """Note that the thread's root shows this revision without an edit; whether it still was at this revision."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
            recorded = None if thread is None else record_unchanged(thread, revision)
            return recorded, recorded is not thread

        with suppress(RecordDamagedError):
            return self.store.transact(key, decide, lease)
        return False

    def age(self, now: float) -> None:
        """Close the threads that have become stale, and drop those that closed long ago."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
            aged = None if thread is None else age(thread, now, self.policy)
            return aged, thread is not None and aged is None

        self._each(self.store.aged(now), decide)

    def observe(self, views: Sequence[View], now: float, keys: Collection[str]) -> tuple[set[str], Counter[str]]:
        """Bring the threads with these keys to what Alertmanager was seen to hold.

        Return the lanes in which that makes work, and how many alerts were found to be gone, by how they ended.
        """
        changed: dict[str, tuple[set[str], Counter[str]]] = {}

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
            if thread is None:
                return None, False
            after = thread
            for view in views:
                after = observe(after, view, now, self.policy)
            if after is not thread:
                changed[thread.key] = lanes_of(after), _gone(after) - _gone(thread)
            return after, after is not thread

        self._each(keys, decide)
        lanes = set[str]().union(*(lanes for lanes, _ in changed.values()))
        return lanes, sum((gone for _, gone in changed.values()), Counter())

    def forget(self, now: float) -> int:
        """Drop every thread that has nothing pending, close the others; return how many it dropped."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
            kept = None if thread is None else forget(thread, now)
            return kept, thread is not None and kept is None

        return self._each((thread.key for thread in self.store.threads()), decide)

    def follow_channel(self) -> dict[str, Followed]:
        """Let what waits for a former default channel go to the present one; what was done, by the former channel.

        What may be seen in the former one already stays there (``threads.following``).
        """
        followed: dict[str, Followed] = {}
        for lane in self.store.pending() if self._channel else ():
            if lane == slack_lane(self._channel):
                continue
            found = [self.store.read(each.key) for each in self.store.due(lane, math.inf)]
            waiting = [thread for thread in found if thread is not None and waits_elsewhere(thread, self._channel)]
            if waiting:
                moved = self._each((thread.key for thread in waiting), self._follow)
                followed[waiting[0].channel] = Followed(moved, len(waiting) - moved)
        return followed

    def insert(self, threads: Sequence[AlertThread], *, replace: bool) -> list[str]:
        """Store threads as another store had them, attempts and all. On return they are durable; on an error some are.

        A thread whose key is taken is left out; with ``replace`` it wins. Return the keys of those left out. Meanwhile
        nobody may send from their lanes.
        """

        def decide(thread: AlertThread) -> Decide[bool]:
            return lambda before: (thread, True) if before is None or replace else (before, False)

        inserted: list[bool] = []
        for start in range(0, len(threads), _BATCH):
            batch = threads[start : start + _BATCH]
            inserted += self.store.transact_all([(thread.key, decide(thread)) for thread in batch])
        return [thread.key for thread, was_free in zip(threads, inserted, strict=True) if not was_free]

    def _follow(self, thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
        followed = None if thread is None else self._following(thread)
        return followed, followed is not thread

    def _following(self, thread: AlertThread) -> AlertThread:
        return following(thread, self._channel) if self._channel else thread

    def _by_thread(self, change: Change) -> list[Change]:
        """The change, in two where an open thread under the first release's key goes on with some of its alerts."""
        if change.former is None:
            return [change]
        with suppress(RecordDamagedError):
            former = self.store.read(change.former.key)
            return [change] if former is None else divided(change, former, self.store.read(change.key))
        return [change]

    def _each(self, keys: Iterable[str], decide: Decide[bool]) -> int:
        """Pass threads through ``decide``, a batch in each transaction; return how often it said yes."""
        every = list(keys)
        count = 0
        for start in range(0, len(every), _BATCH):
            with suppress(RecordDamagedError):
                batch = every[start : start + _BATCH]
                count += sum(self.store.transact_all([(key, decide) for key in batch]))
        return count


def _notified(
    change: Change, thread: AlertThread | None, *, now: float, policy: Policy, restored_from: float
) -> tuple[AlertThread | None, Applied]:
    applied = apply(thread, change, now, policy)
    if applied.reason in (Reason.OPENED, Reason.OPENED_RESOLVED):
        applied.thread.restored_from = restored_from
    return applied.thread, applied


def _gone(thread: AlertThread) -> Counter[str]:
    return Counter(alert.gone for alert in thread.alerts.values() if alert.gone)
