"""The request that waits for Slack a moment, so that on a quiet day its answer names the threads."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

from alert_threader.delivery.sender import LOOK, Sender
from alert_threader.delivery.store_watch import StoreWatch
from alert_threader.errors import StoreError
from alert_threader.store.base import Store
from alert_threader.threads import AlertThread, is_delivered, slack_lane

#: How many requests may wait. In a storm the others are answered at once.
_MAX_WAITING = 4


class Waiting:
    """Lets requests wait until their threads are delivered, while that is what their senders do now.

    ``looked`` is to be called after every outcome, and when a sender has seen what it can do next.
    """

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
        self._looks = 0
        self._places = threading.Semaphore(_MAX_WAITING)
        #: Lanes in which others came first, and until when nobody need look again (monotonic).
        self._queued_until: dict[str, float] = {}
        self._ended = False

    def looked(self) -> None:
        """Something was delivered or begun, or cannot be yet: look again."""
        with self._changed:
            self._looks += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody wait any more."""
        self._ended = True
        self.looked()

    def is_delivered(self, thread: AlertThread) -> bool:
        """Whether Slack shows all of a thread, but for an edit that is held back to gather more."""
        return is_delivered(thread, self._clock())

    def wait_until_delivered(self, threads: Sequence[AlertThread], timeout: float) -> list[AlertThread]:
        """Wait up to ``timeout`` seconds until Slack shows all of these threads; return them as they are then.

        Only while their messages can go out now: not for our own pacing, not for a channel in trouble, and not behind
        others. A sender that posts one webhook after the other must not be held to Slack's pace.
        """
        if timeout <= 0 or all(map(self.is_delivered, threads)) or len(threads) > self._burst:
            return list(threads)
        if any(sender.is_slow for sender in self._senders(threads)) or not self._places.acquire(blocking=False):
            return list(threads)
        try:
            return self._wait(threads, time.monotonic() + timeout)
        finally:
            self._places.release()

    def _wait(self, threads: Sequence[AlertThread], until: float) -> list[AlertThread]:
        keys = {thread.key for thread in threads}
        try:
            if self._is_behind(threads, keys):
                return list(threads)  # as they were stored a moment ago: in a storm nobody reads them again
            while True:
                looks = self._looks
                if not any(sender.busy_with in keys for sender in self._senders(threads)):
                    threads = [self._store.read(thread.key) or thread for thread in threads]
                left = until - time.monotonic()
                if self._ended or all(map(self.is_delivered, threads)) or self._is_behind(threads, keys):
                    break
                if left <= 0:
                    for sender in self._senders(threads):
                        sender.waited_in_vain()
                    break
                self._await_look(looks, left)
        except StoreError as error:
            # The notification is stored; only whether it is delivered is not known.
            self._store_watch.failed(error)
        return list(threads)

    def _await_look(self, looks: int, left: float) -> None:
        with self._changed:
            # In a shared store another process may deliver it.
            wait = min(left, LOOK) if self._store.shared else left
            self._changed.wait_for(lambda: self._looks != looks or self._ended, wait)

    def _is_behind(self, threads: Sequence[AlertThread], keys: Collection[str]) -> bool:
        """Whether something else comes first: another thread, our own pace, or a channel in trouble."""
        senders = self._senders(threads)
        if any(sender.is_held_back or sender.is_in_trouble for sender in senders):
            return True
        if any(sender.busy_with not in {None, *keys} for sender in senders):
            return True
        return self._store.shared and any(self._is_queued(lane, keys) for lane in self._lanes(threads))

    def _is_queued(self, lane: str, keys: Collection[str]) -> bool:
        """Whether more is due in a lane that another process may work; in a storm it stays so for a moment."""
        sender = self._sender_of(lane)
        if sender is not None and sender.is_running:
            return False
        now = time.monotonic()
        if now < self._queued_until.get(lane, 0.0):
            return True
        is_queued = any(item.key not in keys for item in self._store.due(lane, self._clock()))
        if is_queued:
            self._queued_until[lane] = now + LOOK
        return is_queued

    def _senders(self, threads: Sequence[AlertThread]) -> list[Sender]:
        found = (self._sender_of(lane) for lane in self._lanes(threads))
        return [sender for sender in found if sender is not None]

    @staticmethod
    def _lanes(threads: Sequence[AlertThread]) -> set[str]:
        return {slack_lane(thread.channel) for thread in threads}
