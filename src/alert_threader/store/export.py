"""The readable copy of a SQLite store: THREAD_STORE_FILE, written anew some seconds after a change.

The database knows an export's digest before the file is renamed into its place. So a start can tell the last export,
which holds nothing that the database lacks, from any other document: a backup that somebody put there.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from alert_threader.errors import StoreError
from alert_threader.store import document
from alert_threader.store.database import read_only, rows
from alert_threader.store.disk import advice, sync_folder, write_synced

log = logging.getLogger(__name__)

#: The notes in the database: the digest of the export that stands under the name, and of the one that will.
EXPORTED, EXPORTING = "exported", "exporting"

#: How long changes are gathered for an export, in seconds: a copy is hardly older than that.
_GATHER = 1.0
#: The pause between two exports is at least this many times what one takes: it runs 5 % of the time at most.
_SHARE = 20

#: What tells one file from another: inode, time of its last change in ns, and size in bytes.
_Identity = tuple[int, int, int]


def digest_of(text: bytes) -> str:
    """The digest by which an export is known."""
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class Exporter:
    """Writes the exports of one database. ``start`` it once; ``close`` it before the database."""

    def __init__(self, path: Path, database: Path, note: Callable[[dict[str, str]], None], digest: str) -> None:
        """Take the export's name, the database's, what stores notes there, and the digest of the document at its name.

        The digest is empty for none.
        """
        self._path = path
        self._database = database
        self._note = note
        self._digest = digest
        self._identity = _identity(path)
        #: Why the last export failed.
        self._failure: str | None = None
        self._replaced: str | None = None
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._dirty.set()  # it may be older than the database
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)

    @property
    def current_path(self) -> Path:
        """Where exports go while another document stands under the name: it is to be started from, not overwritten."""
        return current_export(self._path)

    def start(self) -> None:
        """Begin to follow the database; where there is no copy yet, make one at once."""
        if not self._path.exists():
            self._export()
        self._thread.start()

    def mark(self) -> None:
        """Say that the database has changed."""
        if not self._dirty.is_set():
            self._dirty.set()

    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        return [each for each in (self._replaced, self._failure) if each is not None]

    def close(self) -> None:
        """End, with an export of everything. More than once does no harm."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        is_behind = self._dirty.is_set()
        self._dirty.set()
        if self._thread.ident is None:
            return  # it never started: whatever is there is left as it is
        self._thread.join()
        if is_behind:
            self._export()

    def _run(self) -> None:
        pause = _GATHER
        # Asked first: `close` may have set both while this thread was about to clear the second.
        while not self._stopping.is_set():
            self._dirty.wait()
            if self._stopping.wait(pause):
                return
            began = time.monotonic()
            self._dirty.clear()
            if not self._export():
                self._dirty.set()
            pause = max(_GATHER, _SHARE * (time.monotonic() - began))

    def _export(self) -> bool:
        try:
            self._write()
            self._failure = None
        except OSError as error:
            self._failure = f"{advice(self._path, error)}; the database has every change meanwhile"
        except (StoreError, sqlite3.Error) as error:
            self._failure = f"{self._path} cannot be exported: {error}; the database has every change meanwhile"
        if self._failure is not None:
            log.error("%s", self._failure)
        return self._failure is None

    def _write(self) -> None:
        """Write the export beside the one it replaces, note its digest, and only then rename it."""
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        hashed = hashlib.blake2b(digest_size=16)
        try:
            with closing(read_only(self._database)) as connection:
                write_synced(temporary, _hashed(document.dump(document.lines(rows(connection))), hashed.update))
            digest = hashed.hexdigest()
            if self._is_foreign():
                temporary.replace(self.current_path)
                sync_folder(self._path.parent)
                return
            if digest == self._digest and self._identity is not None:
                temporary.unlink()
                return
            self._note({EXPORTING: digest})
            temporary.replace(self._path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self._identity, self._digest = _identity(self._path), digest
        sync_folder(self._path.parent)
        self._note({EXPORTED: digest, EXPORTING: ""})
        self.current_path.unlink(missing_ok=True)

    def _is_foreign(self) -> bool:
        """Whether somebody else's document stands under the name; say so once."""
        found = _identity(self._path)
        if found in (None, self._identity):
            self._replaced = None
            self._identity = found
            return False
        if digest_of(self._path.read_bytes()) == self._digest:
            self._identity = found
            self._replaced = None
            return False
        if self._replaced is None:
            self._replaced = (
                f"{self._path} was replaced while the service runs: restart the service to start from that file, or "
                f"delete the file to keep what the service has; its own copy is {self.current_path} meanwhile"
            )
            log.warning("%s", self._replaced)
        return True


def own_digests(database: Path) -> set[str]:
    """The digests of a database's last export, and of the one that is about to take its place. Raises sqlite3.Error."""
    with closing(read_only(database)) as connection:
        found = connection.execute("SELECT value FROM note WHERE name IN (?, ?)", (EXPORTED, EXPORTING))
        return {str(value) for (value,) in found if value}


def current_export(path: Path) -> Path:
    """Where the export of a store goes while another document stands under its name."""
    return path.with_name(f"{path.name}.current")


def _hashed(pieces: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
