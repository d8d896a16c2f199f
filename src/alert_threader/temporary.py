"""Where temporary files can be: gunicorn keeps its workers' heartbeats in some, and several workers their metrics."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from alert_threader.errors import AlertThreaderError

#: In memory on every Linux, and writable for everybody, in containers with a read-only root too.
_MEMORY = Path("/dev/shm")  # noqa: S108 - whoever may write there, the files are made as tempfile makes them


def settle(state: Path) -> Path:
    """Let this process, and those it starts, make temporary files where they can: as usual, in memory, or in ``state``.

    Returns the folder for heartbeats. Unless TMPDIR names one, it is in memory: on a disk that stands still a worker
    that is well would be taken for a hung one. Raises AlertThreaderError where no file can be made.
    """
    is_named = bool(os.environ.get("TMPDIR"))
    usual = _usual(state)
    return _MEMORY if not is_named and _can_be_written(_MEMORY) else usual


def _usual(state: Path) -> Path:
    with suppress(FileNotFoundError):
        return Path(tempfile.gettempdir())
    with suppress(OSError):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (_MEMORY, state):
        if _can_be_written(folder):
            tempfile.tempdir = str(folder)
            # SQLite has its own list of places.
            os.environ["TMPDIR"] = os.environ["SQLITE_TMPDIR"] = str(folder)
            return folder
    raise AlertThreaderError(
        f"no temporary file can be made, neither in /tmp nor in {_MEMORY} nor in {state}: "
        "set TMPDIR to a folder that can be written, or mount a tmpfs at /tmp"
    )


def _can_be_written(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
