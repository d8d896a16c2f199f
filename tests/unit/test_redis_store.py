"""What the Redis store promises beyond the contract: names, costs, and how it fails. On a real redis-server."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from alert_threader.app import create_app
from alert_threader.config import Settings
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.pacing import Budget
from alert_threader.service import service_of
from alert_threader.store.base import LEASE_TTL, Lease
from alert_threader.store.redis import RedisStore, connect
from alert_threader.threads import AlertThread, Change, Failed, Policy, Posted, Reason, Step
from alert_threader.webhook import Alert, Status
from tests.proxy import Proxy
from tests.servers import HOST, RedisServer, program

NOW = 1_800_000_000.0
CHANNEL = "C0000001"
PREFIX = "threader:ts"
PASSWORD = "never-to-be-seen/:@%"
_QUOTED = "never-to-be-seen%2F%3A%40%25"
BUDGET = Budget(rate=0.001, burst=2)

#: How long a webhook may wait for a Redis that is away, in seconds.
PROMPT = 2.0

#: Every verb of the store, on a thread "a" that has something to tell.
CALLS: dict[str, Callable[[RedisStore, Lease], object]] = {
    "update": lambda store, _: store.update([change("a", "2")], NOW),
    "claim": lambda store, _: store.claim("C0000002"),
    "renew": lambda store, lease: store.renew(lease),
    "release": lambda store, lease: store.release(lease),
    "take": lambda store, _: store.take("posts", BUDGET),
    "waiting": lambda store, _: store.waiting(),
    "due": lambda store, _: store.due(CHANNEL, NOW),
    "begin": lambda store, lease: store.begin(lease, "a", "id", NOW),
    "settle": lambda store, lease: store.settle(lease, "a", "id", Failed(error="x", retry_at=NOW), NOW),
    "expire": lambda store, _: store.expire(NOW),
    "forget": lambda store, _: store.forget(NOW),
    "read": lambda store, _: store.read("a"),
    "threads": lambda store, _: list(store.threads()),
    "stamps": lambda store, _: store.stamps(),
    "counts": lambda store, _: store.counts(NOW),
    "ping": lambda store, _: store.ping(),
    "info": lambda store, _: store.info(),
    "warnings": lambda store, _: store.warnings(),
}
#: Those that a Redis which only reads, or is full, cannot serve.
WRITES = ("update", "claim", "take", "begin", "ping")


def change(key: str, *names: str, status: Status = Status.FIRING) -> Change:
    """A webhook's word about one thread: these alerts have that status."""
    alerts = tuple(
        Alert(
            status=status,
            fingerprint=name,
            labels={"alertname": key, "severity": "critical", "instance": name},
            annotations={"summary": f"{key} on {name}"},
            starts_at=NOW,
            ends_at=None,
            links={},
            values="",
        )
        for name in names
    )
    return Change(key=key, channel=CHANNEL, alerts=alerts)


def tell(store: RedisStore, key: str, ts: str) -> AlertThread:
    """Tell what is due of a thread."""
    lease = claimed(store)
    begun = store.begin(lease, key, f"attempt-{ts}", NOW)
    assert begun is not None
    settled = store.settle(
        lease, key, f"attempt-{ts}", Posted(ts=ts, threaded=begun[1].step is Step.POST_REPLY), NOW
    )
    store.release(lease)
    assert settled is not None
    return settled


def claimed(store: RedisStore) -> Lease:
    """The channel's lease, which must be free."""
    lease = store.claim(CHANNEL)
    assert lease is not None
    return lease


def kept(store: RedisStore, key: str = "a") -> AlertThread:
    """A thread that must be there."""
    thread = store.read(key)
    assert thread is not None
    return thread


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
def open_store() -> Iterator[Callable[..., RedisStore]]:
    """Open stores by their URLs, and close them in the end."""
    with ExitStack() as closing:

        def open_one(url: str, policy: Policy | None = None) -> RedisStore:
            store = RedisStore(connect(url), PREFIX, policy or Policy())
            closing.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def store(server: RedisServer, client: redis.Redis, open_store: Callable[..., RedisStore]) -> RedisStore:  # noqa: ARG001
    """A store in that Redis, still empty."""
    return open_store(server.url)


class TestNames:
    """What an operator finds in Redis."""

    def test_thread_is_found_by_its_key(self, store: RedisStore, client: redis.Redis) -> None:
        """GET of the prefix and the key is the thread's ts, and KEYS of the prefix finds nothing else."""
        keys = [f"{name}|critical|database|production|production" for name in ("A b", "Ç", "*")]
        store.update([change(key, "1") for key in (*keys, "untold")], NOW)
        for number, key in enumerate(keys):
            tell(store, key, f"170000000{number}.000100")
        store.take("posts", BUDGET)
        store.ping()
        store.claim(CHANNEL)
        stamps = {f"{PREFIX}:{key}": f"170000000{number}.000100" for number, key in enumerate(keys)}
        assert {name: client.get(name) for name in client.keys(f"{PREFIX}:*")} == stamps
        assert store.stamps() == {name.removeprefix(f"{PREFIX}:"): ts for name, ts in stamps.items()}

    def test_threads_of_another_prefix_are_not_touched(self, store: RedisStore, server: RedisServer) -> None:
        """Two installations share a Redis, even where one's prefix begins with the other's."""
        store.update([change("a", "1")], NOW)
        other = RedisStore(connect(server.url), f"{PREFIX}:staging", Policy())
        other.update([change("a", "1"), change("b", "1")], NOW)
        lease = claimed(other)
        tell(store, "a", "1.0")
        other.release(lease)
        assert [thread.key for thread in store.threads()] == ["a"]
        assert store.counts(NOW).threads == 1
        assert store.forget(NOW) == 1
        assert {thread.key for thread in other.threads()} == {"a", "b"}
        other.close()

    def test_only_closed_threads_expire(self, store: RedisStore, client: redis.Redis) -> None:
        """A resolved thread is dropped by Redis itself; one that fires, or has something to tell, is not."""
        now = time.time()
        store.update([change("open", "1"), change("over", "1")], now)
        for key in ("open", "over"):
            lease = claimed(store)
            store.begin(lease, key, key, now)
            store.settle(lease, key, key, Posted(ts="1.0", threaded=False), now)
            store.release(lease)
        store.update([change("over", "1", status=Status.RESOLVED)], now)
        for kind in ("", "-record"):
            assert client.pttl(f"{PREFIX}{kind}:over") == -1, "it is still to be told"
        lease = claimed(store)
        for attempt in ("reply", "edit"):
            begun = store.begin(lease, "over", attempt, now)
            assert begun is not None
            settle = Posted(ts="2.0", threaded=True) if attempt == "reply" else updated(begun[1].shown)
            store.settle(lease, "over", attempt, settle, now)
        for kind in ("", "-record"):
            assert client.pttl(f"{PREFIX}{kind}:open") == -1
            assert 0 < client.pttl(f"{PREFIX}{kind}:over") <= 48 * 3600 * 1000

        store.update([change("over", "1")], now)
        for kind in ("", "-record"):
            assert client.pttl(f"{PREFIX}{kind}:over") == -1, "it fires again"


def updated(shown: Any) -> Any:
    """The outcome of an edit."""
    from alert_threader.threads import Updated

    return Updated(shown=shown)
