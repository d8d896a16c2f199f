"""``python -m tests``: all tests, in two processes side by side, because both wait for most of their time."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

#: They boot, build or render something in a place of their own; coverage sees nothing of that.
BOXES = tuple(folder for folder in ("tests/install", "tests/container", "tests/deploy") if Path(folder).is_dir())


def main() -> int:
    """Run both parts; show the one as it runs and the other at the end. Returns the first exit code that is not 0."""
    # Ctrl-C reaches both parts by itself, and each ends what it has started.
    signal.signal(signal.SIGINT, lambda *_: None)
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        boxes = subprocess.Popen([*pytest, *BOXES], stdout=said, stderr=subprocess.STDOUT)
        others = subprocess.Popen([*pytest, "--cov", "--cov-report=term", *(f"--ignore={folder}" for folder in BOXES)])
        codes = [others.wait(), boxes.wait()]
        said.seek(0)
        sys.stdout.write(said.read())
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
