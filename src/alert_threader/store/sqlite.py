"""The default store: a SQLite database and a readable copy of it, owned by one process.

Changes that arrive during a commit share the next one, and its sync. Some seconds later the copy, THREAD_STORE_FILE, is
written anew and renamed over the former one, so that ``cp`` makes a backup. What a start does with the two is in
``store.opening``.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from alert_threader.errors import RecordDamagedError, StoreError
from alert_threader.store.base import Counts, Decide, Due, Lease
from alert_threader.store.commits import Commits
from alert_threader.store.database import Database, Row, explained, read_only, row, rows
from alert_threader.store.disk import network_file_system
from alert_threader.store.export import Exporter
from alert_threader.store.index import Index
from alert_threader.store.leases import NOTE, Leases
from alert_threader.store.lock import FileLock
from alert_threader.store.opening import PLANNED, Opening, database_of
from alert_threader.store.pace import Pace
from alert_threader.store.records import Records
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Plan, Policy, plan
from alert_threader.threads.schema import encode

T = TypeVar("T")

log = logging.getLogger(__name__)

#: What to do about a disk that is slow.
SLOW_DISK = (
    "the disk takes {seconds:.1f} s to sync: alerts are stored and delivered late; look at the disk and at what else "
    "writes to it, or move THREAD_STORE_FILE to a faster one"
)

_decode_plan = msgspec.json.Decoder(Plan).decode
_encode_plan = msgspec.json.Encoder().encode


class _Written(NamedTuple):
    """A record as a commit leaves it; of a dropped one there is nothing."""

    thread: AlertThread | None
    plan: Plan | None
    row: Row | None


class _Tried(NamedTuple, Generic[T]):
    """What a decision said of a record before the commit."""

    thread: AlertThread
    changed: AlertThread | None
    word: T


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

    def change(self, key: str, decide: Decide[T], tried: "_Tried[T] | None" = None) -> T:
        """Pass a record through ``decide``; return its word. What it said before holds where the record is the same."""
        thread = self.read(key)
        changed, word = (tried.changed, tried.word) if tried and tried.thread is thread else decide(thread)
        if changed is not thread:
            self.write(key, changed)
        return word

    def rows(self) -> tuple[list[Row], list[str], dict[str, str]]:
        """What is to be written: rows, the keys of those that are dropped, and notes."""
        changed = [each.row for each in self.changed.values() if each.row is not None]
        dropped = [key for key, each in self.changed.items() if each.row is None]
        return changed, dropped, self.notes

    def plans(self) -> dict[str, Plan | None]:
        """The plans of what was changed."""
        return {key: each.plan for key, each in self.changed.items()}


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
        self._file = database_of(path)
        self._policy = policy
        self._index = Index()
        self.pace = Pace(SLOW_DISK)
        #: Why the last commit failed, and how many there were.
        self._trouble: str | None = None
        self._commits = 0
        self._lock = FileLock(path, lock_wait)
        try:
            self._open(channel, now)
        except BaseException:
            self._lock.release()
            raise
        self._queue = Commits(lambda: _Staged(self._records.read, self._policy), self._write, self._stuck)
        self._exporter.start()

    def transact(self, key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        """Change one record; see Store."""

        def work(staged: _Staged) -> T:
            if lease is not None:
                self._leases.renew(lease)
            return staged.change(key, decide)

        return self._queue.commit(work)

    def transact_all(self, decisions: Sequence[tuple[str, Decide[T]]]) -> list[T]:
        """Change several records in one commit; see Store. Where nothing changes, none is needed."""
        tried = [self._try(key, decide) for key, decide in decisions]
        unchanged = [each.word for each in tried if each and each.changed is each.thread]
        # Most webhooks are duplicates: they need no commit, and wait for none.
        if len(unchanged) == len(decisions) and self._database.names_stand():
            return unchanged
        damage: list[RecordDamagedError] = []

        def work(staged: _Staged) -> list[T]:
            words = []
            for (key, decide), known in zip(decisions, tried, strict=True):
                try:
                    words.append(staged.change(key, decide, known))
                except RecordDamagedError as error:
                    damage.append(error)
            return words

        words = self._queue.commit(work)
        if damage:
            raise damage[0]
        return words

    def restored_from(self, now: float) -> float:
        """The time of the copy that it was restored from; see Store."""
        return self._opened.restored.copied_at if now < self._opened.restored.until else 0.0

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

    def arrived(self, name: str, budget: Budget) -> None:
        """Note when the call for a token was answered; see Store."""
        self._leases.arrived(name, budget)

    def pending(self) -> dict[str, float]:
        """The lanes with something pending; see Store."""
        return self._index.pending()

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's due actions; see Store."""
        return [each for each in self._index.due(lane, now) if not self._records.is_damaged(each.key)]

    def aged(self, now: float) -> list[str]:
        """The keys of records that time alone changes; see Store."""
        return [key for key in self._index.aged(now) if not self._records.is_damaged(key)]

    def counts(self) -> Counts:
        """How full the store is; see Store."""
        return self._index.counts()

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store."""
        return self._records.read(key)

    def threads(self) -> Iterator[AlertThread]:
        """All records; see Store."""
        return self._records.threads()

    def damaged(self) -> list[str]:
        """Records that cannot be read; see Store."""
        for _ in self._records.threads():
            pass
        return self._records.warnings()

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        with explained(self._file), closing(read_only(self._file)) as connection:
            return dict(connection.execute("SELECT key, ts FROM thread WHERE ts IS NOT NULL"))

    def ping(self) -> None:
        """Check that a change could be stored; see Store. After a failed commit another one is tried."""
        if not self._path.parent.is_dir():
            raise StoreError(f"{self._path.parent} is gone: create it again and restart")
        if reason := self._stuck():
            raise StoreError(reason)
        if self._trouble is not None:
            if self.pace.under_way:
                raise StoreError(self._trouble)  # it is being tried; nobody who only asks waits for the disk
            self._note({"probed": ""})

    def info(self) -> dict[str, Any]:
        """Where the copy and the database are, the database's size in bytes, and the commits since the start."""
        size = self._file.stat().st_size if self._file.exists() else 0
        return {"path": str(self._path), "database": str(self._file), "size_bytes": size, "commits": self._commits}

    def warnings(self) -> list[str]:
        """What was wrong at the start, which records cannot be read, and what keeps the copy from being written."""
        copy = [] if self._trouble else self._exporter.warnings()
        slow = [warning] if (warning := self.pace.warning) else []
        return [*slow, *dict.fromkeys(self._opened.warnings), *self._records.warnings(), *copy]

    def close(self) -> None:
        """Write the copy, then close the database and let go of the lock."""
        try:
            self._exporter.close()
            self._database.close()
        finally:
            self._lock.release()

    def _open(self, channel: str, now: float) -> None:
        with explained(self._file):
            self._opened = Opening(self._path, self._policy, channel, now).prepare()
            self._database = Database(self._file)
            try:
                self._records = Records(self._file, rows(self._database.writer))
                self._leases = Leases(self._database.notes(NOTE))
                self._load()
            except BaseException:
                self._database.close()
                raise
        if remote := network_file_system(self._path.parent):
            self._warn(f"{self._path} is on a network file system ({remote}), where SQLite can lose changes: move it")
        self._exporter = Exporter(self._path, self._file, self._note, self._opened.exported)

    def _load(self) -> None:
        """Take in the plans, made anew where they were made for other settings."""
        settings = repr(self._policy)
        if self._database.note(PLANNED) == settings:
            found = self._database.writer.execute("SELECT key, plan FROM thread")
            self._index.put({key: _decode_plan(encoded) for key, encoded in found})
            return
        staged = _Staged(lambda _key: None, self._policy)
        for thread in self._records.threads():
            staged.write(thread.key, thread)
        staged.notes[PLANNED] = settings
        self._database.write(*staged.rows())
        self._index.put(staged.plans())

    def _stuck(self) -> str | None:
        return self.pace.warning if self.pace.stands_still else None

    def _note(self, notes: dict[str, str]) -> None:
        self._queue.commit(lambda staged: staged.notes.update(notes))

    def _write(self, staged: _Staged) -> None:
        """Make what a commit changed durable. Raises StoreError: then nothing has changed."""
        try:
            with explained(self._file):
                if staged.changed or staged.notes:
                    staged.notes |= self._leases.changed_notes()
                    with self.pace.measured():
                        was_gone = self._database.write(*staged.rows())
                    self._commits += 1
                else:
                    was_gone = self._database.restore_name()
        except StoreError as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        if was_gone:
            self._warn(
                f"{self._file} was deleted or replaced while the service runs: it was written again from what the "
                "service has; to restore a backup, use alert-threader restore"
            )
        if staged.changed:
            self._take_in(staged.changed)
            self._index.put(staged.plans())
            self._exporter.mark()

    def _take_in(self, changed: Mapping[str, _Written]) -> None:
        for key, each in changed.items():
            if each.thread is None or each.row is None:
                self._records.drop(key)
            else:
                self._records.put(key, each.row.record, each.thread)

    def _try(self, key: str, decide: Decide[T]) -> _Tried[T] | None:
        """What a decision says of a record as it is now; None of one that is missing or damaged."""
        with suppress(RecordDamagedError):
            thread = self._records.read(key)
            return None if thread is None else _Tried(thread, *decide(thread))
        return None

    def _warn(self, warning: str) -> None:
        self._opened.warnings.append(warning)
        log.error("%s", warning)
