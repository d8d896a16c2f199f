"""The lock that makes one process the owner of a file store."""

import fcntl
import logging
import os
import time
from pathlib import Path

from alert_threader.errors import StoreError, StoreLockedError
from alert_threader.store.disk import advice

log = logging.getLogger(__name__)

#: How often a process that waits for another to let go looks again, in seconds.
_POLL = 0.05


class FileLock:
    """An flock on a file of its own: the store's file is replaced at every commit, and a lock with it.

    The kernel gives it back when its process ends, however it ends.
    """

    def __init__(self, guarded: Path, wait: float) -> None:
        """Take the lock for a file, waiting up to ``wait`` seconds.

        Raises StoreLockedError, and StoreError where there can be no such file.
        """
        try:
            guarded.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(guarded.with_name(guarded.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(advice(guarded, error)) from error
        try:
            self._take(guarded, wait)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def released(self) -> bool:
        """Whether the lock was given back."""
        return self._descriptor < 0

    def release(self) -> None:
        """Give the lock back. More than once does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, guarded: Path, wait: float) -> None:
        until = time.monotonic() + wait
        waited = False
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                owner = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() >= until:
                raise StoreLockedError(
                    f"{guarded} is in use by process {owner}: one process owns a file store; stop that "
                    "one, give this one another THREAD_STORE_FILE, or use THREAD_STORE=redis"
                )
            if not waited:
                log.info("waiting for process %s to let go of %s", owner, guarded)
                waited = True
            time.sleep(_POLL)
