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
from alert_threader.delivery.holds import Holds
from alert_threader.delivery.store_watch import StoreWatch
from alert_threader.errors import LeaseLostError, RecordDamagedError, StoreError
from alert_threader.store.base import LEASE_TTL, Due, Lease
from alert_threader.store.tokens import Budget
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import NotFound, NotMade, Outcome, Posted, Step

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
    """What all senders share.

    ``clock`` is the time of day. ``looked`` is called after every outcome, and when a sender has seen what it can do
    next; ``recovered`` with methods that work again, for they may do so in every lane.
    """

    threads: Threads
    metrics: Metrics
    clock: Callable[[], float]
    stopping: threading.Event
    store_watch: StoreWatch
    looked: Callable[[], None]
    recovered: Callable[[tuple[str, ...]], None]


class Sender:
    """One lane, and what must be known of it between two calls. Times are of the monotonic clock."""

    def __init__(self, lane: str, calls: Calls, parts: Parts) -> None:
        """Take the lane's name, who makes its calls, and what all senders share."""
        self.lane = lane
        self.wake = threading.Event()
        #: Whether it works the lane now, and the thread that a call is made for; None between two calls.
        self.is_running = False
        self.busy_with: str | None = None
        #: The lane is left to other processes until then: this one cannot deliver.
        self.away_until = 0.0
        self._holds = Holds()
        self._calls = calls
        self._parts = parts
        self._store = parts.threads.store
        #: Whether none of what is due can be delivered yet, and whether it is our own pacing that holds it back.
        self.is_held_back = False
        self._paced = False
        self._slow_until = 0.0

    # -- for requests that wait ----------------------------------------------------------------------------------

    @property
    def is_in_trouble(self) -> bool:
        """Whether the last calls failed."""
        return self._holds.is_in_trouble

    @property
    def is_slow(self) -> bool:
        """Whether a request has waited for this lane in vain, a moment ago."""
        return self._slow_until > time.monotonic()

    def waited_in_vain(self) -> None:
        """Note that a request has waited for this lane in vain."""
        self._slow_until = time.monotonic() + _IN_VAIN

    def try_again(self, methods: tuple[str, ...]) -> None:
        """Try methods again that were held back: they work elsewhere."""
        self._holds.release(methods)
        self.away_until = 0.0
        self.wake.set()

    # -- sending -------------------------------------------------------------------------------------------------

    def run(self, lease: Lease) -> None:
        """Send what is due, as long as there is any, then give the lease back."""
        parts = self._parts
        self.is_running = True
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
            self.busy_with = None
            self.is_running = self.is_held_back = False
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
            elif wait > _LINGER and not self.is_held_back and time.monotonic() >= worked_at + stay:
                return
            else:
                self._rest(min(wait, look))

    def _rest(self, wait: float) -> None:
        """Wait for the next thing to do. While it is held back, a storm of webhooks is not looked at one by one."""
        began = time.monotonic()
        if self.wake.wait(wait) and self.is_held_back:
            self._parts.stopping.wait(min(wait, _NAP))
        if self._paced:
            self._parts.metrics.slack.paced(time.monotonic() - began)

    def _step(self, lease: Lease) -> float:
        """Do the most pressing thing that pacing allows; return how many seconds to wait for the next."""
        item, wait = self._choose(lease)
        self.busy_with = None if item is None else item.key
        parts = self._parts
        parts.looked()
        if item is None:
            return self._leave(self._holds.post_wait(time.monotonic())) if self._is_cut_off else wait
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
                self._record(lease, item.key, attempt_id, NotMade())
            return 0
        if started is None:
            return 0
        if self._store.shared and time.monotonic() - asked > LEASE_TTL / 2:
            # This process stood still (stopped, swapped out): another sender may have made the call already.
            raise LeaseLostError(f"the lease on {self.lane} may have passed on")
        thread = started.thread
        verdict = self._calls.call(thread, started.step)
        with suppress(StoreError):  # it only means that the pace is not known as well
            self._store.arrived(*self._budget(item))
        has_recovered = self._holds.called(self._calls.method(started.step), item, verdict, time.monotonic())
        self._record(lease, item.key, started.id, verdict.outcome)
        if has_recovered:
            parts.recovered(verdict.works)
        if isinstance(verdict.outcome, Posted) and thread.attempt is not None:
            delays = (parts.clock() - event.at for event in thread.attempt.batch.events.values())
            parts.metrics.delivery.delivered(delays)
        return self._leave(verdict.pause) if self._store.shared and verdict.pause else 0

    @property
    def _is_cut_off(self) -> bool:
        """Whether another process should try: posts of this one have failed, and it has nothing else to do."""
        return self._store.shared and not self._paced and self._holds.post_wait(time.monotonic()) > 0

    def _leave(self, seconds: float) -> float:
        """Leave the lane to others for so long: where this process cannot reach Slack, another may."""
        self.away_until = time.monotonic() + seconds
        return float("inf")

    # -- choosing ------------------------------------------------------------------------------------------------

    def _choose(self, lease: Lease) -> tuple[Due | None, float]:
        """The first of the due actions that may be done now, or the seconds until one may; infinite for none."""
        now = time.monotonic()
        soonest = float("inf")
        #: By method, how long there is no token.
        waits: dict[str, float] = {}
        found = self._store.due(self.lane, self._parts.clock())
        due = self._holds.in_turn(found, lambda item: self._calls.method(item.action.step), now)
        # Until here it is what the last look said: in a storm no request must take the look itself for a free lane.
        self.is_held_back = self._paced = False
        for item in due:
            method = self._calls.method(item.action.step)
            wait = waits.get(method, 0.0) or self._holds.wait(method, item, now)
            if wait <= 0:
                if item.action.step is Step.UPDATE_ROOT and self._record_unchanged(lease, item.key):
                    return None, 0
                wait = waits[method] = self._take_token(item)
                self._paced |= wait > 0
            if wait <= 0:
                return item, 0
            if self._is_given_up(item) and self._give_up(lease, item.key):
                return None, 0
            soonest = min(soonest, wait)
        if soonest < float("inf"):
            self.is_held_back = True
            return None, soonest
        self._slow_until = 0.0
        later = self._store.pending().get(self.lane, float("inf")) - self._parts.clock()
        return None, max(later, 0.01)

    def _is_given_up(self, item: Due) -> bool:
        """Whether a look-up could not be made for so long that the message is posted again instead."""
        at = item.action.give_up_at
        return at is not None and self._parts.clock() >= at

    def _give_up(self, lease: Lease, key: str) -> bool:
        with suppress(RecordDamagedError):
            thread = self._store.read(key)
            if thread is not None and thread.attempt is not None:
                self._record(lease, key, thread.attempt.id, NotFound())
                return True
        return False

    def _take_token(self, item: Due) -> float:
        """Use a token for an action, or the seconds until there is one."""
        if item.action.at > self._parts.clock():
            return 0  # its wait is only to be anchored anew, without a call
        return self._store.take(*self._budget(item))

    def _budget(self, item: Due) -> tuple[str, Budget]:
        return self._calls.budget(item.action.step, self.lane, answers_press=item.action.answers_press)

    def _record_unchanged(self, lease: Lease, key: str) -> bool:
        """Whether the root shows the record already; then that is noted, without a call and without a token."""
        with suppress(RecordDamagedError):
            thread = self._store.read(key)
            if thread is None or not self._calls.is_unchanged(thread):
                return False
            if self._parts.threads.record_unchanged(lease, key, thread.revision):
                self._parts.looked()  # a request may wait for it
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
        self.busy_with = None
        parts.looked()
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
