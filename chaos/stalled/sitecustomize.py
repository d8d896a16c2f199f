"""Lets a process's resolver stand still for as long as the file exists that CHAOS_STALLED names.

Python imports a module of this name at its start from wherever PYTHONPATH leads.
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["CHAOS_STALLED"])
_getaddrinfo = socket.getaddrinfo


def _stalled(*arguments: Any, **options: Any) -> Any:
    # An address needs no resolver.
    while not options.get("flags") and _FILE.exists():
        time.sleep(0.02)
    return _getaddrinfo(*arguments, **options)


socket.getaddrinfo = _stalled
