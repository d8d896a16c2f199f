"""The default store: one readable JSON document, owned by one process.

Every commit writes the whole document to a temporary file, syncs it, renames it over the old one and syncs the folder,
so the file is always whole and ``cp`` makes a good backup. Changes that arrive during a commit share the next one. The
records stay encoded in memory, so that a commit costs little more than the write.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from alert_threader.errors import LeaseLostError, StoreDamagedError, StoreError
from alert_threader.pacing import Bucket, Budget
from alert_threader.store import document
from alert_threader.store.base import LEASE_TTL, Counts, Due, Lease
from alert_threader.store.disk import sync_folder
from alert_threader.store.lock import FileLock, advice
from alert_threader.threads import (
    Action,
    AlertThread,
    Applied,
    Change,
    Outcome,
    Policy,
    apply,
    begin,
    expire,
    forget,
    plan,
    settle,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


class _View:
    """What one caller sees and changes: the durable records, and over them what a commit has gathered so far."""

    def __init__(self, durable: dict[str, bytes], staged: dict[str, bytes | None]) -> None:
        self.changed: dict[str, bytes | None] = {}
        self._layers: tuple[Mapping[str, bytes | None], ...] = (self.changed, staged, durable)

    def read(self, key: str) -> AlertThread | None:
        line = next((layer[key] for layer in self._layers if key in layer), None)
        return None if line is None else document.decode(line)

    def write(self, key: str, thread: AlertThread | None) -> None:
        self.changed[key] = None if thread is None else document.encode(thread)


class _Ticket(Generic[T]):
    """One caller's place in a commit: its work, and what came of it."""

    def __init__(self, work: Callable[[_View], T]) -> None:
        self.work = work
        self.result: T
        #: Until it is done: whatever breaks a commit off, nobody may take it for done.
        self.error: Exception | None = StoreError("the commit broke off: send it again")
        self.done = False


class FileStore:
    """The Store in a file. Making one reads the file and locks it; ``close`` lets it go."""

    name = "file"
    shared = False

    def __init__(self, path: Path, policy: Policy, channel: str, now: float, lock_wait: float = 0) -> None:
        """Open the store, or start an empty one.

        ``channel`` is the default one, for files of old installations, ``now`` the time; ``lock_wait`` is how many
        seconds to wait for another process to let go of the file. Raises StoreLockedError, or StoreError if the file
        cannot be used.
        """
        self._path = path
        self._policy = policy
        self._records: dict[str, bytes] = {}
        self._actions: dict[str, dict[str, Action]] = {}
        self._firing: set[str] = set()
        self._queue: list[_Ticket[Any]] = []
        self._turn = threading.Condition()
        self._committing = False
        self._guard = threading.Lock()
        self._leases: dict[str, tuple[str, float]] = {}
        self._buckets: dict[str, Bucket] = {}
        self._warnings: list[str] = []
        self._last_error: str | None = None
        self._commits = 0
        self._lock = FileLock(path, lock_wait)
        try:
            self._load(channel, now)
        except BaseException:
            self._lock.release()
            raise

    # -- accepting ---------------------------------------------------------------------------------------------

    def update(self, changes: Sequence[Change], now: float) -> list[Applied]:
        """Apply the changes; see Store."""

        def work(view: _View) -> list[Applied]:
            results = []
            for change in changes:
                thread = view.read(change.key)
                applied = apply(thread, change, now, self._policy)
                if applied.thread is not thread:
                    view.write(change.key, applied.thread)
                results.append(applied)
            return results

        return self._commit(work)

    def insert(self, threads: Sequence[AlertThread], *, replace: bool) -> list[str]:
        """Store another store's threads, all or none of them; see Store."""

        def work(view: _View) -> list[str]:
            taken = [] if replace else [thread.key for thread in threads if view.read(thread.key) is not None]
            for thread in threads:
                if thread.key not in taken:
                    view.write(thread.key, thread)
            return taken

        return self._commit(work)

    # -- delivering --------------------------------------------------------------------------------------------

    def claim(self, channel: str) -> Lease | None:
        """Take the channel; see Store."""
        with self._guard:
            _, until = self._leases.get(channel, ("", 0.0))
            if time.monotonic() < until:
                return None
            lease = Lease(channel, uuid.uuid4().hex)
            self._leases[channel] = (lease.token, time.monotonic() + LEASE_TTL)
            return lease

    def renew(self, lease: Lease) -> None:
        """Hold the lease on; see Store."""
        with self._guard:
            token, until = self._leases.get(lease.channel, ("", 0.0))
            if token != lease.token or time.monotonic() >= until:
                raise LeaseLostError(f"the lease on {lease.channel} has passed to another sender")
            self._leases[lease.channel] = (lease.token, time.monotonic() + LEASE_TTL)

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        with self._guard:
            if self._leases.get(lease.channel, ("", 0.0))[0] == lease.token:
                del self._leases[lease.channel]

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store. A new process starts with one in each bucket."""
        now = time.monotonic()
        with self._guard:
            return self._buckets.setdefault(name, Bucket(budget, now)).take(now)

    def waiting(self) -> dict[str, float]:
        """The channels with work; see Store."""
        with self._guard:
            return {
                channel: min(action.at for action in actions.values())
                for channel, actions in self._actions.items()
                if actions
            }

    def due(self, channel: str, now: float) -> list[Due]:
        """The channel's due actions; see Store."""
        with self._guard:
            due = [Due(key, a) for key, a in self._actions.get(channel, {}).items() if a.is_due(now)]
        return sorted(due, key=lambda item: item.action.rank)

    def begin(self, lease: Lease, key: str, attempt_id: str, now: float) -> tuple[AlertThread, Action] | None:
        """Start a thread's next action; see Store."""

        def work(view: _View) -> tuple[AlertThread, Action] | None:
            self.renew(lease)
            thread = view.read(key)
            begun = begin(thread, attempt_id, now, self._policy) if thread is not None else None
            if begun is not None and begun[0] is not thread:
                view.write(key, begun[0])
            return begun

        return self._commit(work)

    def settle(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome, now: float) -> AlertThread | None:
        """Write an outcome down; see Store."""

        def work(view: _View) -> AlertThread | None:
            self.renew(lease)
            thread = view.read(key)
            if thread is not None:
                thread = settle(thread, attempt_id, outcome, now)
                view.write(key, thread)
            return thread

        return self._commit(work)

    # -- housekeeping ------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Let time pass; see Store."""
        self._sweep(lambda thread: expire(thread, now, self._policy))

    def forget(self, now: float) -> int:
        """Forget the threads; see Store."""
        return self._sweep(lambda thread: forget(thread, now))

    def read(self, key: str) -> AlertThread | None:
        """One thread; see Store."""
        line = self._records.get(key)
        return None if line is None else document.decode(line)

    def threads(self) -> Iterator[AlertThread]:
        """All threads; see Store."""
        return map(document.decode, list(self._records.values()))

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        return {thread.key: thread.ts for thread in self.threads() if thread.ts is not None}

    def counts(self, now: float) -> Counts:  # noqa: ARG002 - what is over is dropped here, not hidden
        """How full the store is; see Store."""
        with self._guard:
            since = [action.rank[-1] for actions in self._actions.values() for action in actions.values()]
        return Counts(len(self._records), len(self._firing), len(since), min(since, default=None))

    def ping(self) -> None:
        """Check that a change could be stored; see Store. After a failed commit another one is tried."""
        if not self._path.parent.is_dir():
            raise StoreError(f"{self._path.parent} is gone: create it again and restart")
        if self._last_error is not None:
            self._commit(lambda _view: None, always=True)

    def info(self) -> dict[str, Any]:
        """Where the file is, its size in bytes and the commits since the start."""
        size = self._path.stat().st_size if self._path.exists() else 0
        return {"path": str(self._path), "size_bytes": size, "commits": self._commits}

    def warnings(self) -> list[str]:
        """What was wrong with the file when it was read."""
        return list(self._warnings)

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._turn.wait_for(lambda: not self._committing)
            self._lock.release()

    # -- inside ------------------------------------------------------------------------------------------------

    def _sweep(self, change: Callable[[AlertThread], AlertThread | None]) -> int:
        """Pass every thread through ``change`` in one commit; return how many it dropped."""

        def work(view: _View) -> int:
            dropped = 0
            for key in list(self._records):
                thread = view.read(key)
                kept = change(thread) if thread is not None else None
                if kept is not thread:
                    view.write(key, kept)
                    dropped += kept is None
            return dropped

        return self._commit(work)

    def _commit(self, work: Callable[[_View], T], *, always: bool = False) -> T:
        """Do ``work`` and make what it changed durable, together with whatever others bring meanwhile.

        One of the callers that wait commits for all of them; each goes as soon as its own work is done.
        """
        ticket = _Ticket(work)
        with self._turn:
            self._queue.append(ticket)
            self._turn.wait_for(lambda: ticket.done or not self._committing)
            tickets, self._queue = ([], self._queue) if ticket.done else (self._queue, [])
            self._committing = self._committing or bool(tickets)
        if tickets:
            try:
                self._run(tickets, always=always)
            finally:
                with self._turn:
                    self._committing = False
                    for each in tickets:
                        each.done = True
                    self._turn.notify_all()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _run(self, tickets: list[_Ticket[Any]], *, always: bool) -> None:
        """Commit the work of all these callers at once. Only ever one thread is in here."""
        staged: dict[str, bytes | None] = {}
        worked = []
        for ticket in tickets:
            view = _View(self._records, staged)
            try:
                ticket.result = ticket.work(view)
                staged.update(view.changed)
                worked.append(ticket)
            except Exception as error:  # noqa: BLE001 - it is raised in the thread whose work it was
                ticket.error = error
        if staged or always:
            try:
                self._write(staged)
            except StoreError as error:
                for ticket in worked:
                    ticket.error = error
                return
        for ticket in worked:
            ticket.error = None

    def _write(self, staged: dict[str, bytes | None]) -> None:
        records = {key: line for key, line in {**self._records, **staged}.items() if line is not None}
        temporary = self._path.with_name(self._path.name + ".tmp")
        if self._lock.released:
            raise StoreError(f"{self._path} is closed: this process is stopping, send it again")
        try:
            _write_synced(temporary, document.dump(list(records.values())))
            temporary.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            self._last_error = advice(self._path, error)
            raise StoreError(self._last_error) from error
        self._last_error = None
        self._commits += 1
        self._records = records
        self._index(staged)

    def _index(self, staged: dict[str, bytes | None]) -> None:
        planned = {key: None if line is None else document.decode(line) for key, line in staged.items()}
        with self._guard:
            for key, thread in planned.items():
                for actions in self._actions.values():
                    actions.pop(key, None)
                if thread is not None and thread.firing and thread.closed_at is None:
                    self._firing.add(key)
                else:
                    self._firing.discard(key)
                action = plan(thread) if thread is not None else None
                if thread is not None and action is not None:
                    self._actions.setdefault(thread.channel, {})[key] = action

    def _load(self, channel: str, now: float) -> None:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            self._write({})  # the first start: fail now, not at the first alert, if the folder cannot be written
            return
        except OSError as error:
            raise StoreError(advice(self._path, error)) from error
        try:
            loaded = document.load(text, channel, now)
        except StoreDamagedError as error:
            self._set_aside(text, f"{self._path} {error}: all threads are lost", now)
            self._write({})
            return
        except StoreError as error:
            raise StoreError(f"{self._path} {error}") from error
        if loaded.damaged:
            self._set_aside(text, f"{self._path}: {len(loaded.damaged)} threads cannot be read and are lost", now)
        self._records = {key: document.encode(thread) for key, thread in loaded.threads.items()}
        self._index(dict(self._records))

    def _set_aside(self, text: bytes, what: str, now: float) -> None:
        """Keep a damaged document beside the good one and say so, in the log and for as long as the process lives."""
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        try:
            _write_synced(aside, [text])
        except OSError as error:
            raise StoreError(advice(aside, error)) from error
        self._warnings.append(
            f"{what}; the damaged file is kept as {aside}: to use a backup, stop the service, "
            f"copy it over {self._path}, start the service"
        )
        log.error("%s", self._warnings[-1])


def _write_synced(path: Path, pieces: Iterable[bytes]) -> None:
    # Labels can be confidential: nobody else reads the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(descriptor)
