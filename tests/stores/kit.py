"""A file store and what is done to it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alert_threader.store import SqliteStore, Threads
from alert_threader.threads import AlertThread, Applied, Change, Policy, Posted, slack_lane
from tests.build import CHANNEL, NOW, alert, change

LANE = slack_lane(CHANNEL)
POLICY = Policy()


def fired(key: str, summary: str = "ünï\n") -> Change:
    """An alert of a thread fires."""
    said = alert(key, labels={"alertname": 'quote " and {"a": {"b": 1}}'}, annotations={"summary": summary})
    return change(said, key=key)


class Kit:
    """A store, and the verbs on it."""

    def __init__(self, path: Path) -> None:
        """Open the store of a file."""
        self.store = SqliteStore(path, POLICY, CHANNEL, NOW)
        self.verbs = Threads(self.store, POLICY)

    def fire(self, *keys: str, at: float = NOW) -> Applied:
        """An alert of each thread fires; return what became of the first."""
        return self.verbs.notify([fired(key) for key in keys], at)[0]

    def deliver(self, key: str, at: float = NOW) -> None:
        """Post the thread's root."""
        lease = self.store.claim(LANE)
        assert lease is not None
        started = self.verbs.start_attempt(lease, key, f"post-{key}", at)
        assert started is not None
        ts = f"17000000.{key}"
        self.verbs.record_outcome(lease, key, f"post-{key}", Posted(ts=ts, threaded=False), at)
        self.store.release(lease)

    @property
    def keys(self) -> set[str]:
        """The keys of all threads."""
        return {thread.key for thread in self.store.threads()}

    def read(self, key: str) -> AlertThread:
        """A thread that is there."""
        thread = self.store.read(key)
        assert thread is not None
        return thread


@contextmanager
def opened(path: Path) -> Iterator[Kit]:
    """A store that is closed afterwards."""
    kit = Kit(path)
    try:
        yield kit
    finally:
        kit.store.close()


def exported(path: Path) -> set[str]:
    """The keys of a document; none where there is no document."""
    return set(json.loads(path.read_text()).get("threads", ())) if path.exists() else set()


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is true; fail after so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
