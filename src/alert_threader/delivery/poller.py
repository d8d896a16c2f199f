"""When the Alertmanager clusters are polled. One process at a time does it."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing, suppress

from alert_threader.delivery.reconciler import Reconciler
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.store.base import Store
from alert_threader.store.tokens import Budget

log = logging.getLogger(__name__)

#: How long to wait after an unexpected fault, and with RECONCILE_EVERY=0 before trying again when no cluster answered,
#: in seconds.
_IDLE = 60.0
#: The shortest pause between two polls, in seconds, however many threads have just opened. A poll for new threads
#: waits _PAUSE_FACTOR times as long as the last poll took.
_LEAST = 1.0
_PAUSE_FACTOR = 10
#: How much longer the other processes wait than the one that made the last poll, in seconds: only that one knows when
#: each alert was last seen.
_HEAD_START = 3.0
_LANE = "poll"


class Poller:
    """Polls until it is stopped. ``start`` and ``stop`` it once; without clusters it does nothing."""

    def __init__(self, reconciler: Reconciler, store: Store, every: float) -> None:
        """Take what polls, and RECONCILE_EVERY in seconds, 0 for never."""
        self._reconciler = reconciler
        self._store = store
        self._every = every
        self._wanted = threading.Event()
        self._guard = threading.Lock()
        self._keys: set[str] = set()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="poller", daemon=True)
        self._is_mine = False

    def start(self) -> None:
        """Begin to poll."""
        if self._reconciler.names:
            self._watcher.start()

    def begin_stop(self) -> None:
        """Stop polling; return at once."""
        self._stopping.set()
        self._wanted.set()

    def stop(self, timeout: float) -> None:
        """Stop polling; wait up to ``timeout`` seconds for a poll under way."""
        self.begin_stop()
        if self._watcher.ident is not None:
            self._watcher.join(timeout)

    def look(self, keys: Collection[str]) -> None:
        """Poll soon: it is not known yet which cluster has these threads' alerts."""
        with self._guard:
            self._keys.update(keys)
        self._wanted.set()

    def _watch(self) -> None:
        wait = rested_at = 0.0
        while not self._stopping.is_set():
            due = time.monotonic() + wait
            if is_wanted := self._wanted.wait(wait):
                # A look at a large Alertmanager takes long, and is not made for each thread that opens.
                self._stopping.wait(max(min(rested_at, due) - time.monotonic(), 0))
            self._wanted.clear()
            began = time.monotonic()
            try:
                wait = self._poll_alone(is_wanted=is_wanted)
            except StoreError as error:
                log.warning("Alertmanager was not polled: %s", error)
                wait = _LEAST
            except Exception:
                log.exception("polling Alertmanager failed; trying again in a minute")
                wait = _IDLE
            rested_at = time.monotonic() + _PAUSE_FACTOR * (time.monotonic() - began)
            self._stopping.wait(_LEAST)
            wait = max(wait - _LEAST, 0)

    def _poll_alone(self, *, is_wanted: bool) -> float:
        """Look, unless another process does, or did a moment ago; return the seconds until it is time again."""
        every = self._every
        wait = self._store.take(_LANE, Budget(1 / every, 1)) if every else _IDLE
        if wait > 0 and not is_wanted and (every or not self._keys):
            return self._leave_to_others(wait)
        lease = self._store.claim(_LANE)
        if lease is None:
            if is_wanted:
                self._wanted.set()
            return every or _IDLE
        with self._guard:
            keys, self._keys = self._keys, set()
        with closing(_Held(lambda: self._store.release(lease))):
            is_done = False
            try:
                is_done = self._reconciler.poll(keys if wait > 0 else None)
            finally:
                if not is_done:
                    self._again(keys)
        self._is_mine = self._is_mine or wait <= 0
        return wait or every

    def _again(self, keys: Collection[str]) -> None:
        """Look for these threads' clusters once more, when it is time."""
        with self._guard:
            self._keys.update(keys)

    def _leave_to_others(self, wait: float) -> float:
        """The seconds until this process may poll. If another one made the last poll, its numbers count, not ours."""
        if self._is_mine:
            self._is_mine = False
            return wait
        self._reconciler.leave()
        return wait + _HEAD_START


class _Held:
    """A lease, as something to close."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release

    def close(self) -> None:
        """Release it; a lease that cannot be released expires."""
        with suppress(LeaseLostError, StoreError):
            self._release()
