"""The threads that answer requests."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from alert_threader.errors import NO_THREADS

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How many threads are left to delivery where the system allows too few, or nothing would reach Slack any more.
_ROOM = 2


class Pool(Generic[T]):
    """As many threads as are needed, up to a limit, and no more than the system allows.

    ``ThreadPoolExecutor`` raises where it gets no further thread, with the work in its queue, maybe for ever. Only one
    thread, the loop, may call the methods; ``is_idle`` every thread.
    """

    def __init__(self, work: Callable[[T], None], limit: int) -> None:
        """Take what is to be done with each item, which must not raise, and how many threads may do it."""
        self._work = work
        self._limit = limit
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    def start(self) -> None:
        """Start the first thread. Raises RuntimeError where the system allows none."""
        self._start_thread()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a thread."""
        return self._items.empty()

    def submit(self, item: T) -> None:
        """Have an item worked on, after those that wait already."""
        self._busy += 1
        self._items.put(item)
        if self._threads < min(self._busy, self._limit):
            try:
                self._start_thread()
            except RuntimeError:
                self._make_do()

    def done(self) -> None:
        """Count an item as worked on."""
        self._busy -= 1

    def shutdown(self, *, wait: bool = False) -> None:  # noqa: ARG002 - gunicorn's name for it, and how it calls it
        """Let the threads end with what they are doing."""
        self._end(self._threads)

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name=f"request-{self._threads}", daemon=True).start()
        self._threads += 1

    def _make_do(self) -> None:
        """Go on with fewer threads than wanted."""
        self._limit = max(self._threads - _ROOM, 1)
        self._end(self._threads - self._limit)
        log.error("%s; answering requests with %s threads", NO_THREADS, self._limit)

    def _end(self, threads: int) -> None:
        self._threads -= threads
        for _ in range(threads):
            self._items.put(None)

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._work(item)
