"""What the service's processes use, as the kernel counts it."""

import os
from pathlib import Path
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """Resident memory in MB, open files and threads of a process at a moment."""

    memory: float
    files: int
    threads: int


def usage_of(pid: int) -> Usage:
    """What a process uses now. Raises OSError if there is none."""
    process = Path(f"/proc/{pid}")
    memory = int((process / "statm").read_text().split()[1]) * _PAGE / 1e6
    files, threads = (sum(1 for _ in (process / each).iterdir()) for each in ("fd", "task"))
    return Usage(memory, files, threads)
