"""The metrics of several workers as one: each keeps its numbers in files of a folder that all of them read.

The folder belongs to gunicorn's master, which makes it at its start and removes it at its end. After a ``kill -9`` it
is left behind, and the next master removes it, also one that needs no folder itself: a folder whose lock nobody holds
has no master any more.
"""

import errno
import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDER_PREFIX = "alert-threader-metrics-"
#: Locked by the master for as long as it lives.
_LOCK = "master.lock"
#: The space that the files of a worker may need, in bytes.
_ROOM = 4 * 1024 * 1024
#: How often a scrape reads the files while workers start and end.
_ATTEMPTS = 5
#: What reading a file raises that has vanished, or is not written yet.
_UNREADABLE = (OSError, RuntimeError, ValueError, struct.error)
#: A folder without a lock for so many seconds was left by a master that was killed before it made one.
_LOCKED_WITHIN = 60.0

#: The folder of this process's numbers; None for a process on its own.
_shared_folder: Path | None = None
#: The descriptor that holds the lock of this master's folder.
_lock: int | None = None


def remove_stale() -> None:
    """Remove the folders of this user's masters that were killed. Raises OSError."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        # The temporary folder is everybody's: never through a link, and never a folder of another user.
        if not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == os.geteuid() and _is_stale(folder):
            remove_folder(folder)


def make_folder() -> Path:
    """Make an empty folder for a master's workers. Raises OSError."""
    global _lock  # noqa: PLW0603 - a process is the master of one folder
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    if runtime:
        # systemd's folder: in memory, private to the service, and kept over a restart.
        folder = Path(runtime, "metrics")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
    _lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return folder


def share(folder: Path) -> None:
    """Keep the numbers of all Metrics made from now on in this process in a folder that other workers read too.

    Raises OSError where there is no space: the files are mapped memory, and a write to them on a full disk kills the
    process (SIGBUS).
    """
    global _shared_folder, _lock  # noqa: PLW0603 - the library itself knows one folder for each process
    if _lock is not None:
        # Inherited. Only the master's own descriptor counts: a worker that outlives it must not keep the folder.
        os.close(_lock)
        _lock = None
    # Somebody may have tidied the temporary folder since the master made it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < _ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    _shared_folder = folder
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def shared_folder() -> Path | None:
    """The folder that ``share`` was given, or None in a process on its own."""
    return _shared_folder


def drop_worker(folder: Path, pid: int) -> None:
    """Remove a worker that has ended from the gauges. Its counts remain."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def remove_folder(folder: Path) -> None:
    """Remove the folder, when the last worker has ended."""
    shutil.rmtree(folder, ignore_errors=True)


class SharedCollector(Collector):
    """Adds up the numbers of all workers, whatever starts or ends meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Read the files of all workers; where that fails, without those that cannot be read."""
        for attempt in range(_ATTEMPTS):
            # A worker that is just starting has made its file but not written to it, and the library fails on it.
            files = [file for file in self._folder.glob("*.db") if attempt == 0 or _merged([file]) is not None]
            metrics = _merged(files)
            if metrics is not None:
                return metrics
        return ()


def _merged(files: Iterable[Path]) -> Iterable[Metric] | None:
    """The numbers in these files added up; None where one of them cannot be read."""
    try:
        metrics: Iterable[Metric] = MultiProcessCollector.merge([str(file) for file in files])  # type: ignore[no-untyped-call]
    except _UNREADABLE:
        return None
    return metrics


def _is_stale(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        # A master that is just starting, or one that was killed at that.
        return time.time() > folder.stat().st_mtime + _LOCKED_WITHIN
    except OSError:
        return False  # no folder of ours
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
