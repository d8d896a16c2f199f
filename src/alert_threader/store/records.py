"""The records of a SQLite store, encoded, in memory: what was committed last, and which of them cannot be read."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from alert_threader.errors import RecordDamagedError
from alert_threader.threads import AlertThread
from alert_threader.threads.schema import decode

log = logging.getLogger(__name__)


class Records:
    """Records by key. Safe to use from several threads: each change is one step of a dictionary."""

    def __init__(self, database: Path, records: Iterable[tuple[str, bytes]]) -> None:
        """Take the records that the database has; its name is for the advice on those that cannot be read."""
        self._database = database
        self._records = dict(records)
        self._damaged: set[str] = set()

    def put(self, changed: Mapping[str, bytes | None]) -> None:
        """Take in what was committed; None for a record that was dropped."""
        for key, record in changed.items():
            if record is None:
                self._records.pop(key, None)
            else:
                self._records[key] = record

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store."""
        record = self._records.get(key)
        return None if record is None else self._decoded(key, record)

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
