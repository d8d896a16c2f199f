"""What a disk must be told so that it keeps what was written. Everything here raises OSError."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path


def write_synced(path: Path, pieces: Iterable[bytes]) -> os.stat_result:
    """Write a file; on return its content is on the disk. What stands under the name is gone, also on an error."""
    try:
        # Labels can be confidential: nobody else reads the file.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(descriptor)
            return os.fstat(descriptor)
    except OSError:
        # A disk that is full needs the room.
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable: without this it can be lost in a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(now: float) -> str:
    """A time (seconds since the epoch) as it stands in a file's name, in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def copy_aside(path: Path, why: str, now: float) -> Path:
    """Keep a copy of a file under another name, which is returned; ``now`` is in seconds since the epoch."""
    aside = _aside(path, why, now)
    write_synced(aside, [path.read_bytes()])
    sync_folder(aside.parent)
    return aside


def move_aside(path: Path, why: str, now: float) -> Path:
    """Give a file another name, which is returned."""
    aside = _aside(path, why, now)
    path.rename(aside)
    sync_folder(aside.parent)
    return aside


def _aside(path: Path, why: str, now: float) -> Path:
    return path.with_name(f"{path.name}.{why}-{stamp(now)}")
