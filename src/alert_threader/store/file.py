"""The default store: one readable JSON document and its journal, owned by one process.

A commit is one synced line in the journal, whatever the number of threads; changes that arrive during a commit share
the next one. About a second later the document is written anew, in the background, to a temporary file that is renamed
over the old one: it is always whole, and ``cp`` makes a backup that is hardly older than that. A start reads both. The
records stay encoded in memory, as they are in the document.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from alert_threader.errors import LeaseLostError, StoreDamagedError, StoreError
from alert_threader.store import document
from alert_threader.store.base import LEASE_TTL, Counts, Due, Lease
from alert_threader.store.commits import Commits, View, Written
from alert_threader.store.disk import copy_aside, move_aside
from alert_threader.store.document import Document
from alert_threader.store.durable import Durable
from alert_threader.store.lock import FileLock, advice
from alert_threader.store.recovery import Recovered, merge, recover
from alert_threader.store.tokens import Bucket, Budget
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
        self._actions: dict[str, dict[str, Action]] = {}
        self._channel_of: dict[str, str] = {}
        self._open: set[str] = set()
        self._guard = threading.Lock()
        self._leases: dict[str, tuple[str, float]] = {}
        self._buckets: dict[str, Bucket] = {}
        self._disk = Durable(path)
        self._commits = Commits(self._disk.lines, self._write)
        self._lock = FileLock(path, lock_wait)
        try:
            self._load(channel, now)
        except BaseException:
            self.close()
            raise

    # -- accepting ---------------------------------------------------------------------------------------------

    def update(self, changes: Sequence[Change], now: float) -> list[Applied]:
        """Apply the changes; see Store."""

        def work(view: View) -> list[Applied]:
            results = []
            for change in changes:
                thread = view.read(change.key)
                applied = apply(thread, change, now, self._policy)
                if applied.thread is not thread:
                    view.write(change.key, applied.thread)
                results.append(applied)
            return results

        return self._commits.commit(work)

    def insert(self, threads: Sequence[AlertThread], *, replace: bool) -> list[str]:
        """Store another store's threads, all or none of them; see Store."""

        def work(view: View) -> list[str]:
            taken = [] if replace else [thread.key for thread in threads if view.read(thread.key) is not None]
            for thread in threads:
                if thread.key not in taken:
                    view.write(thread.key, thread)
            return taken

        return self._commits.commit(work)

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

        def work(view: View) -> tuple[AlertThread, Action] | None:
            self.renew(lease)
            thread = view.read(key)
            begun = begin(thread, attempt_id, now, self._policy) if thread is not None else None
            if begun is not None and begun[0] is not thread:
                view.write(key, begun[0])
            return begun

        return self._commits.commit(work)

    def settle(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome, now: float) -> AlertThread | None:
        """Write an outcome down; see Store."""

        def work(view: View) -> AlertThread | None:
            self.renew(lease)
            thread = view.read(key)
            if thread is not None:
                thread = settle(thread, attempt_id, outcome, now)
                view.write(key, thread)
            return thread

        return self._commits.commit(work)

    # -- housekeeping ------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Let time pass; see Store."""
        self._sweep(lambda thread: expire(thread, now, self._policy))

    def forget(self, now: float) -> int:
        """Forget the threads; see Store."""
        return self._sweep(lambda thread: forget(thread, now))

    def read(self, key: str) -> AlertThread | None:
        """One thread; see Store."""
        line = self._disk.lines.get(key)
        return None if line is None else document.decode(line)

    def threads(self) -> Iterator[AlertThread]:
        """All threads; see Store."""
        return map(document.decode, list(self._disk.lines.values()))

    def damaged(self) -> list[str]:
        """None: what could not be read was set aside at the start, and ``warnings`` says so."""
        return []

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        return {thread.key: thread.ts for thread in self.threads() if thread.ts is not None}

    def counts(self, now: float) -> Counts:  # noqa: ARG002 - what is over is dropped here, not hidden
        """How full the store is; see Store."""
        with self._guard:
            since = [action.rank[-1] for actions in self._actions.values() for action in actions.values()]
            return Counts(len(self._disk.lines), len(since), min(since, default=None), len(self._open))

    def ping(self) -> None:
        """Check that a change could be stored; see Store. After a failed commit another one is tried."""
        if not self._path.parent.is_dir():
            raise StoreError(f"{self._path.parent} is gone: create it again and restart")
        if self._disk.trouble is not None:
            self._commits.commit(lambda _view: None, always=True)

    def info(self) -> dict[str, Any]:
        """Where the file is, its size in bytes and the commits since the start."""
        size = self._path.stat().st_size if self._path.exists() else 0
        return {"path": str(self._path), "size_bytes": size, "commits": self._disk.commits}

    def warnings(self) -> list[str]:
        """What was wrong with the files when they were read, and what keeps the document from being written."""
        return self._disk.warnings()

    def close(self) -> None:
        """Write the document and let go of the file."""
        try:
            self._disk.close()
        finally:
            self._lock.release()

    # -- inside ------------------------------------------------------------------------------------------------

    def _sweep(self, change: Callable[[AlertThread], AlertThread | None]) -> int:
        """Pass every thread through ``change`` in one commit; return how many it dropped."""

        def work(view: View) -> int:
            dropped = 0
            for key in list(self._disk.lines):
                thread = view.read(key)
                kept = change(thread) if thread is not None else None
                if kept is not thread:
                    view.write(key, kept)
                    dropped += kept is None
            return dropped

        return self._commits.commit(work)

    def _write(self, staged: dict[str, Written]) -> None:
        self._disk.commit({key: written.line for key, written in staged.items()})
        self._index({key: written.thread for key, written in staged.items()})

    def _index(self, changed: Mapping[str, AlertThread | None]) -> None:
        planned = {key: None if thread is None else plan(thread) for key, thread in changed.items()}
        with self._guard:
            for key, thread in changed.items():
                action = planned[key]
                self._actions.get(self._channel_of.pop(key, ""), {}).pop(key, None)
                if thread is not None and action is not None:
                    self._actions.setdefault(thread.channel, {})[key] = action
                    self._channel_of[key] = thread.channel
                if thread is not None and thread.firing and thread.closed_at is None:
                    self._open.add(key)
                else:
                    self._open.discard(key)

    # -- starting ----------------------------------------------------------------------------------------------

    def _load(self, channel: str, now: float) -> None:
        """Read document and journal, and begin to write. Raises StoreError."""
        try:
            found = self._recover(channel, now)
            damaged = self._take_in(found.records())
            if damaged:
                aside = copy_aside(self._path, "damaged", now)
                self._disk.say(_lost(f"{self._path}: {damaged} threads cannot be read and are lost", aside, self._path))
            self._set_journals_aside(found, now)
        except OSError as error:
            raise StoreError(advice(self._path, error)) from error
        self._disk.start(found.document.journal, found.newest, whole=found.is_whole and not damaged)

    def _recover(self, channel: str, now: float) -> Recovered:
        try:
            return recover(self._path, channel, now)
        except FileNotFoundError:
            return merge(self._path, Document("", "", {}))
        except StoreDamagedError as error:
            aside = copy_aside(self._path, "damaged", now)
            self._disk.say(_lost(f"{self._path} {error}: its threads are lost", aside, self._path))
            return merge(self._path, None)
        except StoreError as error:
            raise StoreError(f"{self._path} {error}") from error

    def _take_in(self, records: Iterable[tuple[str, msgspec.Raw]]) -> int:
        """Keep what can be read; return how many cannot. One at a time: decoded, all of them need a lot of memory."""
        damaged = 0
        for key, record in records:
            thread = document.thread_of(record)
            if thread is None:
                damaged += 1
                continue
            self._disk.lines[key] = document.encode(thread)
            self._index({key: thread})
        return damaged

    def _set_journals_aside(self, found: Recovered, now: float) -> None:
        for each in found.strange:
            aside = move_aside(each, "unused", now)
            self._disk.say(
                f"{each} belongs to another {self._path.name} than the one that is there: what only it says is not "
                f"used, it is kept as {aside}"
            )
        if found.lost:
            kept = ", ".join(str(copy_aside(each, "damaged", now)) for each in found.used)
            self._disk.say(f"{found.lost} changes in {found.used[0]} cannot be read and are lost; it is kept as {kept}")


def _lost(what: str, aside: Path, path: Path) -> str:
    return (
        f"{what}; the damaged file is kept as {aside}: to use a backup, stop the service, copy it over {path}, "
        "start the service"
    )
