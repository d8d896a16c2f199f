"""The stores that every contract test runs on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alert_threader.store import FileStore, Store
from alert_threader.threads import Policy

POLICY = Policy()

#: Opens the store again as another process would after the one before it is gone.
Reopen = Callable[[], Store]


@pytest.fixture(params=["file"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Open a store of one kind; called again, close it and open what it kept."""
    opened: list[Store] = []

    def open_again() -> Store:
        for store in opened:
            store.close()
        opened[:] = [FileStore(tmp_path / "threads.json", POLICY, "C0DEFAULT01", now=0)]
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Reopen) -> Store:
    """An empty store."""
    return reopen()
