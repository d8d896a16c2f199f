"""The SQLite file of a file store: opened, checked, written, and rebuilt when somebody took it away.

One connection writes and checkpoints; every other is read-only: SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that
two connections write and checkpoint (https://www.sqlite.org/wal.html#walreset). This process never opens the file by
other means than SQLite: closing any descriptor of it would give up SQLite's locks
(https://www.sqlite.org/howtocorrupt.html, 2.2).
"""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.store.disk import advice, sync_file, sync_folder

#: Beside the database: its write-ahead log, and the log's index, which is made anew where it is missing.
_COMPANIONS = ("-wal", "-shm")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS thread
    (key TEXT PRIMARY KEY, ts TEXT, record BLOB NOT NULL, plan BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
#: Raised when an older release could not read the tables.
_VERSION = 3
#: Rows that one statement writes: Python's lock is given up once for each statement, and is not soon had back.
_ROWS = 64

#: How long a connection waits for a lock that another holds, in seconds.
_PATIENCE = 5.0

#: Which file a name leads to: device and inode.
_Identity = tuple[int, int]


class Row(NamedTuple):
    """A thread as it is kept: its record and its plan, both encoded, and a checksum, for SQLite has none of content."""

    key: str
    ts: str | None
    record: bytes
    plan: bytes
    crc: int


def row(key: str, ts: str | None, record: bytes, plan: bytes) -> Row:
    """A thread's row with its checksum."""
    return Row(key, ts, record, plan, _crc(key, ts, record, plan))


def files_of(path: Path) -> tuple[Path, ...]:
    """The database's file and those beside it, whether they are there or not."""
    return (path, *(path.with_name(path.name + end) for end in _COMPANIONS))


def read_only(path: Path) -> sqlite3.Connection:
    """Open a database to read it, beside the process that writes it or alone. Raises sqlite3.Error."""
    # Without a log nobody has it open, and SQLite would make one, perhaps as a user whose files the service cannot use.
    alone = "" if files_of(path)[1].exists() else "&immutable=1"
    name = f"file:{quote(bytes(path))}?mode=ro{alone}"
    return sqlite3.connect(name, uri=True, isolation_level=None, timeout=_PATIENCE, check_same_thread=False)


def check(path: Path) -> None:
    """Look at a whole database, which nobody may have open. Raises StoreDamagedError, StoreError and sqlite3.Error."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        raise StoreDamagedError(str(error)) from error
    if not version:
        raise StoreDamagedError("it is empty")
    if version > _VERSION:
        raise StoreError(f"{path} was written by a newer version (format {version}): start that one")
    if verdict != "ok":
        raise StoreDamagedError(verdict)


def build(path: Path, rows: Iterable[Row], notes: Mapping[str, str]) -> None:
    """Make a database of these rows; on return it is on the disk, though its name need not be.

    What stands under the name is gone. Raises sqlite3.Error and OSError.
    """
    for each in files_of(path):
        each.unlink(missing_ok=True)
    # Labels can be confidential: nobody else reads the file.
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # all of it is synced at the end
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        for chunk in _chunks(rows):
            connection.execute(_upsert(len(chunk)), [value for each in chunk for value in each])
        connection.executemany("INSERT INTO note VALUES (?, ?)", notes.items())
        connection.execute("COMMIT")
    sync_file(path)


def move(source: Path, target: Path) -> None:
    """Give a database that nobody has open another name, with what stands beside it. Raises OSError."""
    for former, later in zip(reversed(files_of(source)), reversed(files_of(target)), strict=True):
        with suppress(FileNotFoundError):
            former.rename(later)
    sync_folder(target.parent)


class Database:
    """An open database, written by this process alone, one call at a time; reads may come from other threads.

    Every method raises sqlite3.Error or OSError. ``close`` it.
    """

    def __init__(self, path: Path) -> None:
        """Open the database that ``build`` made."""
        self._path = path
        self._folder = str(path.parent)
        #: The folder's time of change when its names were last looked at.
        self._looked_at = 0
        #: A copy of all that was committed, synced, that is still to be put in the place of a database that is gone.
        self._copy: Path | None = None
        self._open()

    def write(self, changed: Iterable[Row], dropped: Iterable[str], notes: Mapping[str, str]) -> bool:
        """Write rows and notes; on return they are durable, under the database's name. Whether it had to be rebuilt."""
        if self._copy is not None:
            self._put_back(self._copy)
        statements: list[tuple[str, Sequence[object]]] = [
            (_upsert(len(chunk)), [value for each in chunk for value in each]) for chunk in _chunks(changed)
        ]
        statements += [("DELETE FROM thread WHERE key = ?", (key,)) for key in dropped]
        statements += [("INSERT OR REPLACE INTO note VALUES (?, ?)", note) for note in notes.items()]
        if len(statements) > 1:
            statements = [("BEGIN IMMEDIATE", ()), *statements, ("COMMIT", ())]
        try:
            for statement, values in statements:
                self.writer.execute(statement, values)
        except BaseException:
            with suppress(sqlite3.Error):
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
            raise
        return self.restore_name()

    def restore_name(self) -> bool:
        """Make sure that what was committed stands under the database's name; whether it had to be rebuilt.

        A file that was deleted or replaced is still open here, and whole: it is copied, and the copy takes the name.
        """
        changed_at = self._folder_changed_at()
        if changed_at == self._looked_at:
            return False
        if self._identities() == self._opened:
            self._looked_at = changed_at
            return False
        copy = self._path.with_name(f"{self._path.name}.new")
        for each in files_of(copy):
            each.unlink(missing_ok=True)
        copy.touch(mode=0o600)
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            self.writer.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        sync_file(copy)
        self._copy = copy
        self._put_back(copy)
        return True

    def names_stand(self) -> bool:
        """Whether no name in the folder has come or gone since they were looked at. Any thread may ask."""
        try:
            return self._folder_changed_at() == self._looked_at
        except OSError:
            return False

    def note(self, name: str) -> str:
        """A note, empty where there is none."""
        found = self.writer.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return "" if found is None else str(found[0])

    def notes(self, start: str) -> dict[str, str]:
        """The notes whose names begin so."""
        begins_so = "SELECT name, value FROM note WHERE substr(name, 1, ?) = ?"
        return dict(self.writer.execute(begins_so, (len(start), start)))

    def close(self) -> None:
        """Checkpoint and let go of the file."""
        self.writer.close()

    def _folder_changed_at(self) -> int:
        return os.stat(self._folder).st_mtime_ns  # noqa: PTH116 - half the time of Path.stat

    def _open(self) -> None:
        # Made here with the rights that it should have: SQLite would follow the umask.
        writer = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        try:
            writer.execute("PRAGMA journal_mode = WAL")
            # Each commit syncs the log before it returns; NORMAL would sync it only at checkpoints.
            writer.execute("PRAGMA synchronous = FULL")
            writer.executescript(_SCHEMA)
            # So that the log is there, and its identity is known.
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT OR REPLACE INTO note VALUES ('opened', datetime('now'))")
            writer.execute("COMMIT")
            sync_folder(self._path.parent)
        except BaseException:
            writer.close()
            raise
        self.writer = writer
        self._opened = self._identities()
        self._looked_at = 0

    def _put_back(self, copy: Path) -> None:
        """Put a copy in the database's place and open it."""
        # Before the new file has the name: SQLite leaves the log of a database alone that lost its name.
        self.writer.close()
        for each in files_of(self._path)[1:]:
            each.unlink(missing_ok=True)  # beside another database, a log would be taken for its own
        if _identity(self._path) not in (None, self._opened[0]):
            self._path.rename(self._path.with_name(f"{self._path.name}.replaced"))
        copy.rename(self._path)
        sync_folder(self._path.parent)
        self._open()
        self._copy = None

    def _identities(self) -> list[_Identity | None]:
        return [_identity(each) for each in files_of(self._path)]


def _upsert(count: int) -> str:
    row = "(?, ?, ?, ?, ?)"
    return (
        f"INSERT INTO thread VALUES {', '.join([row] * count)} ON CONFLICT (key) DO UPDATE "  # noqa: S608 - ours
        "SET ts = excluded.ts, record = excluded.record, plan = excluded.plan, crc = excluded.crc"
    )


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Some rows at a time, in sizes that are powers of two, so that few statements are prepared."""
    left = list(rows)
    size = _ROWS
    while left:
        while size > len(left):
            size //= 2
        yield left[:size]
        left = left[size:]


def damaged_keys(connection: sqlite3.Connection) -> list[str]:
    """The keys of rows whose content is not what was written: a bad disk, or somebody's hand."""
    found = connection.execute("SELECT key, ts, record, plan, crc FROM thread")
    return [str(key) for key, ts, record, plan, crc in found if _crc(str(key), ts, record, plan) != crc]


def rows(connection: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """The key and the record of every thread, in one consistent view."""
    return connection.execute("SELECT key, record FROM thread")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged, and not that it cannot be used now."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _crc(key: str, ts: str | None, record: bytes | str, plan: bytes | str) -> int:
    parts = [msgspec.json.encode((key, ts)), record, plan]
    # What somebody wrote by hand can be text where we write bytes.
    return zlib.crc32(b"\0".join(part.encode() if isinstance(part, str) else part for part in parts))


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def complaint(error: sqlite3.Error) -> str:
    """What is wrong with a database, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedy = {
        sqlite3.SQLITE_FULL: "make room",
        sqlite3.SQLITE_READONLY: "let the service write to that folder",
        sqlite3.SQLITE_CANTOPEN: "let the service write to that folder",
        sqlite3.SQLITE_IOERR: "look at the disk",
        sqlite3.SQLITE_CORRUPT: "restart the service, it starts from the readable copy",
        sqlite3.SQLITE_NOTADB: "restart the service, it starts from the readable copy",
    }.get(code, "look at the folder and at the disk")
    return f"{error}; {remedy}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk complain about into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(advice(path, error)) from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot keep threads in {path}: {complaint(error)}") from error
