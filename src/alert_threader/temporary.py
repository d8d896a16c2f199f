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

    Returns the folder. Raises AlertThreaderError where there is none.
    """
    with suppress(FileNotFoundError):
        return Path(tempfile.gettempdir())
    with suppress(OSError):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (_MEMORY, state):
        with suppress(OSError), tempfile.TemporaryFile(dir=folder):
            tempfile.tempdir = str(folder)
            # SQLite has its own list of places.
            os.environ["TMPDIR"] = os.environ["SQLITE_TMPDIR"] = str(folder)
            return folder
    raise AlertThreaderError(
        f"no temporary file can be made, neither in /tmp nor in {_MEMORY} nor in {state}: "
        "set TMPDIR to a folder that can be written, or mount a tmpfs at /tmp"
    )
