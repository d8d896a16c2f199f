"""Delivery as a whole: one thread watches for lanes with something pending, each such lane gets a sender.

A sender holds its lane's lease until nothing more is due, and longer where no other process wants it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from alert_threader.delivery.calls import Calls
from alert_threader.delivery.sender import LOOK, Parts, Sender
from alert_threader.delivery.store_watch import StoreWatch
from alert_threader.delivery.waiting import Waiting
from alert_threader.errors import NO_THREADS, LeaseLostError, StoreError
from alert_threader.store.base import Lease
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

#: How often the store is asked for work that nobody announced (another process took the webhook, a lease expired), in
#: seconds.
_POLL = 1.0
#: How often threads are let age (stale, dropped), in seconds.
_AGE_EVERY = 60.0


class Deliverer:
    """Delivers what the store holds, as long as it runs. ``start`` and ``stop`` it once."""

    def __init__(
        self,
        threads: Threads,
        calls: Mapping[str, Calls],
        metrics: Metrics,
        *,
        burst: float = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts. ``calls`` are by the kind of lane; ``clock`` is the time of day.

        ``burst`` is how many messages a lane takes at once: no request waits for more.
        """
        self._threads = threads
        self._store = threads.store
        self._calls = calls
        self._metrics = metrics
        self._clock = clock
        self._guard = threading.Lock()
        self._senders: dict[str, Sender] = {}
        self._running: dict[str, tuple[Lease, threading.Thread]] = {}
        #: Lanes that another process works, until then (monotonic): it will see what there is to do.
        self._taken_until: dict[str, float] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._store_watch = StoreWatch()
        self.waiting = Waiting(self._store, self._senders.get, self._store_watch, burst=burst, clock=clock)
        self._parts = Parts(
            threads, metrics, clock, self._stopping, self._store_watch, self.waiting.looked, self._recovered
        )
        self._watcher = threading.Thread(target=self._watch, name="delivery", daemon=True)

    def start(self) -> None:
        """Begin with what is pending, without waiting for a webhook."""
        self._watcher.start()

    def begin_stop(self) -> None:
        """Take up no more work, and let no request wait for any; return at once."""
        self._stopping.set()
        with self._guard:
            for sender in self._senders.values():
                sender.wake.set()
        self._wake.set()
        self.waiting.end()

    def stop(self, timeout: float) -> bool:
        """Take up no more work, and wait up to ``timeout`` seconds for the calls in flight. Whether all ended."""
        until = time.monotonic() + timeout
        self.begin_stop()
        if self._watcher.ident is not None:
            self._watcher.join(max(until - time.monotonic(), 0))
        with self._guard:
            running = [thread for _, thread in self._running.values()]
        for thread in running:
            thread.join(max(until - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in (self._watcher, *running))

    def wake(self, lanes: Iterable[str]) -> None:
        """Look now for work in these lanes, as far as anything could be done about it."""
        for lane in lanes:
            sender = self._senders.get(lane)
            if lane in self._running and sender is not None:
                sender.wake.set()
            elif max(sender.away_until if sender else 0.0, self._taken_until.get(lane, 0.0)) <= time.monotonic():
                self._wake.set()

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        age_at = 0.0
        while not self._stopping.is_set():
            wait = _POLL
            try:
                with self._metrics.store.measure("other"):
                    self._renew_leases()
                    wait = min(wait, self._start_senders())
                    if time.monotonic() >= age_at:
                        age_at = time.monotonic() + _AGE_EVERY
                        self._threads.age(self._clock())
                if self._store.shared:
                    self._store_watch.worked()
            except StoreError as error:
                self._store_watch.failed(error)
            except Exception:
                log.exception("delivery failed and goes on")
            self._wake.wait(wait)
            self._wake.clear()

    def _renew_leases(self) -> None:
        """Renew the leases of all senders, also of one that waits for Slack. One that has lost it will find out."""
        with self._guard:
            leases = [lease for lease, _ in self._running.values()]
        for lease in leases:
            with suppress(LeaseLostError):
                self._store.renew(lease)

    def _start_senders(self) -> float:
        """Start a sender for each lane that has something due; return the seconds until another one may have."""
        now = self._clock()
        soonest = _POLL
        for lane, at in self._store.pending().items():
            sender = self._sender(lane)
            if lane in self._running or sender is None:
                continue
            if (away := sender.away_until - time.monotonic()) > 0:
                soonest = min(soonest, away)
                continue
            if at > now:
                soonest = min(soonest, at - now)
                if not self._store.due(lane, now):
                    continue
            lease = self._store.claim(lane)
            if lease is not None:
                self._run(sender, lease)
            else:
                self._taken_until[lane] = time.monotonic() + LOOK
                soonest = min(soonest, LOOK)
        return soonest

    def _recovered(self, methods: tuple[str, ...]) -> None:
        """Let every lane try methods again that work in one: Slack, or the way to it, was to blame."""
        with self._guard:
            senders = list(self._senders.values())
        for sender in senders:
            sender.try_again(methods)
        self._wake.set()

    def _sender(self, lane: str) -> Sender | None:
        """The lane's sender; None for a lane of a kind that only a newer version works."""
        calls = self._calls.get(lane.partition(":")[0])
        if calls is None:
            return None
        with self._guard:
            if lane not in self._senders:
                self._senders[lane] = Sender(lane, calls, self._parts)
            return self._senders[lane]

    def _run(self, sender: Sender, lease: Lease) -> None:
        thread = threading.Thread(target=self._work, args=(sender, lease), name=f"delivery-{sender.lane}", daemon=True)
        with self._guard:
            self._running[sender.lane] = (lease, thread)
        try:
            thread.start()
        except RuntimeError:
            # The lane must not stay claimed by a thread that never started. It is tried again with the next look.
            with self._guard:
                del self._running[sender.lane]
            self._store.release(lease)
            log.error("delivery to %s waits for a thread: %s", sender.lane, NO_THREADS)  # noqa: TRY400 - one line

    def _work(self, sender: Sender, lease: Lease) -> None:
        try:
            sender.run(lease)
        finally:
            with self._guard:
                del self._running[sender.lane]
            # Work that came while this sender was leaving is the watcher's to find.
            self._wake.set()
