"""The records of a SQLite store as everybody but its writer sees them, and those that cannot be read."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from alert_threader.errors import RecordDamagedError, StoreError
from alert_threader.store.database import complaint, read_only, rows
from alert_threader.store.lock import advice
from alert_threader.threads import AlertThread
from alert_threader.threads.schema import decode

log = logging.getLogger(__name__)


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Turn what SQLite and the disk complain about into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(advice(database, error)) from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot keep threads in {database}: {complaint(error)}") from error


class Records:
    """Reads a database by a connection of its own. Safe to use from several threads; errors are those of Store."""

    def __init__(self, database: Path) -> None:
        """Open the database, which there must be."""
        self._database = database
        self._guard = threading.Lock()
        #: The keys of those that could not be read when they were needed.
        self._damaged: set[str] = set()
        self._connection = read_only(database)

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store."""
        with self._guard, explained(self._database):
            found = self._connection.execute("SELECT record FROM thread WHERE key = ?", (key,)).fetchone()
        return None if found is None else self.decoded(key, found[0])

    def threads(self) -> Iterator[AlertThread]:
        """All records; see Store."""
        with explained(self._database), closing(read_only(self._database)) as connection:
            found = list(rows(connection))
        for key, record in found:
            try:
                yield self.decoded(key, record)
            except RecordDamagedError:
                continue

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        with self._guard, explained(self._database):
            return dict(self._connection.execute("SELECT key, ts FROM thread WHERE ts IS NOT NULL"))

    def decoded(self, key: str, record: bytes) -> AlertThread:
        """Decode a record. Raises RecordDamagedError, and remembers and logs it the first time."""
        try:
            return decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if key not in self._damaged:
                self._damaged.add(key)
                log.error("%s", self._advice(key))  # noqa: TRY400 - one line
            raise RecordDamagedError(self._advice(key)) from error

    def is_damaged(self, key: str) -> bool:
        """Whether a record could not be read when it was needed."""
        return key in self._damaged

    def warnings(self) -> list[str]:
        """A line for each record that could not be read when it was needed."""
        return [self._advice(key) for key in sorted(self._damaged)]

    def reopen(self) -> None:
        """Read from the database that has taken the name of the one that was there."""
        with self._guard:
            self._connection.close()
            self._connection = read_only(self._database)

    def close(self) -> None:
        """Let go of the database."""
        with self._guard:
            self._connection.close()

    def _advice(self, key: str) -> str:
        return (
            f"the record of {key[:80]!r} in {self._database} cannot be read, its thread stands still: restart the "
            "service, which takes it from its readable copy, or restore a backup"
        )
