"""A real redis-server, emptied for each test, and stores in it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis

from alert_threader.store import RedisStore, Threads
from alert_threader.store.redis.client import connect
from alert_threader.threads import Policy
from harness.servers import RedisServer
from tests.stores.redis.kit import PREFIX, Open


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis as setup-redis.sh leaves it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """The same Redis, empty, as an operator sees it."""
    with redis.Redis.from_url(server.url, decode_responses=True) as connected:
        connected.flushall()
        yield connected


@pytest.fixture
def open_verbs() -> Iterator[Open]:
    """Open stores by their URLs, and close them in the end."""
    with ExitStack() as closing:

        def open_one(
            url: str, policy: Policy | None = None, *, prefix: str = PREFIX, fails_over: bool = False
        ) -> Threads:
            policy = policy or Policy()
            store = RedisStore(connect(url, prefix=prefix), prefix, policy, fails_over=fails_over)
            closing.callback(store.close)
            return Threads(store, policy)

        yield open_one


@pytest.fixture
def verbs(server: RedisServer, client: redis.Redis, open_verbs: Open) -> Threads:  # noqa: ARG001
    """A store in that Redis, still empty."""
    return open_verbs(server.url)
