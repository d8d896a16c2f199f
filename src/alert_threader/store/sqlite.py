"""The default store: a SQLite database and a readable copy of it, owned by one process.

Changes that arrive during a commit share the next one, and its sync. Some seconds later the copy, THREAD_STORE_FILE, is
written anew and renamed over the former one, so that ``cp`` makes a backup. What a start does with the two is in
``store.opening``.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from alert_threader.errors import RecordDamagedError, StoreError
from alert_threader.store.base import Counts, Decide, Due, Lease
from alert_threader.store.commits import Commits
from alert_threader.store.database import Database, Row, complaint, read_only, row, rows
from alert_threader.store.disk import network_file_system
from alert_threader.store.export import Exporter
from alert_threader.store.index import Index
from alert_threader.store.leases import Leases
from alert_threader.store.lock import FileLock, advice
from alert_threader.store.opening import PLANNED, Opening, database_of
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Plan, Policy, plan
from alert_threader.threads.schema import decode, encode

T = TypeVar("T")

log = logging.getLogger(__name__)

_decode_plan = msgspec.json.Decoder(Plan).decode
_encode_plan = msgspec.json.Encoder().encode


class _Written(NamedTuple):
    """A record as a commit leaves it; of a dropped one there is nothing."""

    thread: AlertThread | None
    plan: Plan | None
    row: Row | None


class _Staged:
    """What the callers of one commit see and change: the database, and over it what was changed so far."""

    def __init__(self, read: Callable[[str], AlertThread | None], policy: Policy) -> None:
        self.changed: dict[str, _Written] = {}
        self.notes: dict[str, str] = {}
        self._read = read
        self._policy = policy

    def read(self, key: str) -> AlertThread | None:
        """The record as it is now; not to be changed in place."""
        written = self.changed.get(key)
        return self._read(key) if written is None else written.thread

    def write(self, key: str, thread: AlertThread | None) -> None:
        """Change a record, or drop it."""
        if thread is None:
            self.changed[key] = _Written(None, None, None)
            return
        planned = plan(thread, self._policy)
        written = row(key, thread.ts, encode(thread), _encode_plan(planned))
        self.changed[key] = _Written(thread, planned, written)


class SqliteStore:
    """The Store in a SQLite database. Making one locks, reads and opens it; ``close`` lets it go."""

    name = "file"
    shared = False

    def __init__(self, path: Path, policy: Policy, channel: str, now: float, lock_wait: float = 0) -> None:
        """Open the store whose readable copy is ``path``, or start an empty one.

        ``channel`` is the default one, for files of old installations, ``now`` the time; ``lock_wait`` is how many
        seconds to wait for another process to let go of the store. Raises StoreLockedError, or StoreError if the store
        cannot be used.
        """
        self._path = path
        self._policy = policy
        self._index = Index()
        self._leases = Leases()
        #: Records that could not be read when they were needed.
        self._damaged: set[str] = set()
        #: Why the last commit failed, and how many there were.
        self._trouble: str | None = None
        self._commits = 0
        self._lock = FileLock(path, lock_wait)
        try:
            self._database, self._exporter = self._open(channel, now)
        except BaseException:
            self._lock.release()
            raise
        self._queue = Commits(lambda: _Staged(self._read, self._policy), self._write)
        self._reading = threading.Lock()
        self._reader = read_only(database_of(path))
        self._exporter.start()

    # -- changing ------------------------------------------------------------------------------------------------

    def transact(self, key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        """Change one record; see Store."""

        def work(staged: _Staged) -> T:
            if lease is not None:
                self._leases.renew(lease)
            thread = staged.read(key)
            changed, word = decide(thread)
            if changed is not thread:
                staged.write(key, changed)
            return word

        return self._queue.commit(work)

    def transact_all(self, decisions: Sequence[tuple[str, Decide[T]]]) -> list[T]:
        """Change several records in one commit; see Store."""
        damage: list[RecordDamagedError] = []

        def work(staged: _Staged) -> list[T]:
            words = []
            for key, decide in decisions:
                try:
                    thread = staged.read(key)
                except RecordDamagedError as error:
                    damage.append(error)
                    continue
                changed, word = decide(thread)
                if changed is not thread:
                    staged.write(key, changed)
                words.append(word)
            return words

        words = self._queue.commit(work)
        if damage:
            raise damage[0]
        return words

    # -- leases, tokens and plans: see Store ---------------------------------------------------------------------

    def claim(self, lane: str) -> Lease | None:
        """Take the lane; see Store."""
        return self._leases.claim(lane)

    def renew(self, lease: Lease) -> None:
        """Hold the lease on; see Store."""
        self._leases.renew(lease)

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        self._leases.release(lease)

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store."""
        return self._leases.take(name, budget)

    def pending(self) -> dict[str, float]:
        """The lanes with something pending; see Store."""
        return self._index.pending()

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's due actions; see Store."""
        return [each for each in self._index.due(lane, now) if each.key not in self._damaged]

    def aged(self, now: float) -> list[str]:
        """The keys of records that time alone changes; see Store."""
        return [key for key in self._index.aged(now) if key not in self._damaged]

    def counts(self) -> Counts:
        """How full the store is; see Store."""
        return self._index.counts()

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store."""
        with self._reading, _explained(self._path):
            found = self._reader.execute("SELECT record FROM thread WHERE key = ?", (key,)).fetchone()
        return None if found is None else self._decoded(key, found[0])

    def threads(self) -> Iterator[AlertThread]:
        """All records; see Store."""
        for key, record in self._records():
            try:
                yield self._decoded(key, record)
            except RecordDamagedError:
                continue

    def damaged(self) -> list[str]:
        """Records that cannot be read; see Store."""
        for _ in self.threads():
            pass
        return [self._damage(key) for key in sorted(self._damaged)]

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        with self._reading, _explained(self._path):
            return dict(self._reader.execute("SELECT key, ts FROM thread WHERE ts IS NOT NULL"))

    # -- the store itself ----------------------------------------------------------------------------------------

    def ping(self) -> None:
        """Check that a change could be stored; see Store. After a failed commit another one is tried."""
        if not self._path.parent.is_dir():
            raise StoreError(f"{self._path.parent} is gone: create it again and restart")
        if self._trouble is not None:
            self._note({"probed": ""})

    def info(self) -> dict[str, Any]:
        """Where the copy is, the database's size in bytes, and the commits since the start."""
        database = database_of(self._path)
        size = database.stat().st_size if database.exists() else 0
        return {"path": str(self._path), "database": str(database), "size_bytes": size, "commits": self._commits}

    def warnings(self) -> list[str]:
        """What was wrong at the start, which records cannot be read, and what keeps the copy from being written."""
        damaged = [self._damage(key) for key in sorted(self._damaged)]
        return [*self._opened.warnings, *damaged, *([] if self._trouble else self._exporter.warnings())]

    def close(self) -> None:
        """Write the copy, then close the database and let go of the lock."""
        try:
            self._exporter.close()
            with self._reading:
                self._reader.close()
            self._database.close()
        finally:
            self._lock.release()

    # -- inside --------------------------------------------------------------------------------------------------

    def _open(self, channel: str, now: float) -> tuple[Database, Exporter]:
        path, database = self._path, database_of(self._path)
        with _explained(path):
            self._opened = Opening(path, self._policy, channel, now).prepare()
            opened = Database(database)
        try:
            if remote := network_file_system(path.parent):
                warning = f"{path} is on a network file system ({remote}), where SQLite can lose changes: use another"
                self._opened.warnings.append(warning)
                log.warning("%s", warning)
            with _explained(path):
                self._load(opened)
            return opened, Exporter(path, database, self._note, self._opened.exported)
        except BaseException:
            opened.close()
            raise

    def _load(self, database: Database) -> None:
        """Take in the plans, made anew where they were made for other settings."""
        settings = repr(self._policy)
        if database.note(PLANNED) == settings:
            found = database.writer.execute("SELECT key, plan FROM thread")
            self._index.put({key: _decode_plan(encoded) for key, encoded in found})
            return
        staged = _Staged(lambda _key: None, self._policy)
        for key, record in rows(database.writer):
            try:
                staged.write(key, self._decoded(key, record))
            except RecordDamagedError:
                continue
        staged.notes[PLANNED] = settings
        database.write([each.row for each in staged.changed.values() if each.row], (), staged.notes)
        self._index.put({key: each.plan for key, each in staged.changed.items()})

    def _read(self, key: str) -> AlertThread | None:
        with _explained(self._path):
            record = self._database.read(key)
        return None if record is None else self._decoded(key, record)

    def _records(self) -> list[tuple[str, bytes]]:
        with _explained(self._path), closing(read_only(database_of(self._path))) as connection:
            return list(rows(connection))

    def _decoded(self, key: str, record: bytes) -> AlertThread:
        try:
            return decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if key not in self._damaged:
                self._damaged.add(key)
                log.error("%s", self._damage(key))  # noqa: TRY400 - one line
            raise RecordDamagedError(self._damage(key)) from error

    def _damage(self, key: str) -> str:
        return (
            f"the record of {key[:80]!r} in {database_of(self._path)} cannot be read, its thread stands still: restore "
            f"a backup of {self._path}"
        )

    def _note(self, notes: dict[str, str]) -> None:
        self._queue.commit(lambda staged: staged.notes.update(notes))

    def _write(self, staged: _Staged) -> None:
        """Make what a commit changed durable. Raises StoreError: then nothing has changed."""
        try:
            with _explained(self._path):
                if staged.changed or staged.notes:
                    changed = [each.row for each in staged.changed.values() if each.row is not None]
                    dropped = [key for key, each in staged.changed.items() if each.row is None]
                    was_gone = self._database.write(changed, dropped, staged.notes)
                    self._commits += 1
                else:
                    was_gone = self._database.restore_name()
        except StoreError as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        if was_gone:
            self._reopen()
        if staged.changed:
            self._index.put({key: each.plan for key, each in staged.changed.items()})
            self._exporter.mark()

    def _reopen(self) -> None:
        """Read from the database that has taken the place of the one that was deleted or replaced, and say so."""
        with self._reading:
            self._reader.close()
            self._reader = read_only(database_of(self._path))
        warning = (
            f"{database_of(self._path)} was deleted or replaced while the service runs: it was written again from what "
            "the service has; to restore a backup, use alert-threader restore"
        )
        self._opened.warnings.append(warning)
        log.error("%s", warning)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk complain about into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(advice(path, error)) from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot keep threads in {database_of(path)}: {complaint(error)}") from error
