"""The records that were used last, decoded: where Redis still has the same revision, nothing more of it is read."""

import threading
from typing import NamedTuple

from alert_threader.errors import RecordDamagedError
from alert_threader.threads import AlertThread

#: How much is kept, in bytes of JSON. Decoded it is about three times as much.
_LIMIT = 4 << 20


class Found(NamedTuple):
    """A record as it is in Redis: its revision there, empty where there is none, and the lanes that list it.

    ``size`` is how many bytes of JSON it takes.
    """

    rev: bytes = b""
    thread: AlertThread | None = None
    lanes: tuple[str, ...] = ()
    size: int = 0
    damage: RecordDamagedError | None = None


class Recent:
    """Records by key. Safe to use from several threads, as nobody changes a record in place."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._guard = threading.Lock()
        #: The one used last is the last.
        self._records: dict[str, Found] = {}

    def get(self, key: str) -> Found | None:
        """The record as it was when it was last read or written here."""
        with self._guard:
            found = self._records.pop(key, None)
            if found is not None:
                self._records[key] = found
            return found

    def put(self, key: str, found: Found) -> None:
        """Keep a record; nothing of one that is gone."""
        with self._guard:
            former = self._records.pop(key, None)
            self._size -= 0 if former is None else former.size
            if found.thread is not None:
                self._records[key] = found
                self._size += found.size
            while self._size > self._limit:
                self._size -= self._records.pop(next(iter(self._records))).size
