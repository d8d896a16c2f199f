"""The records of a SQLite store in memory: what was committed last, and which of them cannot be read.

All are kept encoded, as they take a third of the room; those used last are kept decoded too.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from alert_threader.errors import RecordDamagedError
from alert_threader.store.recent import Recent
from alert_threader.threads import AlertThread
from alert_threader.threads.schema import decode

log = logging.getLogger(__name__)


class _Decoded(NamedTuple):
    """A record, and the bytes that it was read from or written to: it holds as long as they are the stored ones."""

    record: bytes
    thread: AlertThread


class Records:
    """Records by key. Safe to use from several threads: each change is one step of a dictionary."""

    def __init__(self, database: Path, records: Iterable[tuple[str, bytes]]) -> None:
        """Take the records that the database has; its name is for the advice on those that cannot be read."""
        self._database = database
        self._records = dict(records)
        self._damaged: set[str] = set()
        self._recent = Recent[_Decoded]()

    def put(self, key: str, record: bytes, thread: AlertThread) -> None:
        """Take in a record that was committed, encoded and as it is."""
        self._records[key] = record
        self._recent.put(key, _Decoded(record, thread), len(record))

    def drop(self, key: str) -> None:
        """Take in that a record was dropped."""
        self._records.pop(key, None)
        self._recent.put(key, None)

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store. The same object as long as nothing else is stored."""
        record = self._records.get(key)
        if record is None:
            return None
        known = self._recent.get(key)
        if known is not None and known.record is record:
            return known.thread
        thread = self._decoded(key, record)
        self._recent.put(key, _Decoded(record, thread), len(record))
        return thread

    def threads(self) -> Iterator[AlertThread]:
        """All records; see Store."""
        for key, record in list(self._records.items()):
            with suppress(RecordDamagedError):
                yield self._decoded(key, record)

    def is_damaged(self, key: str) -> bool:
        """Whether a record could not be read when it was needed."""
        return key in self._damaged

    def warnings(self) -> list[str]:
        """A line for each record that could not be read when it was needed."""
        return [self._advice(key) for key in sorted(self._damaged)]

    def _decoded(self, key: str, record: bytes) -> AlertThread:
        try:
            return decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if key not in self._damaged:
                self._damaged.add(key)
                log.error("%s", self._advice(key))  # noqa: TRY400 - one line
            raise RecordDamagedError(self._advice(key)) from error

    def _advice(self, key: str) -> str:
        return (
            f"the record of {key[:80]!r} in {self._database} cannot be read, its thread stands still: restart the "
            "service, which takes it from its readable copy, or restore a backup"
        )
