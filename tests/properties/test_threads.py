"""Any interleaving of notifications, duplicates, failures, crashes and deletions ends with every change delivered once.

In order, and with each root as it would be rendered.
"""

import shutil
import tempfile
from pathlib import Path

import fakeredis
from hypothesis import settings

from alert_threader.store import RedisStore, SqliteStore, Store
from alert_threader.threads import lease_name
from tests.build import CHANNEL
from tests.properties.machine import LANE, Machine


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


class ThreadsInRedis(Machine):
    """On Redis."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeServer(version=(7,))
        super().__init__()

    def open(self) -> Store:
        """Connect as a new process does."""
        return RedisStore(fakeredis.FakeRedis(server=self.redis), "threader:ts", self.policy)

    def crash(self) -> None:
        """The process ends, and after a while its lease."""
        super().crash()
        fakeredis.FakeRedis(server=self.redis).delete(f"threader:ts-lease:{lease_name(LANE)}")


ThreadsInFile.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestThreadsInFile = ThreadsInFile.TestCase
ThreadsInRedis.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestThreadsInRedis = ThreadsInRedis.TestCase
