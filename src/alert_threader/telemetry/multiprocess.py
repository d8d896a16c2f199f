"""The metrics of several workers as one: each keeps its numbers in files of a folder that all of them read.

The folder belongs to gunicorn's master, which makes it at its start and removes it at its end. After a ``kill -9`` it
is left behind, and the next master removes it: a folder whose lock nobody holds has no master any more.
"""

import errno
import fcntl
import os
import shutil
import tempfile
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
#: How often a scrape reads the files again after one has vanished in between: each time, a worker has ended.
_ATTEMPTS = 5

#: The folder of this process's numbers; None for a process on its own.
_shared_folder: Path | None = None
#: The descriptor that holds the lock of this master's folder.
_lock: int | None = None


def make_folder() -> Path:
    """Make an empty folder for a master's workers, and remove those of masters that were killed. Raises OSError."""
    global _lock  # noqa: PLW0603 - a process is the master of one folder
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    if runtime:
        # systemd's folder: in memory, private to the service, and kept over a restart.
        folder = Path(runtime, "metrics")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder
    _remove_stale(Path(tempfile.gettempdir()))
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
        """Read the files of all workers."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._read()
            except FileNotFoundError:
                continue
        return self._read()

    def _read(self) -> Iterable[Metric]:
        # A worker that is just starting has made its file but not written to it, and the library fails on it.
        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return metrics


def _remove_stale(parent: Path) -> None:
    """Remove the folders of this user's masters that are gone."""
    for folder in parent.glob(f"{_FOLDER_PREFIX}*"):
        # The temporary folder is everybody's: never through a link, and never a folder of another user.
        if not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == os.geteuid() and _is_stale(folder):
            remove_folder(folder)


def _is_stale(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        # A master that is just starting, or no folder of ours.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
