"""Any interleaving of notifications, duplicates, failures, crashes and deletions ends with every change delivered once.

In order, and with each root as it would be rendered.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings

from alert_threader.store import SqliteStore, Store
from tests.build import CHANNEL
from tests.properties.machine import Machine


class ThreadsInFile(Machine):
    """On the file store."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        super().__init__()

    def open(self) -> Store:
        """Open the database that the process before left."""
        return SqliteStore(self.folder / "threads.json", self.policy, CHANNEL, self.now)

    def teardown(self) -> None:
        """Leave nothing behind."""
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.folder)


ThreadsInFile.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestThreadsInFile = ThreadsInFile.TestCase
