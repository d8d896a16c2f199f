"""The request that waits for Slack a moment, so that on a quiet day its answer names the threads."""

import threading
import time
from collections.abc import Callable, Sequence

from alert_threader.delivery.sender import LOOK, Sender
from alert_threader.delivery.store_watch import StoreWatch
from alert_threader.errors import StoreError
from alert_threader.store.base import Store
from alert_threader.threads import AlertThread, is_delivered, slack_lane

#: How many requests may wait. In a storm the others are answered at once.
_MAX_WAITING = 4


class Waiting:
    """Lets requests wait until their threads are delivered. ``recorded`` is to be called after every outcome."""

    def __init__(
        self,
        store: Store,
        sender_of: Callable[[str], Sender | None],
        store_watch: StoreWatch,
        *,
        burst: float,
        clock: Callable[[], float],
    ) -> None:
        """``sender_of`` finds a lane's sender; ``burst`` is how many messages a lane takes at once."""
        self._store = store
        self._sender_of = sender_of
        self._store_watch = store_watch
        self._burst = burst
        self._clock = clock
        self._changed = threading.Condition()
        self._outcomes = 0
        self._places = threading.Semaphore(_MAX_WAITING)
        self._ended = False

    def recorded(self) -> None:
        """An outcome was recorded: look again."""
        with self._changed:
            self._outcomes += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody wait any more."""
        self._ended = True
        self.recorded()

    def is_delivered(self, thread: AlertThread) -> bool:
        """Whether Slack shows all of a thread, but for an edit that is held back to gather more."""
        return is_delivered(thread, self._clock())

    def wait_until_delivered(self, threads: Sequence[AlertThread], timeout: float) -> list[AlertThread]:
        """Wait up to ``timeout`` seconds until Slack shows all of these threads; return them as they are then.

        Not at all when others wait already or have waited in vain, or when more is due than Slack takes at once: in a
        storm every answer would come late.
        """
        if timeout <= 0 or all(map(self.is_delivered, threads)) or self._is_storm(threads):
            return list(threads)
        if not self._places.acquire(blocking=False):
            return list(threads)
        try:
            return self._wait(threads, time.monotonic() + timeout)
        finally:
            self._places.release()

    def _wait(self, threads: Sequence[AlertThread], until: float) -> list[AlertThread]:
        try:
            while True:
                outcomes = self._outcomes
                threads = [self._store.read(thread.key) or thread for thread in threads]
                left = until - time.monotonic()
                if self._ended or all(map(self.is_delivered, threads)):
                    break
                if left <= 0:
                    for sender in self._senders(threads):
                        sender.waited_in_vain()
                    break
                self._await_outcome(outcomes, left)
        except StoreError as error:
            # The notification is stored; only whether it is delivered is not known.
            self._store_watch.failed(error)
        return list(threads)

    def _await_outcome(self, outcomes: int, left: float) -> None:
        with self._changed:
            # In a shared store another process may deliver it.
            wait = min(left, LOOK) if self._store.shared else left
            self._changed.wait_for(lambda: self._outcomes != outcomes or self._ended, wait)

    def _is_storm(self, threads: Sequence[AlertThread]) -> bool:
        senders = self._senders(threads)
        if any(sender.is_slow for sender in senders):
            return True
        return max(len(threads), *(sender.due for sender in senders), 0) > self._burst

    def _senders(self, threads: Sequence[AlertThread]) -> list[Sender]:
        found = (self._sender_of(slack_lane(channel)) for channel in {thread.channel for thread in threads})
        return [sender for sender in found if sender is not None]
