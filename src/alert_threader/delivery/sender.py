"""The sender of one lane: the most pressing call that may be made now, then the next.

It stores the attempt, makes the call and records the outcome before it looks again: a crash leaves either no trace or
an attempt that can be looked up.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from alert_threader.delivery.calls import Calls
from alert_threader.delivery.store_watch import StoreWatch
from alert_threader.errors import LeaseLostError, RecordDamagedError, StoreError
from alert_threader.store.base import LEASE_TTL, Due, Lease
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import NotFound, Outcome, Posted, Step

log = logging.getLogger(__name__)

#: How long to wait before a store that fails is tried again, in seconds.
RETRY_STORE = 1.0
#: A sender stays for work that is due this soon, in seconds; where the store is not shared, for any, and longer.
_LINGER = 5.0
_STAY = 10 * 60.0
#: How often a sender looks for what other processes have stored; and for what is due in its own store, in seconds.
LOOK = 0.2
_LOOK_ALONE = 1.0
#: A sender that can deliver nothing yet lets new work gather for this long before it looks at it, in seconds.
_NAP = 0.2
#: When a request has waited in vain, no other waits for that lane for this long, in seconds, or until all is delivered.
_IN_VAIN = 10.0


@dataclass(frozen=True)
class Parts:
    """What all senders share. ``clock`` is the time of day; ``recorded`` is called after every outcome."""

    threads: Threads
    metrics: Metrics
    clock: Callable[[], float]
    stopping: threading.Event
    store_watch: StoreWatch
    recorded: Callable[[], None]


class Sender:
    """One lane, and what must be known of it between two calls. Times are of the monotonic clock."""

    def __init__(self, lane: str, calls: Calls, parts: Parts) -> None:
        """Take the lane's name, who makes its calls, and what all senders share."""
        self.lane = lane
        self.wake = threading.Event()
        #: How many threads had something due at the last look.
        self.due = 0
        #: No call is made before: something is wrong with what is behind the lane.
        self.paused_until = 0.0
        self._calls = calls
        self._parts = parts
        self._store = parts.threads.store
        self._limited_until: dict[str, float] = {}
        #: Whether none of what is due can be delivered yet, and whether it is our own pacing that holds it back.
        self._held_back = False
        self._paced = False
        self._slow_until = 0.0

    # -- for requests that wait ----------------------------------------------------------------------------------

    @property
    def is_slow(self) -> bool:
        """Whether a request has waited for this lane in vain, a moment ago."""
        return self._slow_until > time.monotonic()

    def waited_in_vain(self) -> None:
        """Note that a request has waited for this lane in vain."""
        self._slow_until = time.monotonic() + _IN_VAIN

    # -- sending -------------------------------------------------------------------------------------------------

    def run(self, lease: Lease) -> None:
        """Send what is due, as long as there is any, then give the lease back."""
        parts = self._parts
        try:
            self._send(lease)
        except LeaseLostError as error:
            log.warning("%s: another sender goes on with it", error)
        except StoreError as error:
            parts.store_watch.failed(error)
            parts.stopping.wait(RETRY_STORE)
        except Exception:
            log.exception("the sender of %s failed and starts again", self.lane)
            parts.stopping.wait(RETRY_STORE)
        finally:
            try:
                self._store.release(lease)
            except StoreError as error:
                parts.store_watch.failed(error)

    def _send(self, lease: Lease) -> None:
        stay, look = (0.0, LOOK) if self._store.shared else (_STAY, _LOOK_ALONE)
        worked_at = time.monotonic()
        while not self._parts.stopping.is_set():
            self.wake.clear()
            wait = self._step(lease)
            if wait <= 0:
                worked_at = time.monotonic()
            elif wait > _LINGER and not self._held_back and time.monotonic() >= worked_at + stay:
                return
            else:
                self._rest(min(wait, look))

    def _rest(self, wait: float) -> None:
        """Wait for the next thing to do. While it is held back, a storm of webhooks is not looked at one by one."""
        began = time.monotonic()
        if self.wake.wait(wait) and self._held_back:
            self._parts.stopping.wait(min(wait, _NAP))
        if self._paced:
            self._parts.metrics.slack.paced(time.monotonic() - began)

    def _step(self, lease: Lease) -> float:
        """Do the most pressing thing that pacing allows; return how many seconds to wait for the next."""
        item, wait = self._choose(lease)
        if item is None:
            return wait
        parts = self._parts
        asked = time.monotonic()
        attempt_id = uuid.uuid4().hex
        try:
            with parts.metrics.store.measure("start_attempt"):
                started = parts.threads.start_attempt(lease, item.key, attempt_id, parts.clock())
        except LeaseLostError:
            raise
        except StoreError as error:
            # It may have been stored all the same. No call was made, so there is nothing to look up.
            parts.store_watch.failed(error)
            if not parts.stopping.wait(RETRY_STORE):
                self._record(lease, item.key, attempt_id, NotFound())
            return 0
        if started is None:
            return 0
        if self._store.shared and time.monotonic() - asked > LEASE_TTL / 2:
            # This process stood still (stopped, swapped out): another sender may have made the call already.
            raise LeaseLostError(f"the lease on {self.lane} may have passed on")
        thread = started.thread
        verdict = self._calls.call(thread, started.step)
        now = time.monotonic()
        self.paused_until = now + verdict.pause
        self._limited_until[self._calls.method(started.step)] = now + verdict.limit
        self._record(lease, item.key, thread.under_way, verdict.outcome)
        if isinstance(verdict.outcome, Posted) and thread.attempt is not None:
            delays = (parts.clock() - event.at for event in thread.attempt.batch.events.values())
            parts.metrics.delivery.delivered(delays)
        # Where this process cannot reach Slack, another may.
        return float("inf") if verdict.pause and self._store.shared else 0

    # -- choosing ------------------------------------------------------------------------------------------------

    def _choose(self, lease: Lease) -> tuple[Due | None, float]:
        """The first of the due actions that may be done now, or the seconds until one may; infinite for none."""
        now = time.monotonic()
        waits: dict[str, float] = {}
        items = self._store.due(self.lane, self._parts.clock())
        self.due, self._held_back, self._paced = len(items), False, False
        for item in items:
            method = self._calls.method(item.action.step)
            if method in waits:
                continue
            if item.action.step is Step.UPDATE_ROOT and self._record_unchanged(lease, item.key):
                return None, 0
            waits[method] = max(self.paused_until, self._limited_until.get(method, 0.0)) - now
            if waits[method] <= 0:
                waits[method] = self._take_token(item)
                self._paced = waits[method] > 0
            if waits[method] <= 0:
                return item, 0
        if waits:
            self._held_back = True
            return None, min(waits.values())
        self._slow_until = 0.0
        later = self._store.pending().get(self.lane, float("inf")) - self._parts.clock()
        return None, max(later, 0.01)

    def _take_token(self, item: Due) -> float:
        """Use a token for an action, or the seconds until there is one."""
        if item.action.at > self._parts.clock():
            return 0  # its wait is only to be anchored anew, without a call
        return self._store.take(*self._calls.budget(item.action.step, self.lane))

    def _record_unchanged(self, lease: Lease, key: str) -> bool:
        """Whether the root shows the record already; then that is noted, without a call and without a token."""
        with suppress(RecordDamagedError):
            thread = self._store.read(key)
            if thread is None or not self._calls.is_unchanged(thread):
                return False
            if self._parts.threads.record_unchanged(lease, key, thread.revision):
                self._parts.recorded()  # a request may wait for it
                return True
        return False

    # -- recording -----------------------------------------------------------------------------------------------

    def _record(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome) -> None:
        """Write the outcome down, however long the store is away: otherwise it would have to be looked up."""
        parts = self._parts
        holder: Lease | None = lease
        while holder is not None:
            try:
                with parts.metrics.store.measure("record_outcome"):
                    parts.threads.record_outcome(holder, key, attempt_id, outcome, parts.clock())
                break
            except LeaseLostError:
                # It expired in an outage, say, and perhaps nobody else has claimed the lane since.
                holder = self._claim_again()
            except StoreError as error:
                parts.store_watch.failed(error)
                if parts.stopping.wait(RETRY_STORE):
                    return  # the attempt is stored: the next process looks its outcome up
        if holder is None:
            raise LeaseLostError(f"the lease on {self.lane} has passed on")
        parts.store_watch.worked()
        parts.recorded()
        if holder is not lease:
            self._store.release(holder)

    def _claim_again(self) -> Lease | None:
        while not self._parts.stopping.is_set():
            try:
                return self._store.claim(self.lane)
            except StoreError as error:
                self._parts.store_watch.failed(error)
                self._parts.stopping.wait(RETRY_STORE)
        return None
