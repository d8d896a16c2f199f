"""A Redis in cluster mode: with a hash tag in the prefix all works; without one, whoever asks is told so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from alert_threader.threads import Reason
from harness.servers import HOST, RedisCluster, RedisServer
from tests.build import NOW
from tests.stores.redis.kit import CALLS, Open, failure_of, failures_of, taken
from tests.stores.sending import claimed, deliver, due, fires, kept

TAGGED = "{threader}:ts"
ADVICE = "Redis is in cluster mode: set REDIS_KEY_PREFIX={threader}:ts"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One master that has all slots: no name is elsewhere, and yet a script may not mix slots."""
    with RedisCluster(tmp_path_factory.mktemp("alone"), masters=1) as running:
        yield running


@pytest.mark.parametrize("kind", ["cluster", "alone"])
@pytest.mark.parametrize("seed", [0, -1])
def test_every_call_works(kind: str, seed: int, request: pytest.FixtureRequest, open_verbs: Open) -> None:
    """Whichever server the URL names: all that the service does is done where its names are, in one slot."""
    running: RedisCluster = request.getfixturevalue(kind)
    prefix = f"{{{kind}{seed}}}:ts"
    verbs = open_verbs(running.masters[seed].url, prefix=prefix)
    verbs.store.ping()
    assert verbs.notify([fires("a", "1"), fires("b", "2")], NOW)[0].reason is Reason.OPENED
    lease = claimed(verbs.store)
    for name, call in CALLS.items():
        if name not in ("release", "forget"):
            call(verbs, lease)
    verbs.store.release(lease)
    deliver(verbs, "b", "1.0")
    assert kept(verbs.store).firing == 2
    assert due(verbs.store) == ["a"]
    assert verbs.store.stamps() == {"b": "1.0"}
    assert {thread.key for thread in verbs.store.threads()} == {"a", "b"}
    assert verbs.forget(NOW) == 1
    with redis.Redis(port=running.holder(f"{prefix}:b").port) as client:
        assert client.hexists(f"{prefix}-record:a", "thread")
        left = [name for name in client.scan_iter(f"{prefix}-ping-*") if client.ttl(name) < 0]
        assert left == [], "a ping leaves something behind"


@pytest.mark.parametrize("kind", ["cluster", "alone"])
def test_without_a_hash_tag(kind: str, request: pytest.FixtureRequest, open_verbs: Open) -> None:
    """Where webhooks would get 503, ``ping`` fails too, and says what to do."""
    running: RedisCluster = request.getfixturevalue(kind)
    # Each of them has some of the names.
    for server in running.masters:
        verbs = open_verbs(server.url)
        assert failure_of(verbs.store.ping).startswith(ADVICE)
        (notified,) = failures_of(verbs, calls=("notify",))
        assert notified.startswith(ADVICE)


def test_another_database(alone: RedisCluster, open_verbs: Open) -> None:
    """There is none but the first."""
    verbs = open_verbs(alone.url.removesuffix("0") + "1", prefix=TAGGED)
    assert "end REDIS_URL in /0" in failure_of(verbs.store.ping)


def test_password(cluster: RedisCluster, open_verbs: Open) -> None:
    """Every server is asked with the login of the URL, and one that refuses it says so."""
    text = failure_of(open_verbs(cluster.url.replace("//", "//nobody:never-to-be-seen@"), prefix=TAGGED).store.ping)
    assert text.startswith("Redis refuses the login: correct user and password in REDIS_URL")


def test_no_cluster_at_all(tmp_path: Path, open_verbs: Open) -> None:
    """A hash tag does no harm to a single Redis."""
    with RedisServer(tmp_path) as server:
        verbs = open_verbs(server.url, prefix=TAGGED)
        verbs.notify([fires("a", "1")], NOW)
        assert kept(verbs.store).firing == 1


def test_away(open_verbs: Open) -> None:
    """A cluster that is away is an error like any other, in time."""
    verbs = open_verbs(f"redis://{HOST}:1/0", prefix=TAGGED)
    for text in failures_of(verbs):
        assert text.startswith("Redis cannot be reached: check that it runs, REDIS_URL and the network")


class TestFailover:
    """A replica takes its master's place: nothing that was accepted is lost, and the service goes on by itself."""

    @pytest.fixture
    def replicated(self, tmp_path: Path) -> Iterator[RedisCluster]:
        """Three masters with a replica each."""
        with RedisCluster(tmp_path, replicas=1) as running:
            yield running

    def test_master_dies(self, replicated: RedisCluster, open_verbs: Open) -> None:
        """What was answered is in the replica, which is found as the next master, though the URL names the dead one."""
        holder = replicated.holder(TAGGED)
        verbs = open_verbs(holder.url, prefix=TAGGED)
        for number in range(20):
            taken(verbs, fires(f"key{number}", "1"))
        replica = replicated.replicas[replicated.masters.index(holder)][0]
        with redis.Redis(port=replica.port) as client:
            client.readonly()
            assert client.hexists(f"{TAGGED}-record:key19", "thread")
        holder.kill()
        assert failure_of(verbs.store.ping)
        assert taken(verbs, fires("later", "1")).reason is Reason.OPENED
        with redis.Redis(port=replica.port) as client:
            assert client.info("replication")["role"] == "master"
        assert {thread.key for thread in verbs.store.threads()} == {*(f"key{number}" for number in range(20)), "later"}

    def test_slot_moves(self, replicated: RedisCluster, open_verbs: Open) -> None:
        """Where the replica is made the master by hand, idle connections to the former one are not used any more."""
        holder = replicated.holder(TAGGED)
        verbs = open_verbs(replicated.url, prefix=TAGGED)
        taken(verbs, fires("a", "1"))
        replica = replicated.replicas[replicated.masters.index(holder)][0]
        with redis.Redis(port=replica.port) as client:
            client.execute_command("CLUSTER FAILOVER")
        assert taken(verbs, fires("b", "1")).reason in (Reason.OPENED, Reason.DUPLICATE)
        assert {thread.key for thread in verbs.store.threads()} == {"a", "b"}
