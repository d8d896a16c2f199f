"""``alert-threader backup`` and ``restore``: checked copies of the file store.

The service replaces its file whole, so a copy made at any time is good. What these commands add is the check: a backup
is read back before an older one goes, and a restore looks at what it is given before it touches what is there.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from alert_threader.commands.environment import settings_of
from alert_threader.commands.faults import CommandError
from alert_threader.commands.ownership import hand_over
from alert_threader.errors import StoreError, StoreLockedError
from alert_threader.store.disk import sync_folder
from alert_threader.store.document import Loaded, load
from alert_threader.store.lock import FileLock
from alert_threader.threads import pending

_SETTINGS = ("THREAD_STORE", "THREAD_STORE_FILE")
#: A backup in a folder: no other file there is ever deleted.
_NAME = re.compile(r"threads-\d{8}T\d{6}Z\.json")


def backup(target: Path, environ: Mapping[str, str], now: float, *, is_folder: bool, keep: int) -> Iterator[str]:
    """Copy the file store while the service runs, read the copy back, and yield what was done.

    Into a folder (one that exists, or ``is_folder``) goes a copy named after ``now`` (seconds since the epoch), and of
    the older ones there the newest ``keep`` - 1 stay. A file is replaced by its new copy only once that is checked.
    Raises ConfigError, and CommandError where there is no good copy; then no older one is touched.
    """
    source = _file_store(environ)
    content = _read(source)
    loaded = _checked(source, content)
    into_folder = is_folder or target.is_dir()
    path = target / f"threads-{_stamp(now)}.json" if into_folder else target
    if path.resolve() == source.resolve():
        raise CommandError(f"{path} is the store itself: name another file")
    try:
        if into_folder:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, content)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {_reason(error)}") from error
    untold = sum(map(pending, loaded.threads.values()))
    yield f"{path}: {_count(loaded)}, {untold} of them with something still to tell; read back, it is the same"
    if into_folder:
        yield from _rotate(target, keep)


def restore(source: Path, environ: Mapping[str, str], now: float) -> Iterator[str]:
    """Put a backup in the place of the store's file, which is kept beside it; yield what was done.

    Raises ConfigError, and CommandError where the service runs or the backup is not good; then nothing is changed.
    """
    path = _file_store(environ)
    content = _read(source)
    loaded = _checked(source, content)
    if source.resolve() == path.resolve():
        raise CommandError(f"{source} is the store itself: name a backup of it")
    lock_file = path.with_name(f"{path.name}.lock")
    try:
        lock = FileLock(path, 0)
    except StoreLockedError as error:
        in_use = str(error).partition(": one process")[0]
        raise CommandError(f"{in_use}: stop the service first (systemctl stop alert-threader)") from error
    try:
        former = _keep_former(path, now)
        _write(path, content)
        hand_over(path, lock_file, former)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {_reason(error)}") from error
    finally:
        lock.release()
    yield f"{path}: {_count(loaded)} from {source}; read back, it is the same"
    if former.exists():
        yield f"what was there before is kept as {former}"
    yield "start the service again: systemctl start alert-threader"


def _file_store(environ: Mapping[str, str]) -> Path:
    settings = settings_of(_SETTINGS, environ)
    if settings.thread_store != "file":
        raise CommandError("the threads are in Redis (THREAD_STORE=redis): back up and restore Redis' own files")
    return settings.thread_store_file


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {path}") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {_reason(error)}") from error


def _checked(path: Path, content: bytes) -> Loaded:
    """The threads of a document, all of them. The channel and the time are of no matter: nothing is written of them."""
    try:
        loaded = load(content, "", 0)
    except StoreError as error:
        raise CommandError(f"nothing is copied: {path} {error}") from error
    if loaded.damaged:
        raise CommandError(f"nothing is copied: {path}: {len(loaded.damaged)} of its threads cannot be read")
    return loaded


def _write(path: Path, content: bytes) -> None:
    """Write a file beside the one it replaces, read it back from the disk, and only then replace that."""
    # Always the same name: what a killed process left is overwritten by the next one.
    temporary = path.with_name(".alert-threader.new")
    try:
        if _written(temporary, content) != content:
            _refuse(path)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def _refuse(path: Path) -> NoReturn:
    raise CommandError(f"{path}: what was written is not what is read back: look at the disk")


def _written(path: Path, content: bytes) -> bytes:
    """Write a file and return what is on the disk then."""
    # Labels can be confidential: nobody else reads the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        # Else it would be read from memory, and say nothing about the disk.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return path.read_bytes()


def _keep_former(path: Path, now: float) -> Path:
    """Keep the store's file under another name as well; return that name, whether there was a file or not."""
    former = path.with_name(f"{path.name}.before-restore-{_stamp(now)}")
    with suppress(FileNotFoundError):
        # A second name, not a new one: should this end here, the store is still where it was.
        former.hardlink_to(path)
    return former


def _rotate(folder: Path, keep: int) -> Iterator[str]:
    try:
        backups = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
        old = backups[:-keep]
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"an older backup in {folder} cannot be removed: {_reason(error)}") from error
    yield f"{folder}: kept {len(backups) - len(old)}, removed {len(old)} (--keep {keep})"


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def _count(loaded: Loaded) -> str:
    return "1 thread" if len(loaded.threads) == 1 else f"{len(loaded.threads)} threads"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
