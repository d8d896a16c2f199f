"""A throw-away Debian with systemd, in which an installer can be run as root.

The program that boots it is not part of this repository: it stands beside it (`../shared/bin/systemd-box`) where the
project is developed. A clone without it skips these tests, in CI too, and so does anyone but root. Where it is there,
CI fails if it does not work; a laptop may have its reasons (no namespaces, no network).
"""

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

ROOT = Path(__file__).parents[2]
BOX = ROOT.parent / "shared" / "bin" / "systemd-box"
#: Booting takes about five seconds; the first time a base system is built, which takes a minute or more.
_TIMEOUT = 600
#: What `systemd-box` answers when there was no box, or it ended early.
_NO_BOX = 125


class Step(NamedTuple):
    """What a step did."""

    code: int
    out: str
    err: str


def run_in_box(steps: Mapping[str, str]) -> dict[str, Step]:
    """Run shell commands one after the other, as root in a new box that has the repository at /src."""
    if not BOX.exists():
        pytest.skip(f"there is no {BOX.name} beside the repository")
    if os.geteuid() != 0:
        pytest.skip(f"{BOX.name} needs root")
    # Boxes share this machine's network, and so the port that a server of theirs listens on: one at a time.
    with Path(tempfile.gettempdir(), "alert-threader-box.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [str(BOX), str(ROOT), "tests/install/in_box.py", json.dumps(dict(steps))]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    if ended.returncode == _NO_BOX:
        unusable(f"{BOX.name} does not work here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return {name: Step(**done) for name, done in json.loads(ended.stdout).items()}


def unusable(why: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
