"""``python -m tests``: all tests, in two processes side by side, because both wait for most of their time."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

#: What boots, builds or renders something in its own place, where coverage sees nothing; and what waits longest.
BESIDE = tuple(
    path
    for path in (
        "tests/install",
        "tests/container",
        "tests/deploy",
        "tests/e2e/test_reconcile.py",
        "tests/e2e/test_socket_mode.py",
        "tests/e2e/test_two_way.py",
    )
    if Path(path).exists()
)


def main() -> int:
    """Run both parts; show the one as it runs and the other at the end. Returns the first exit code that is not 0."""
    # Ctrl-C reaches both parts by itself, and each ends what it has started.
    signal.signal(signal.SIGINT, lambda *_: None)
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        beside = subprocess.Popen([*pytest, *BESIDE], stdout=said, stderr=subprocess.STDOUT)
        others = subprocess.Popen([*pytest, "--cov", "--cov-report=term", *(f"--ignore={path}" for path in BESIDE)])
        codes = [others.wait(), beside.wait()]
        said.seek(0)
        sys.stdout.write(said.read())
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
