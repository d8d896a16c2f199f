"""Durable writes: files and folders are synced, in the right order. Everything here raises OSError."""

import os
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

#: How long is waited for a sync that only measures, in seconds.
_PATIENCE = 15.0


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


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable: without this it can be lost in a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_seconds(folder: Path) -> float:
    """How long the disk of a folder takes to sync what was written, in seconds: the shortest of three times.

    One that takes longer than _PATIENCE is not waited for.
    """
    took: list[float] = []

    def measure() -> None:
        with suppress(OSError, ValueError):  # closed meanwhile
            for _ in range(3):
                file.write(b"\n")
                began = time.monotonic()
                os.fsync(file.fileno())
                took.append(time.monotonic() - began)

    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        # A sync that hangs cannot be called off.
        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        thread.join(_PATIENCE)
    return min(took, default=_PATIENCE)


def stamp(now: float) -> str:
    """A time (seconds since the epoch) as it stands in a file's name, in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def copy_aside(path: Path, why: str, now: float) -> Path:
    """Keep a copy of a file under another name, which is returned; ``now`` is in seconds since the epoch."""
    aside = aside_name(path, why, now)
    write_synced(aside, [path.read_bytes()])
    sync_folder(aside.parent)
    return aside


def move_aside(path: Path, why: str, now: float) -> Path:
    """Give a file another name, which is returned."""
    aside = aside_name(path, why, now)
    path.rename(aside)
    sync_folder(aside.parent)
    return aside


def aside_name(path: Path, why: str, now: float) -> Path:
    """A free name beside a file under which it can be kept; ``now`` is in seconds since the epoch."""
    name = f"{path.name}.{why}-{stamp(now)}"
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(free for free in map(path.with_name, names) if not free.exists())


#: Types of file systems, as /proc/self/mountinfo names them, whose files other machines may have open too.
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ocfs2", "gfs2", "fuse.sshfs")
)


def network_file_system(folder: Path) -> str:
    """The type of the network file system that a folder is on; empty where it is local, or nobody can tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    # https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html: the fifth field is where it is mounted, the
    # first behind the dash its type. Of those that a folder lies under, the longest counts, and of equals the last.
    found, longest = "", -1
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        point = fields.split(" ")[4].replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= longest:
            found, longest = rest.split(" ")[0], len(point)
    return found if found in _NETWORK else ""


def advice(path: Path, error: OSError) -> str:
    """What to do about a file that cannot be used."""
    reason = (error.strerror or str(error)).lower()
    return f"cannot keep threads in {path}: {reason}; make room, or let the service write to that folder"
