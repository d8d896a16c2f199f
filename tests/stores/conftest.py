"""The stores that every contract test runs on."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fakeredis
import pytest

from alert_threader.store import RedisStore, SqliteStore, Store, Threads
from alert_threader.store.redis.client import connect
from alert_threader.threads import Policy
from harness.servers import RedisServer

POLICY = Policy()

#: Opens the store again as another process would after the one before it is gone.
Reopen = Callable[[], Store]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis as setup-redis.sh leaves it; every contract test has a prefix of its own in it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["file", "fakeredis", "redis"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Open a store of one kind; called again, close it and open what it kept."""
    opened: list[Store] = []
    prefix = f"test:{uuid.uuid4().hex}"
    pretended = fakeredis.FakeServer(version=(7,))

    def new() -> Store:
        if request.param == "file":
            return SqliteStore(tmp_path / "threads.json", POLICY, "C0DEFAULT01", now=0)
        if request.param == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            return RedisStore(connect(server.url), prefix, POLICY)
        return RedisStore(fakeredis.FakeRedis(server=pretended), prefix, POLICY)

    def open_again() -> Store:
        for store in opened:
            store.close()
        opened[:] = [new()]
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Reopen) -> Store:
    """An empty store."""
    return reopen()


@pytest.fixture
def verbs(store: Store) -> Threads:
    """The domain's verbs on it."""
    return Threads(store, POLICY)
