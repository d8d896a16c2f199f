"""Where a replica may take Redis' place, a change counts once the replicas have it."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from alert_threader.store import Threads
from alert_threader.store.redis import commit
from alert_threader.threads import Reason, Step
from harness.servers import HOST, RedisServer
from tests.build import NOW
from tests.stores.redis.kit import PREFIX, PROMPT, Open, count_round_trips, failure_of, taken, wait_until
from tests.stores.sending import fires, kept
from tests.taker import Taker, delivery


class TestFailover:
    """Where a replica may take Redis' place, a change counts once a replica has it."""

    @pytest.fixture
    def replica(self, server: RedisServer, client: redis.Redis, tmp_path: Path) -> Iterator[RedisServer]:
        """A replica that is in step with the Redis."""
        client.config_set("repl-diskless-sync-delay", 0)
        with RedisServer(tmp_path / "replica", replicaof=f"{HOST} {server.port}") as running:
            until = time.monotonic() + 20
            # One that is "online" may still be loading what it was sent.
            while not (client.set("in-step", 1) and client.wait(1, 100)):
                assert time.monotonic() < until
            yield running

    @pytest.fixture
    def safe(self, server: RedisServer, client: redis.Redis, open_verbs: Open) -> Threads:  # noqa: ARG002
        """A store that waits for the replica."""
        return open_verbs(server.url, fails_over=True)

    def test_acknowledged_is_replicated(self, safe: Threads, replica: RedisServer) -> None:
        """Whatever was accepted, the replica has it at that moment; the script is loaded where it is not known."""
        with redis.Redis(port=replica.port, decode_responses=True) as second:
            for number in range(200):
                taken(safe, fires(f"key{number}", "1"))
                assert second.hget(f"{PREFIX}-record:key{number}", "thread")

    def test_refused_while_the_replica_hangs(self, safe: Threads, replica: RedisServer) -> None:
        """The change is not acknowledged, may be made again, and is then there once."""
        taken(safe, fires("a", "1"))
        with paused(replica):
            assert "no replica of Redis has the change yet" in failure_of(lambda: safe.notify([fires("a", "2")], NOW))
        assert taken(safe, fires("a", "2")).reason is Reason.DUPLICATE
        assert kept(safe.store).firing == 2

    def test_taken_while_a_replica_is_filled(
        self,
        safe: Threads,
        client: redis.Redis,
        server: RedisServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The first copy of all data can take minutes: nobody waits for that."""
        monkeypatch.setattr(commit, "_ALONE", 0.3)
        client.config_set("repl-diskless-sync-delay", 60)
        with RedisServer(tmp_path / "replica", replicaof=f"{HOST} {server.port}"):
            wait_until(lambda: client.info("replication")["connected_slaves"])
            failure_of(lambda: safe.notify([fires("b", "1")], NOW))
            time.sleep(0.3)
            assert safe.notify([fires("a", "1")], NOW)[0].reason is Reason.OPENED

    def test_sent_again_is_not_taken_either(self, safe: Threads, replica: RedisServer) -> None:
        """What the sender repeats is no news to Redis, and still no replica has it: a 2xx would be a promise broken."""
        taken(safe, fires("a", "1"))
        with paused(replica):
            for _ in range(2):
                assert "no replica" in failure_of(lambda: safe.notify([fires("a", "2")], NOW))
            assert "no replica" in failure_of(safe.store.ping)  # /health, or a load balancer would go on sending here

    def test_what_was_not_sent_is_not_looked_up(self, safe: Threads, replica: RedisServer) -> None:
        """A post that was started but not replicated is made at once when the replica is back."""
        taken(safe, fires("a", "1"))
        taken(safe, fires("b", "1"))
        slack = Taker()
        deliverer = delivery(safe, slack)
        try:
            with paused(replica):
                deliverer.start()
                time.sleep(4)  # longer than one attempt and its repetition take
                assert slack.steps == []
            wait_until(lambda: len(slack.steps) >= 2, 4)
        finally:
            assert deliverer.stop(5)
        assert [step for _, step in slack.steps] == [Step.POST_ROOT, Step.POST_ROOT]

    def test_taken_where_there_is_no_replica(self, safe: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
        """An alert is worth more than a rule that nobody can keep; /health says what is missing."""
        monkeypatch.setattr(commit, "_ALONE", 0.3)
        assert "lost a replica" in failure_of(lambda: safe.notify([fires("b", "1")], NOW))
        time.sleep(0.3)
        assert safe.notify([fires("a", "1")], NOW)[0].reason is Reason.OPENED
        assert [line for line in safe.store.warnings() if "Redis has no replica now" in line]

    def test_costs_no_further_round_trip(
        self, safe: Threads, replica: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The wait travels with the change."""
        assert replica.port
        taken(safe, fires("warm-up", "1"))
        trips = count_round_trips(monkeypatch)
        safe.notify([fires("one", "1")], NOW)
        assert len(trips) == 2


class TestSeveralReplicas:
    """Any of them may take over: a change counts once each has it that answers."""

    @pytest.fixture
    def replicas(self, server: RedisServer, client: redis.Redis, tmp_path: Path) -> Iterator[list[RedisServer]]:
        """Two replicas that are in step with the Redis."""
        client.config_set("repl-diskless-sync-delay", 0)
        with ExitStack() as closing:
            running = [
                closing.enter_context(RedisServer(tmp_path / name, replicaof=f"{HOST} {server.port}"))
                for name in ("first", "second")
            ]
            wait_until(lambda: client.set("in-step", 1) and client.wait(2, 100) == 2)
            yield running

    @pytest.mark.parametrize("slower", [0, 1])
    def test_waits_for_the_slowest(
        self,
        server: RedisServer,
        replicas: list[RedisServer],
        open_verbs: Open,
        monkeypatch: pytest.MonkeyPatch,
        slower: int,
    ) -> None:
        """Also with the first change of a process, which does not know yet how many there are."""
        monkeypatch.setattr(commit, "_REPLICA_WAIT", 0.9)
        safe = open_verbs(server.url, fails_over=True)
        with redis.Redis(port=replicas[slower].port) as late, ThreadPoolExecutor(1) as pool:
            for key in ("first", "second"):
                with paused(replicas[slower]):
                    accepting = pool.submit(safe.notify, [fires(key, "1")], NOW)
                    with pytest.raises(TimeoutError):
                        accepting.result(0.2)
                accepting.result()
                assert late.exists(f"{PREFIX}-record:{key}"), f"{key} was accepted before the slower replica had it"

    def test_does_without_one_that_hangs(
        self, server: RedisServer, replicas: list[RedisServer], open_verbs: Open
    ) -> None:
        """It is waited for as long as for any; what the other one has is accepted."""
        safe = open_verbs(server.url, fails_over=True)
        taken(safe, fires("a", "1"))
        with paused(replicas[0]), redis.Redis(port=replicas[1].port) as other:
            began = time.monotonic()
            safe.notify([fires("b", "1")], NOW)
            assert time.monotonic() < began + PROMPT
            assert other.exists(f"{PREFIX}-record:b")


@contextmanager
def paused(server: RedisServer) -> Iterator[None]:
    """Let a server stand still inside."""
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server._process.send_signal(signal.SIGCONT)
