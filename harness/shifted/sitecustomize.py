"""Shifts a process's time of day by as many seconds as stand in the file that CLOCK_SHIFT names.

Python imports a module of this name at its start from wherever PYTHONPATH leads. The monotonic clock stays as it is, as
it does when a machine's clock is set. libfaketime (0.9.10) would do the same for any program, but with the monotonic
clock left alone Python's time.sleep fails under it: clock_nanosleep returns EINVAL.
"""

import os
import time
from pathlib import Path

_FILE = Path(os.environ["CLOCK_SHIFT"])
_time, _time_ns = time.time, time.time_ns


def _shift() -> int:
    return int(_FILE.read_text())


time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + _shift() * 1_000_000_000
