"""``alert-threader backup`` and ``restore``: checked copies of the file store.

A copy of the service's file made at any time is whole. What these commands add: a backup has every change that was
acknowledged, and is read back before an older one goes; a restore looks at what it is given before it touches what is
there.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.output import say_all
from alert_threader.cli.ownership import hand_over
from alert_threader.errors import StoreError, StoreLockedError
from alert_threader.store.disk import stamp, sync_folder
from alert_threader.store.document import dump, lines
from alert_threader.store.former import journals_of
from alert_threader.store.lock import FileLock
from alert_threader.store.opening import database_of
from alert_threader.store.reading import Contents, read_document, read_store
from alert_threader.threads import is_pending
from alert_threader.threads.schema import encode

#: Two weeks of one backup a day.
_KEPT = 14
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
    contents, text = _read(source, read_store)
    into_folder = is_folder or target.is_dir()
    path = target / f"threads-{stamp(now)}.json" if into_folder else target
    if path.resolve() in (source.resolve(), database_of(source).resolve()):
        raise CommandError(f"{path} is the store itself: name another file")
    try:
        if into_folder:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {_reason(error)}") from error
    pending = sum(map(is_pending, contents.threads.values()))
    yield f"{path}: {_count(contents)}, {pending} of them with something pending; verified by reading it back"
    if into_folder:
        yield from _rotate(target, keep)


def restore(source: Path, environ: Mapping[str, str], now: float) -> Iterator[str]:
    """Put a backup in the place of the store's file, which is kept beside it; yield what was done.

    Raises ConfigError, and CommandError where the service runs or the backup is not good; then nothing is changed.
    """
    path = _file_store(environ)
    contents, text = _read(source, read_document)
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
        if former.exists() and former.read_bytes() == text:
            text += b"\n"  # one that equals the last export would be taken for it, and not for a backup
        _write(path, text)
        for journal in journals_of(path):
            journal.unlink(missing_ok=True)
        hand_over(path, lock_file, former, *journals_of(former))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {_reason(error)}") from error
    finally:
        lock.release()
    yield f"{path}: {_count(contents)} from {source}; verified by reading it back"
    if former.exists():
        yield f"the former file is kept as {former}"
    yield "start the service again: systemctl start alert-threader"


def _file_store(environ: Mapping[str, str]) -> Path:
    settings = settings_of(_SETTINGS, environ)
    if settings.thread_store != "file":
        raise CommandError("the threads are in Redis (THREAD_STORE=redis): back up and restore Redis' own files")
    return settings.thread_store_file


def _read(path: Path, read: Callable[[Path, str, float], Contents]) -> tuple[Contents, bytes]:
    """All threads of a store or a backup, and the document of them."""
    try:
        # The channel and the time are of no matter: of a file that has none, the copy has none.
        contents = read(path, "", 0)
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {path}") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {_reason(error)}") from error
    except StoreError as error:
        raise CommandError(f"nothing was copied: {path} {error}") from error
    if contents.damaged:
        raise CommandError(f"nothing was copied: {path}: {len(contents.damaged)} of its threads cannot be read")
    if contents.faults:
        raise CommandError(f"nothing was copied: {'; '.join(contents.faults)}")
    records = ((key, encode(thread)) for key, thread in contents.threads.items())
    return contents, contents.text or b"".join(dump(lines(records)))


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
    raise CommandError(f"{path}: the file read back differs from what was written: check the disk")


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
    former = path.with_name(f"{path.name}.before-restore-{stamp(now)}")
    with suppress(FileNotFoundError):
        # A second name, not a new one: should this end here, the store is still where it was.
        former.hardlink_to(path)
    for journal, kept in zip(journals_of(path), journals_of(former), strict=True):
        with suppress(FileNotFoundError):
            kept.hardlink_to(journal)
    return former


def _rotate(folder: Path, keep: int) -> Iterator[str]:
    try:
        backups = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
        old = backups[:-keep]
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"cannot remove an older backup in {folder}: {_reason(error)}") from error
    yield f"{folder}: kept {len(backups) - len(old)}, removed {len(old)} (--keep {keep})"


def _count(contents: Contents) -> str:
    return "1 thread" if len(contents.threads) == 1 else f"{len(contents.threads)} threads"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@click.command("backup")
@click.argument("target", metavar="DIR|FILE")
@click.option(
    "--keep", type=click.IntRange(1, 100_000), default=_KEPT, metavar="N", help="Backups to keep in a folder."
)
def backup_command(target: str, keep: int) -> None:
    """Copy the file store, and read the copy back.

    The service may run. DIR is a folder (created if it ends in /): each backup is a new file there, and the oldest are
    removed. FILE is the file to write.
    """
    say_all(backup(Path(target), os.environ, time.time(), is_folder=target.endswith("/"), keep=keep))


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
def restore_command(file: Path) -> None:
    """Replace the file store with a backup.

    Stop the service first. FILE is what backup wrote, or any copy of the store's file. It is checked before anything
    is changed, and the replaced store is kept.
    """
    say_all(restore(file, os.environ, time.time()))
