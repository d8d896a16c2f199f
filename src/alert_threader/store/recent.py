"""The records that were used last, decoded: to decode a thread of a thousand alerts takes longer than to change it."""

import threading
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

#: How much is kept, in bytes of JSON: room for ten threads of 1,000 alerts that grow by turns. Decoded it is about
#: three times as much.
_LIMIT = 3 << 20


class _Kept(NamedTuple, Generic[T]):
    value: T
    size: int


class Recent(Generic[T]):
    """Records by key, in whatever form a store needs them.

    Safe to use from several threads, as nobody changes a record in place.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._guard = threading.Lock()
        #: The one used last is the last.
        self._records: dict[str, _Kept[T]] = {}

    def get(self, key: str) -> T | None:
        """The record as it was when it was last read or written here."""
        with self._guard:
            found = self._records.pop(key, None)
            if found is None:
                return None
            self._records[key] = found
            return found.value

    def put(self, key: str, record: T | None, size: int = 0) -> None:
        """Keep a record whose JSON takes ``size`` bytes; None for one that is gone."""
        with self._guard:
            if former := self._records.pop(key, None):
                self._size -= former.size
            if record is not None:
                self._records[key] = _Kept(record, size)
                self._size += size
            while self._size > self._limit:
                self._size -= self._records.pop(next(iter(self._records))).size
