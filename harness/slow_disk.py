"""A disk whose every sync takes long: a library, built here, that is loaded into the service before all others."""

import subprocess
from pathlib import Path

from harness.servers import program


class SlowDisk:
    """The disk of the processes that are started with its ``settings``; as fast as it is until ``delay``."""

    def __init__(self, folder: Path) -> None:
        """Build the library into a folder. Without a C compiler the test is skipped on a laptop, and fails in CI."""
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "slow_disk.so"
        source = Path(__file__).with_suffix(".c")
        command = [program("cc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        self._delay = folder / "delay"
        #: The environment that a process needs.
        self.settings = {"LD_PRELOAD": str(library), "SLOW_DISK": str(self._delay)}
        self.delay(0)

    def delay(self, seconds: float) -> None:
        """Let every sync take that much longer from now on, those under way included."""
        new = self._delay.with_suffix(".new")
        new.write_text(str(round(seconds * 1000)))
        new.replace(self._delay)
