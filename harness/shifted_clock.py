"""A time of day that can be set, for the processes that are started with its settings."""

import os
from pathlib import Path

import alert_threader

#: Where the module is that shifts a process's clock.
_SHIFTED = Path(__file__).with_name("shifted")


class ShiftedClock:
    """The clock of the processes that are started with its ``settings``: the true one until ``shift``."""

    def __init__(self, folder: Path) -> None:
        """Take where to keep by how much it is shifted."""
        self._file = folder / "shift"
        path = os.pathsep.join(map(str, (_SHIFTED, Path(alert_threader.__file__).parents[1])))
        #: The environment that a process needs.
        self.settings = {"PYTHONPATH": path, "CLOCK_SHIFT": str(self._file)}
        self.shift(0)

    def shift(self, seconds: int) -> None:
        """Set the clock to so many seconds from the true time; the file is whole at any time."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)
