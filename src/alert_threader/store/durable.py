"""The threads of a file store as lines, in memory and on disk: a document, and a journal of what changed since.

A commit is one synced line in the journal. In the background a new document is written soon after, in the place of the
old one, and with a new journal: what is committed meanwhile goes there. A document is written under a commit only where
the journal cannot be trusted any more.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from alert_threader.errors import StoreError
from alert_threader.store import document, journal
from alert_threader.store.disk import copy_aside, move_aside, sync_folder, write_synced
from alert_threader.store.journal import Journal
from alert_threader.store.lock import advice
from alert_threader.store.recovery import journals_of

log = logging.getLogger(__name__)

#: How long changes are gathered for a new document, in seconds: a copy of the document is hardly older than that.
_GATHER = 1.0
#: The time between two documents is at least so many times what one takes: it is written 5 % of the time at most.
_SHARE = 20

#: What tells one file from another: inode, time of its last change in ns, and size in bytes.
_Identity = tuple[int, int, int]


class Durable:
    """The files of a store, which nobody else may write. ``start`` it once; then one ``commit`` at a time."""

    def __init__(self, path: Path) -> None:
        """Take the document's name."""
        self._path = path
        #: A thread's line of the document, by key, as it was last committed.
        self.lines: dict[str, bytes] = {}
        self.commits = 0
        #: Why the last commit failed.
        self.trouble: str | None = None
        #: Why the document could not be written, though changes can.
        self._behind: str | None = None
        self._said: list[str] = []
        self._main, self._next = journals_of(path)
        #: None where there is none that can be trusted.
        self._journal: Journal | None = None
        #: The journal that the document on disk names, the newest there was, and the one before that.
        self._named = self._newest = self._previous = ""
        self._document: _Identity | None = None
        #: Held while a document is written; then the other while a line is, or the journal is changed for another.
        self._writing = threading.Lock()
        self._turn = threading.Lock()
        self._dirty = False
        self._closed = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._tender = threading.Thread(target=self._tend, name="checkpoint", daemon=True)

    # -- for the store -----------------------------------------------------------------------------------------

    def start(self, named: str, newest: str, *, whole: bool) -> None:
        """Begin to write, with ``lines`` as they were read.

        ``named`` is the journal that the document names, ``newest`` the last one that was read; ``whole`` is whether
        the document holds what they had. What goes wrong here is ``trouble``, and is tried again; but where there is no
        document yet, it is a StoreError: better now than at the first alert.
        """
        self._named, self._newest = named, newest
        self._document = _identity(self._path)
        try:
            if whole and self._document is not None:
                self._begin_journal(named)
            else:
                self._dirty = True
                self._wake.set()
                self._renew()
        except OSError as error:
            self.trouble = advice(self._path, error)
            if self._document is None:
                raise StoreError(self.trouble) from error
        self._tender.start()

    def commit(self, changed: Mapping[str, bytes | None]) -> None:
        """Keep these lines, and drop those that are None now. Raises StoreError: then nothing has changed."""
        body = journal.changes(document.dropped(key) if line is None else line for key, line in changed.items())
        try:
            while not self._append(body, changed):
                self._renew()
        except OSError as error:
            self.trouble = advice(self._path, error)
            raise StoreError(self.trouble) from error
        self.trouble = None
        self.commits += 1

    def say(self, warning: str) -> None:
        """Tell a person: in the log, and for as long as the process lives."""
        self._said.append(warning)
        log.error("%s", warning)

    def warnings(self) -> list[str]:
        """What a person should know, a line each."""
        if self._behind is None or self.trouble is not None:
            return list(self._said)
        return [*self._said, f"{self._behind}; new changes are in {self._main} meanwhile"]

    def close(self) -> None:
        """Take no more, write the document and remove the journal; nothing if somebody has replaced the document."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
        self._stop.set()
        self._wake.set()
        if self._tender.ident is None:
            return  # it was never started: whatever is there is left as it is
        self._tender.join()
        try:
            self._finish()
        except OSError as error:
            log.error("%s", advice(self._path, error))  # noqa: TRY400 - one line; the journal has everything
        finally:
            if self._journal is not None:
                self._journal.close()

    # -- the journal -------------------------------------------------------------------------------------------

    def _append(self, body: bytes, changed: Mapping[str, bytes | None]) -> bool:
        """Write a line; False where there is no journal for it. Raises OSError, and StoreError once it is closed."""
        with self._turn:
            if self._closed:
                raise StoreError(f"{self._path} is closed: this process is stopping, send it again")
            current = self._journal
            if current is None:
                return False
            try:
                if not current.is_there:
                    self._give_up(current)
                    return False
                current.append(body)
            except OSError:
                if not current.trusted:
                    self._give_up(current)
                raise
            for key, line in changed.items():
                if line is None:
                    self.lines.pop(key, None)
                else:
                    self.lines[key] = line
            self._mark_dirty()
            return True

    def _give_up(self, broken: Journal) -> None:
        """Take no more into a journal: nothing is accepted until a document holds what it has."""
        broken.close()
        self._journal = None
        self._mark_dirty()

    def _mark_dirty(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._wake.set()

    def _begin_journal(self, name: str) -> None:
        """Make the journal that the document names. The document holds what other journals have."""
        self._main.unlink(missing_ok=True)
        begun = Journal(self._main, name)
        with _closed_on_error(begun):
            self._next.unlink(missing_ok=True)
            sync_folder(self._path.parent)
        with self._turn:
            self._journal, self._newest = begun, name

    # -- the document ------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        pause = _GATHER
        while self._wake.wait() and not self._stop.wait(pause):
            began = time.monotonic()
            try:
                self._checkpoint()
                self._behind = None
            except OSError as error:
                self._note(advice(self._path, error))
            except Exception as error:
                log.exception("%s cannot be written", self._path)
                self._note(str(error))
            pause = max(_GATHER, _SHARE * (time.monotonic() - began))

    def _note(self, why: str) -> None:
        """Say why there is no new document, and let it be tried again."""
        log.error("%s", why)
        with self._turn:
            self._behind = why
            if self._journal is None:
                self.trouble = why
            self._mark_dirty()

    def _checkpoint(self) -> None:
        """Write the document anew, and change the journal for a new one. Raises OSError."""
        former = self._journal
        if former is None:
            self._renew()
            return
        with self._writing:
            # Where the last document failed, the one before and its journal are still needed, and this one goes on.
            fresh = self._fresh() if former.path == self._main and self._named == self._newest else None
            with self._turn:
                if self._journal is not former:
                    # It cannot be trusted any more: nothing is accepted, and the next turn writes a document for that.
                    if fresh is not None:
                        fresh.close()
                    return
                if fresh is not None:
                    former.close()
                    self._journal, self._previous, self._newest = fresh, self._newest, fresh.name
                lines = self._snapshot()
            self._write(lines, self._newest)
            current = fresh or former
            if current.path != self._main:
                current.rename(self._main)

    def _fresh(self) -> Journal:
        fresh = Journal(self._next, uuid.uuid4().hex, after=self._newest)
        with _closed_on_error(fresh):
            sync_folder(self._path.parent)
        return fresh

    def _snapshot(self) -> list[bytes]:
        self._dirty = False
        if not self._closed:
            self._wake.clear()
        return list(self.lines.values())

    def _renew(self) -> None:
        """Write the document for a journal of its own: the one there was is gone, or not to be trusted any more.

        Raises OSError.
        """
        with self._writing:
            with self._turn:
                if self._closed or self._journal is not None:
                    return
                lines = self._snapshot()
            self._previous = self._newest
            try:
                self._write(lines, uuid.uuid4().hex)
                self._begin_journal(self._named)
            except BaseException:
                # Whatever it was: a close that took the document for written would remove the journal.
                with self._turn:
                    self._mark_dirty()
                raise

    def _write(self, lines: list[bytes], name: str) -> None:
        """Replace the document by one of these lines and this journal, durably. Raises OSError."""
        if self._is_replaced():
            aside = copy_aside(self._path, "replaced", time.time())
            self._document = _identity(self._path)
            self.say(
                f"{self._path} was replaced while the service used it: the service goes on with its own threads, the "
                f"other file is kept as {aside}; to restore a backup, stop the service first"
            )
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        written = write_synced(temporary, document.dump(lines, name, self._previous))
        temporary.replace(self._path)
        self._document = _identity_of(written)
        self._named = name
        # Before its journal takes the place of the other one's.
        sync_folder(self._path.parent)

    def _is_replaced(self) -> bool:
        return self._document is not None and _identity(self._path) not in (None, self._document)

    def _finish(self) -> None:
        with self._writing:
            journals = [each for each in (self._main, self._next) if each.exists()]
            if self._dirty and self._is_replaced():
                kept = [str(move_aside(each, "unused", time.time())) for each in journals]
                said = "%s was replaced and is left as it is; the last changes are kept in %s"
                log.warning(said, self._path, ", ".join(kept))
                return
            if self._dirty:
                # A name of its own for every document: an older one that is laid back must not find this one's journal.
                self._previous = self._newest
                self._write(self._snapshot(), uuid.uuid4().hex)
            for each in journals:
                each.unlink()
            with suppress(FileNotFoundError):
                sync_folder(self._path.parent)


@contextmanager
def _closed_on_error(made: Journal) -> Iterator[None]:
    """Let go of a journal that nobody will use: each try would leave one open."""
    try:
        yield
    except BaseException:
        made.close()
        raise


def _identity(path: Path) -> _Identity | None:
    try:
        return _identity_of(path.stat())
    except FileNotFoundError:
        return None


def _identity_of(found: os.stat_result) -> _Identity:
    return found.st_ino, found.st_mtime_ns, found.st_size
