"""Delivery: from what a thread needs to a call to Slack, and back. The only sleeper.

One thread watches for channels with something to tell; each such channel gets a sender, which holds the channel's lease
until nothing more is due, and longer where no other process wants it. A sender stores the attempt, calls Slack, and
writes the outcome down before it looks again: a crash leaves either no trace or an attempt that can be looked up.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from alert_threader.delivery.slack_calls import METHODS, Caller
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.store.base import LEASE_TTL, Due, Lease, Store
from alert_threader.store.tokens import TIER_3_BURST, TIER_3_RATE, Budget
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import AlertThread, NotFound, Outcome, Posted, Step, pending, plan

log = logging.getLogger(__name__)

#: How often the store is asked for work that nobody announced (another process took the webhook, a lease ran out), in
#: seconds.
_POLL = 1.0
#: How often time is let pass for the threads (stale, closed), in seconds.
_EXPIRE_EVERY = 60.0
#: A sender stays for work that is due this soon, in seconds. Where nobody shares the store, it stays for any, longer.
_LINGER = 5.0
_STAY = 10 * 60.0
#: How often what other processes have done is looked for, in seconds.
_LOOK = 0.2
#: How long a sender that can tell nothing yet lets new work gather before it looks at it, in seconds.
_NAP = 0.2
#: When a request has waited in vain, no other one waits for that channel until all is told, or for so long, in seconds.
_IN_VAIN = 10.0
#: How many requests may wait for their alerts to be told. In a storm the others are answered at once.
_MAX_WAITERS = 4


class _Channel:
    """What a sender must know of its channel between two calls. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        #: How many threads had something due at the last look, and whether none of it could be told yet.
        self.due = 0
        self.held_back = False
        #: Whether our own pacing is what holds back.
        self.paced = False
        self.paused_until = 0.0
        #: Another process speaks to the channel: it will see what there is to do.
        self.taken_until = 0.0
        #: A request has waited for Slack in vain.
        self.slow_until = 0.0
        self.limited_until: dict[str, float] = {}


class Deliverer:
    """Tells Slack what the store holds, as long as it runs. ``start`` and ``stop`` it once."""

    def __init__(
        self,
        store: Store,
        caller: Caller,
        metrics: Metrics,
        *,
        rate: float = 1.0,
        burst: float = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; ``clock`` is the time of day.

        ``rate`` is the posts a second to one channel, edits go up and down with it; ``burst`` the posts at once after a
        pause.
        """
        self._store = store
        #: Knows what is wrong with Slack.
        self.caller = caller
        self._metrics = metrics
        self._post_budget = Budget(rate, burst)
        self._edit_budget = Budget(TIER_3_RATE * rate, TIER_3_BURST * rate)
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._senders: dict[str, tuple[Lease, threading.Thread]] = {}
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._told = threading.Condition()
        self._settled = 0
        self._waiters = threading.Semaphore(_MAX_WAITERS)
        self._store_fails = False
        self._watcher = threading.Thread(target=self._watch, name="delivery", daemon=True)

    # -- for the service ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with what is pending, without waiting for a webhook."""
        self._watcher.start()

    def stop(self, timeout: float) -> bool:
        """Take up no more work, and wait up to so many seconds for the calls in flight. Whether all ended."""
        until = time.monotonic() + timeout
        self._stopping.set()
        with self._guard:
            for channel in self._channels.values():
                channel.wake.set()
        self._wake.set()
        with self._told:
            self._told.notify_all()
        if self._watcher.ident is not None:
            self._watcher.join(max(until - time.monotonic(), 0))
        with self._guard:
            senders = [sender for _, sender in self._senders.values()]
        for sender in senders:
            sender.join(max(until - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in (self._watcher, *senders))

    def wake(self, channels: Iterable[str]) -> None:
        """Look now for work in these channels, as far as anything could be done about it."""
        for name in channels:
            channel = self._channels.get(name)
            if name in self._senders and channel is not None:
                channel.wake.set()
            elif channel is None or max(channel.paused_until, channel.taken_until) <= time.monotonic():
                self._wake.set()

    def wait_told(self, threads: Sequence[AlertThread], timeout: float) -> list[AlertThread]:
        """Wait up to so many seconds until Slack shows all of these threads; return them as they are then.

        Not at all when others wait already or have waited in vain, or when more is to be told than Slack takes at once:
        in a storm every answer would come late.
        """
        if timeout <= 0 or all(map(self.is_told, threads)) or self._is_storm(threads):
            return list(threads)
        if not self._waiters.acquire(blocking=False):
            return list(threads)
        until = time.monotonic() + timeout
        try:
            while True:
                settled = self._settled
                threads = [self._store.read(thread.key) or thread for thread in threads]
                left = until - time.monotonic()
                if self._stopping.is_set() or all(map(self.is_told, threads)):
                    break
                if left <= 0:
                    for thread in threads:
                        self._channel(thread.channel).slow_until = until + _IN_VAIN
                    break
                with self._told:
                    # Another process may tell them.
                    wait = min(left, _LOOK) if self._store.shared else left
                    self._told.wait_for(lambda seen=settled: self._settled != seen or self._stopping.is_set(), wait)  # type: ignore[misc]
        except StoreError as error:
            # What the webhook said is stored; only how far it is told is not known.
            self._note_store_trouble(error)
        finally:
            self._waiters.release()
        return list(threads)

    def _is_storm(self, threads: Sequence[AlertThread]) -> bool:
        channels = [self._channel(name) for name in {thread.channel for thread in threads}]
        if any(channel.slow_until > time.monotonic() for channel in channels):
            return True
        return max(len(threads), *(channel.due for channel in channels)) > self._post_budget.burst

    def is_told(self, thread: AlertThread) -> bool:
        """Whether Slack shows all of a thread, but for an edit that is held back to gather more."""
        if not pending(thread):
            return True
        if thread.untold or thread.attempt or thread.ts is None or thread.failures or thread.shown.unsure_until:
            return False
        action = plan(thread)
        return action is None or (action.step is Step.UPDATE_ROOT and action.at > self._clock())

    # -- watching -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        expire_at = 0.0
        while not self._stopping.is_set():
            wait = _POLL
            try:
                with self._metrics.store.measure("other"):
                    self._hold_leases()
                    wait = min(wait, self._engage())
                    if time.monotonic() >= expire_at:
                        expire_at = time.monotonic() + _EXPIRE_EVERY
                        self._store.expire(self._clock())
                if self._store.shared:
                    self._note_store_works()
            except StoreError as error:
                self._note_store_trouble(error)
            except Exception:
                log.exception("delivery stumbled and goes on")
            self._wake.wait(wait)
            self._wake.clear()

    def _hold_leases(self) -> None:
        """Renew the leases of all senders, also of one that waits for Slack. One that has lost it will find out."""
        with self._guard:
            leases = [lease for lease, _ in self._senders.values()]
        for lease in leases:
            with suppress(LeaseLostError):
                self._store.renew(lease)

    def _engage(self) -> float:
        """Start a sender for each channel that has something due; return the seconds until another one may have."""
        now = self._clock()
        soonest = _POLL
        for name, at in self._store.waiting().items():
            if name in self._senders:
                continue
            channel = self._channel(name)
            if channel.paused_until > time.monotonic():
                continue
            if at > now:
                soonest = min(soonest, at - now)
                if not self._store.due(name, now):
                    continue
            lease = self._store.claim(name)
            if lease is not None:
                self._send_from(lease, channel)
            else:
                channel.taken_until = time.monotonic() + _LOOK
                soonest = min(soonest, _LOOK)
        return soonest

    def _channel(self, name: str) -> _Channel:
        with self._guard:
            return self._channels.setdefault(name, _Channel())

    def _send_from(self, lease: Lease, channel: _Channel) -> None:
        sender = threading.Thread(
            target=self._send, args=(lease, channel), name=f"delivery-{lease.channel}", daemon=True
        )
        with self._guard:
            self._senders[lease.channel] = (lease, sender)
        try:
            sender.start()
        except RuntimeError:
            # No more threads are to be had: the channel must not stay taken by one that never was.
            with self._guard:
                del self._senders[lease.channel]
            self._store.release(lease)
            raise

    # -- sending ------------------------------------------------------------------------------------------------

    def _send(self, lease: Lease, channel: _Channel) -> None:
        stay, look = (0.0, _LOOK) if self._store.shared else (_STAY, _POLL)
        worked_at = time.monotonic()
        try:
            while not self._stopping.is_set():
                channel.wake.clear()
                wait = self._step(lease, channel)
                if wait <= 0:
                    worked_at = time.monotonic()
                elif wait > _LINGER and not channel.held_back and time.monotonic() >= worked_at + stay:
                    break
                else:
                    self._rest(channel, min(wait, look))
        except LeaseLostError as error:
            # Where nobody shares the store, this process stood still, and claims the channel again.
            log.log(logging.WARNING if self._store.shared else logging.INFO, "%s: leaving it alone", error)
        except StoreError as error:
            self._note_store_trouble(error)
            self._stopping.wait(_POLL)
        except Exception:
            log.exception("the sender for %s stumbled and starts again", lease.channel)
            self._stopping.wait(_POLL)
        finally:
            self._leave(lease)

    def _rest(self, channel: _Channel, wait: float) -> None:
        """Wait for the next thing to do. While it is held back, a storm of webhooks is not looked at one by one."""
        began = time.monotonic()
        if channel.wake.wait(wait) and channel.held_back:
            self._stopping.wait(min(wait, _NAP))
        if channel.paced:
            self._metrics.slack.paced(time.monotonic() - began)

    def _leave(self, lease: Lease) -> None:
        try:
            self._store.release(lease)
        except StoreError as error:
            self._note_store_trouble(error)
        finally:
            with self._guard:
                del self._senders[lease.channel]
            # Work that came while this sender was leaving is the watcher's to find.
            self._wake.set()

    def _step(self, lease: Lease, channel: _Channel) -> float:
        """Do the most pressing thing that pacing allows; return how many seconds to wait for the next."""
        item, wait = self._choose(lease, channel)
        if item is None:
            return wait
        asked = time.monotonic()
        attempt_id = uuid.uuid4().hex
        try:
            with self._metrics.store.measure("start_attempt"):
                begun = self._store.begin(lease, item.key, attempt_id, self._clock())
        except LeaseLostError:
            raise
        except StoreError as error:
            # It may have been stored all the same. Nobody was told, so there is nothing to look up.
            self._note_store_trouble(error)
            if not self._stopping.wait(_POLL):
                self._settle(lease, item.key, attempt_id, NotFound())
            return 0
        if begun is None:
            return 0
        thread, action = begun
        attempt_id = thread.under_way
        if time.monotonic() - asked > LEASE_TTL / 2:
            # This process stood still (stopped, swapped out). Its successor may have told it already.
            raise LeaseLostError(f"the lease on {lease.channel} may have passed to another sender")
        verdict = self.caller.call(thread, action)
        now = time.monotonic()
        channel.paused_until = now + verdict.pause
        channel.limited_until[METHODS[action.step]] = now + verdict.limit
        self._settle(lease, item.key, attempt_id, verdict.outcome)
        if isinstance(verdict.outcome, Posted) and thread.attempt is not None:
            self._metrics.delivery.delivered(self._clock() - event.at for event in thread.attempt.batch.events.values())
        # Where this process cannot reach Slack, another may.
        return float("inf") if verdict.pause and self._store.shared else 0

    def _choose(self, lease: Lease, channel: _Channel) -> tuple[Due | None, float]:
        """The first of the due actions that may be done now, or the seconds until one may; infinite for none."""
        now = time.monotonic()
        waits: dict[str, float] = {}
        items = self._store.due(lease.channel, self._clock())
        channel.due, channel.held_back, channel.paced = len(items), False, False
        for item in items:
            method = METHODS[item.action.step]
            if method in waits:
                continue
            waits[method] = max(channel.paused_until, channel.limited_until.get(method, 0.0)) - now
            if waits[method] <= 0:
                waits[method] = self._take(method, lease.channel)
                channel.paced = waits[method] > 0
            if waits[method] <= 0:
                return item, 0
        if waits:
            channel.held_back = True
            return None, min(waits.values())
        if not items:
            channel.slow_until = 0.0
        later = self._store.waiting().get(lease.channel, float("inf")) - self._clock()
        return None, max(later, 0.01)

    def _take(self, method: str, channel: str) -> float:
        """Use a token of the method's budget, or the seconds until there is one."""
        # Edits and look-ups are limited for the whole workspace, posts for each channel.
        if method == METHODS[Step.POST_ROOT]:
            return self._store.take(f"{method}:{channel}", self._post_budget)
        return self._store.take(method, self._edit_budget)

    def _settle(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome) -> None:
        """Write the outcome down, however long the store is away: otherwise it would have to be looked up."""
        holder: Lease | None = lease
        while holder is not None:
            try:
                with self._metrics.store.measure("record_outcome"):
                    self._store.settle(holder, key, attempt_id, outcome, self._clock())
                break
            except LeaseLostError:
                # It ran out in an outage, say, and perhaps nobody else has claimed the channel since.
                holder = self._claim_again(lease.channel)
            except StoreError as error:
                self._note_store_trouble(error)
                if self._stopping.wait(_POLL):
                    return  # the attempt is stored: the next process looks its outcome up
        if holder is None:
            raise LeaseLostError(f"the lease on {lease.channel} has passed to another sender")
        self._note_store_works()
        with self._told:
            self._settled += 1
            self._told.notify_all()
        if holder is not lease:
            self._store.release(holder)

    def _claim_again(self, channel: str) -> Lease | None:
        while not self._stopping.is_set():
            try:
                return self._store.claim(channel)
            except StoreError as error:
                self._note_store_trouble(error)
                self._stopping.wait(_POLL)
        return None

    def _note_store_works(self) -> None:
        if self._store_fails:
            self._store_fails = False
            log.warning("delivery goes on: the store works again")

    def _note_store_trouble(self, error: StoreError) -> None:
        self._store_fails = True
        log.error("delivery waits for the store: %s", error)
