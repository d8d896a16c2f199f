"""What the Redis store promises beyond the contract: names, costs, and how it fails. On a real redis-server."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.app import create_app
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.service import service_of
from alert_threader.settings.settings import Settings
from alert_threader.store.base import Lease
from alert_threader.store.redis import commit
from alert_threader.store.redis.client import connect
from alert_threader.store.redis.store import RedisStore
from alert_threader.store.tokens import Budget
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import AlertThread, Applied, Change, Failed, Policy, Posted, Reason, Step, Updated
from tests.e2e.harness import wait_for
from tests.proxy import Proxy
from tests.servers import HOST, RedisServer, free_port, program
from tests.taker import Taker

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
    settled = store.settle(lease, key, f"attempt-{ts}", Posted(ts=ts, threaded=begun[1].step is Step.POST_REPLY), NOW)
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

        def open_one(url: str, policy: Policy | None = None, *, fails_over: bool = False) -> RedisStore:
            store = RedisStore(connect(url), PREFIX, policy or Policy(), fails_over=fails_over)
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
        other = RedisStore(connect(server.url), f"{PREFIX}-staging", Policy())
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
            settle = (
                Posted(ts="2.0", threaded=True) if attempt == "reply" else Updated(ts=begun[0].ts, shown=begun[1].shown)
            )
            store.settle(lease, "over", attempt, settle, now)
        for kind in ("", "-record"):
            assert client.pttl(f"{PREFIX}{kind}:open") == -1
            assert 0 < client.pttl(f"{PREFIX}{kind}:over") <= 48 * 3600 * 1000

        store.update([change("over", "1")], now)
        for kind in ("", "-record"):
            assert client.pttl(f"{PREFIX}{kind}:over") == -1, "it fires again"


class TestWarnings:
    """Settings of Redis that do not fit a store of record."""

    def test_sound_settings_are_silent(self, store: RedisStore) -> None:
        """With an append-only file and without eviction there is nothing to say."""
        assert store.warnings() == []

    def test_eviction(self, store: RedisStore, client: redis.Redis) -> None:
        """A Redis that throws keys away when it is full would lose threads."""
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            (line,) = store.warnings()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert "allkeys-lru" in line
        assert "set it to noeviction" in line

    def test_nothing_on_disk(self, store: RedisStore, client: redis.Redis) -> None:
        """Neither an append-only file nor snapshots: a restart would lose threads."""
        client.config_set("appendonly", "no")
        try:
            (line,) = store.warnings()
            client.config_set("save", "60 1")
            snapshots = store.warnings()
        finally:
            client.config_set("save", "")
            client.config_set("appendonly", "yes")
        assert "set appendonly yes" in line
        assert snapshots == []

    def test_failover_that_would_lose_changes(
        self, store: RedisStore, server: RedisServer, client: redis.Redis, tmp_path: Path
    ) -> None:
        """There is a replica, but Redis does not wait for it to have anything."""
        with RedisServer(tmp_path / "replica", replicaof=f"{HOST} {server.port}"):
            until = time.monotonic() + 20
            while not client.info("replication")["connected_slaves"]:
                assert time.monotonic() < until
                time.sleep(0.02)
            (line,) = store.warnings()
            client.config_set("min-replicas-to-write", 1)
            safe = store.warnings()
            client.config_set("min-replicas-to-write", 0)
        assert "set min-replicas-to-write 1" in line
        assert safe == []


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
    def safe(self, server: RedisServer, client: redis.Redis, open_store: Callable[..., RedisStore]) -> RedisStore:  # noqa: ARG002
        """A store that waits for the replica."""
        return open_store(server.url, fails_over=True)

    def test_acknowledged_is_replicated(self, safe: RedisStore, replica: RedisServer) -> None:
        """Whatever was accepted, the replica has it at that moment; the script is loaded where it is not known."""
        with redis.Redis(port=replica.port, decode_responses=True) as second:
            for number in range(200):
                taken(safe, change(f"key{number}", "1"))
                assert second.hget(f"{PREFIX}-record:key{number}", "data")

    def test_refused_while_the_replica_hangs(self, safe: RedisStore, replica: RedisServer) -> None:
        """The change is not acknowledged, may be made again, and is then there once."""
        taken(safe, change("a", "1"))
        assert replica._process is not None
        replica._process.send_signal(signal.SIGSTOP)
        try:
            assert "no replica of Redis has the change yet" in failure_of(lambda: safe.update([change("a", "2")], NOW))
        finally:
            replica._process.send_signal(signal.SIGCONT)
        assert taken(safe, change("a", "2")).reason is Reason.DUPLICATE
        assert kept(safe).firing == 2

    def test_taken_while_a_replica_is_filled(
        self,
        safe: RedisStore,
        client: redis.Redis,
        server: RedisServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The first copy of all data can take minutes: nobody waits for that."""
        monkeypatch.setattr(commit, "_ALONE", 0.3)
        client.config_set("repl-diskless-sync-delay", 60)
        with RedisServer(tmp_path / "replica", replicaof=f"{HOST} {server.port}"):
            until = time.monotonic() + 20
            while not client.info("replication")["connected_slaves"]:
                assert time.monotonic() < until
                time.sleep(0.02)
            failure_of(lambda: safe.update([change("b", "1")], NOW))
            time.sleep(0.3)
            assert safe.update([change("a", "1")], NOW)[0].reason is Reason.OPENED

    def test_sent_again_is_not_taken_either(self, safe: RedisStore, replica: RedisServer) -> None:
        """What the sender repeats is no news to Redis, and still no replica has it: a 2xx would be a promise broken."""
        taken(safe, change("a", "1"))
        assert replica._process is not None
        replica._process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(2):
                assert "no replica" in failure_of(lambda: safe.update([change("a", "2")], NOW))
            assert "no replica" in failure_of(safe.ping)  # /health, or a load balancer would go on sending here
        finally:
            replica._process.send_signal(signal.SIGCONT)

    def test_what_was_not_sent_is_not_looked_up(self, safe: RedisStore, replica: RedisServer) -> None:
        """A post that was begun but not replicated is made at once when the replica is back."""
        taken(safe, change("a", "1"))
        taken(safe, change("b", "1"))
        slack = Taker()
        assert replica._process is not None
        replica._process.send_signal(signal.SIGSTOP)
        deliverer = Deliverer(safe, slack, Metrics(), rate=100, burst=100)  # type: ignore[arg-type]
        try:
            deliverer.start()
            time.sleep(4)
            assert slack.steps == []
            replica._process.send_signal(signal.SIGCONT)
            wait_for(lambda: len(slack.steps) >= 2, 4)
        finally:
            replica._process.send_signal(signal.SIGCONT)
            assert deliverer.stop(5)
        assert [step for _, step in slack.steps] == [Step.POST_ROOT, Step.POST_ROOT]

    def test_taken_where_there_is_no_replica(self, safe: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """An alert is worth more than a rule that nobody can keep; /health says what is missing."""
        monkeypatch.setattr(commit, "_ALONE", 0.3)
        assert "lost a replica" in failure_of(lambda: safe.update([change("b", "1")], NOW))
        time.sleep(0.3)
        assert safe.update([change("a", "1")], NOW)[0].reason is Reason.OPENED
        assert [line for line in safe.warnings() if "Redis has no replica now" in line]

    def test_costs_no_further_round_trip(
        self, safe: RedisStore, replica: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The wait travels with the change."""
        assert replica.port
        taken(safe, change("warm-up", "1"))
        trips = count_round_trips(monkeypatch)
        safe.update([change("one", "1")], NOW)
        assert len(trips) == 2


class TestDamage:
    """What an operator may do to it."""

    def test_record_deleted_by_hand_holds_nobody_up(self, store: RedisStore, client: redis.Redis) -> None:
        """What was listed as its next action goes with the first look at it."""
        store.update([change("a", "1"), change("b", "1")], NOW)
        client.delete(f"{PREFIX}-record:a")
        lease = claimed(store)
        assert store.begin(lease, "a", "id", NOW) is None
        assert [due.key for due in store.due(CHANNEL, NOW)] == ["b"]
        assert store.counts(NOW).threads == 1

    @pytest.fixture(params=["no JSON", "unknown word", "no text", "no hash"])
    def repair(self, request: pytest.FixtureRequest, store: RedisStore, client: redis.Redis) -> Callable[[], object]:
        """Damage the record of "a", which is to be told before "c"; what it returns repairs it."""
        for at, key in enumerate(("a", "b", "c")):
            store.update([change(key, "1")], NOW + at - 2)
        tell(store, "b", "1.0")
        name = f"{PREFIX}-record:a"
        sound = client.dump(name) or b""
        data = str(client.hget(name, "data"))
        damage: dict[str, str | bytes] = {
            "no JSON": "{",
            "unknown word": data.replace('"firing"', '"flaring"'),
            "no text": data.encode().replace(b'"critical"', b'"\xff"'),
        }
        if request.param == "no hash":
            client.set(name, "something else")
        else:
            client.hset(name, "data", damage[request.param])
        assert client.dump(name) != sound
        return lambda: client.restore(name, 0, sound, replace=True)

    def test_damaged_record_costs_its_own_thread_only(
        self,
        store: RedisStore,
        client: redis.Redis,
        repair: Callable[[], object],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It is passed over and left as it is, one line says which it is, and it is told once it is repaired."""
        names = [f"{PREFIX}-record:a", f"{PREFIX}:a"]
        before = {name: client.dump(name) for name in names}
        lease = claimed(store)
        for _ in range(2):
            assert store.begin(lease, "a", "id", NOW) is None
            assert store.settle(lease, "a", "id", Failed(error="x", retry_at=NOW), NOW) is None
            assert [due.key for due in store.due(CHANNEL, NOW)] == ["c"]
            assert {thread.key for thread in store.threads()} == {"b", "c"}
            assert store.stamps() == {"b": "1.0"}
            store.expire(NOW)
        store.release(lease)
        tell(store, "c", "2.0")
        assert store.waiting().keys() <= {CHANNEL}
        assert store.due(CHANNEL, NOW) == []
        assert store.counts(NOW).oldest_pending == NOW - 2, "it is still to be told"

        (line,) = store.warnings()
        assert f"DEL '{PREFIX}-record:a'" in line
        assert store.damaged() == [line]
        assert [record.getMessage() for record in caplog.records] == [line]
        store.update([change(key, "1", status=Status.RESOLVED) for key in ("b", "c")], NOW + 1)
        later = NOW + Policy().stale_after + 1
        store.expire(later)
        assert kept(store, "b").closed_at is None, "it has something to tell"
        assert store.forget(later) == 0
        assert kept(store, "b").closed_at == kept(store, "c").closed_at == later
        assert {name: client.dump(name) for name in names} == before

        repair()
        assert store.warnings() == store.damaged() == []
        assert "a" in [due.key for due in store.due(CHANNEL, NOW)]
        assert tell(store, "a", "3.0").ts == "3.0"
        assert not client.exists(f"{PREFIX}-damaged")

    def test_webhook_that_names_a_damaged_one_too(self, store: RedisStore, repair: Callable[[], object]) -> None:
        """What it says of the others is stored, before and behind it; the error makes its sender repeat the rest."""
        changes = [change("new", "1"), change("a", "1", "2"), change("c", "1", "2")]
        for _ in range(2):
            assert f"DEL '{PREFIX}-record:a'" in failure_of(lambda: store.update(changes, NOW))
            assert kept(store, "new").firing == 1
            assert kept(store, "c").firing == 2
        repair()
        assert [each.reason for each in store.update(changes, NOW)] == [
            Reason.DUPLICATE,
            Reason.FIRED,
            Reason.DUPLICATE,
        ]

    @pytest.mark.usefixtures("repair")
    def test_damaged_record_is_known_to_all(
        self,
        store: RedisStore,
        server: RedisServer,
        client: redis.Redis,
        open_store: Callable[..., RedisStore],
    ) -> None:
        """Whichever process answers names it, those too that never needed it; once it is deleted, nobody does."""
        other = open_store(server.url)
        assert other.warnings() == []
        assert len(other.damaged()) == 1, "who looks for it finds it"
        failure_of(lambda: store.read("a"))
        assert other.warnings() == store.warnings()
        assert len(other.warnings()) == 1
        assert "a" not in [due.key for due in other.due(CHANNEL, NOW)]
        client.delete(f"{PREFIX}-record:a")
        assert other.warnings() == store.warnings() == []
        lease = claimed(store)
        assert store.begin(lease, "a", "id", NOW) is None
        assert store.counts(NOW).threads == 2

    def test_many_damaged_records(self, store: RedisStore, client: redis.Redis) -> None:
        """The first of them are named."""
        store.update([change(f"key{number:02}", "1") for number in range(12)], NOW)
        for number in range(12):
            client.hset(f"{PREFIX}-record:key{number:02}", "data", "{")
            failure_of(lambda number=number: store.read(f"key{number:02}"))  # type: ignore[misc]
        assert len(store.damaged()) == 12
        *lines, last = store.warnings()
        assert len(lines) == 10
        assert last == "2 more records in Redis cannot be read"

    def test_service_names_a_damaged_record(self, server: RedisServer, client: redis.Redis, tmp_path: Path) -> None:
        """A webhook for it gets a 503 that says what to do, /health says the same and stays 200; others are taken."""
        app = app_on(server, tmp_path)
        try:
            web = app.test_client()
            assert web.post("/alert", json=payload("Sound")).status_code == 202
            assert web.get("/health").get_json()["problems"] == []
            assert web.post("/alert", json=payload("Bad")).status_code == 202
            (name,) = client.keys(f"{PREFIX}-record:Bad*")
            assert isinstance(name, str)
            client.hset(name, "data", "{")
            client.hset(f"{PREFIX}-due:{CHANNEL}", name.partition("-record:")[2], "{")
            answer = web.post("/alert", json=payload("Bad"))
            assert answer.status_code == 503
            assert f"DEL '{name}'" in answer.get_json()["error"]
            assert web.post("/alert", json=payload("Sound")).status_code == 202
            health = web.get("/health")
            assert (health.status_code, health.get_json()["status"]) == (200, "degraded")
            assert answer.get_json()["error"] in health.get_json()["problems"]
            assert web.get("/stats").status_code == web.get("/cache").status_code == 200
            assert web.delete("/cache").status_code == 200
        finally:
            service_of(app).close(1)

    def test_delivery_goes_on_beside_a_damaged_record(
        self, store: RedisStore, repair: Callable[[], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The most pressing thread of a channel cannot be read: the channel's others are told without it."""
        monkeypatch.setattr("alert_threader.delivery.deliverer._EXPIRE_EVERY", 0.5)
        slack = Taker()

        def told() -> set[str]:
            return {key for key, _ in slack.steps}

        deliverer = Deliverer(store, slack, Metrics(), rate=100, burst=100)  # type: ignore[arg-type]
        try:
            deliverer.start()
            wait_for(lambda: "c" in told(), 10)
            assert "a" not in told()
            repair()
            wait_for(lambda: "a" in told(), 10)
        finally:
            assert deliverer.stop(5)

    @pytest.mark.parametrize("action", ["{", '{"step":"newer"}', b"\xff"])
    def test_unreadable_action_is_planned_anew(
        self, store: RedisStore, client: redis.Redis, action: str | bytes
    ) -> None:
        """The record says what is to be done; where that cannot be read either, the others go on."""
        for at, key in enumerate(("a", "b")):
            store.update([change(key, "1")], NOW - 2 + at)
        due, waiting, counts = store.due(CHANNEL, NOW), store.waiting(), store.counts(NOW)
        client.hset(f"{PREFIX}-due:{CHANNEL}", "a", action)
        client.hset(f"{PREFIX}-due:{CHANNEL}", "gone", action)
        assert (store.due(CHANNEL, NOW), store.waiting(), store.counts(NOW)) == (due, waiting, counts)
        assert tell(store, "a", "1.0").ts == "1.0"

        client.hset(f"{PREFIX}-due:{CHANNEL}", "b", action)
        client.hset(f"{PREFIX}-record:b", "data", "{")
        assert [each.key for each in store.due(CHANNEL, NOW)] == []
        assert store.waiting() == {}
        assert store.counts(NOW).pending == 0
        assert len(store.warnings()) == 1


class TestCosts:
    """Round trips to Redis."""

    def test_two_for_each_thread_of_a_webhook(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten alerts of one thread, or of five: however many threads are stored."""
        alerts = [str(number) for number in range(10)]
        store.update([change("warm-up", "1")], NOW)
        costs = {}
        for stored in (0, 2000):
            store.update([change(f"stored{number}", "1") for number in range(stored)], NOW)
            trips = count_round_trips(monkeypatch)
            store.update([change(f"one{stored}", *alerts)], NOW)
            store.update([change(f"one{stored}", *alerts)], NOW + 1)
            one = len(trips)
            store.update([change(f"five{stored}.{part}", *alerts[part::5]) for part in range(5)], NOW)
            costs[stored] = (one, len(trips) - one)
            monkeypatch.undo()
        assert costs[0] == costs[2000]
        assert costs[0][0] <= 2 * 2
        assert costs[0][1] <= 2 * 5

    def test_two_for_each_thread_of_a_request(
        self, server: RedisServer, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also with all that a request does around it, where it does not wait for Slack."""
        app = app_on(server, tmp_path)
        client.flushall()
        try:
            webhook = app.test_client()
            assert webhook.post("/alert", json=payload("WarmUp")).status_code == 202
            trips = count_round_trips(monkeypatch)
            assert webhook.post("/alert", json=payload("Costly")).status_code == 202
        finally:
            service_of(app).close(1)
        assert len(trips) <= 2, trips


def app_on(server: RedisServer, folder: Path) -> Flask:
    """The service on a Redis, without a Slack. Close it."""
    return create_app(
        Settings.from_environ(
            {
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_CHANNEL": CHANNEL,
                "SLACK_API_URL": f"http://{HOST}:9/api/",
                "THREAD_STORE": "redis",
                "THREAD_STORE_FILE": str(folder / "unused"),
                "REDIS_URL": server.url,
                "RESPONSE_WAIT": "0",
            }
        )
    )


def payload(name: str) -> dict[str, Any]:
    """A webhook with ten alerts of one thread."""
    alerts = [
        {"status": "firing", "labels": {"alertname": name, "severity": "critical", "instance": str(number)}}
        for number in range(10)
    ]
    return {"status": "firing", "alerts": alerts}


def count_round_trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent to Redis from now on, one item for each time that an answer is waited for."""
    trips: list[Any] = []
    sends: Any = redis.connection.AbstractConnection.send_packed_command

    def counting(connection: Any, command: Any, **options: Any) -> None:
        trips.append(command)
        sends(connection, command, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", counting)
    return trips


class TestAway:
    """A Redis that does not serve: an error within two seconds, never "no such thread"."""

    def test_refused(self, open_store: Callable[..., RedisStore], unused_port: int) -> None:
        """Nothing listens there."""
        store = open_store(f"redis://:{_QUOTED}@{HOST}:{unused_port}/0")
        for text in failures_of(store):
            assert text.startswith("Redis cannot be reached: check that it runs, REDIS_URL and the network")
            assert str(unused_port) in text

    def test_hanging(self, open_store: Callable[..., RedisStore]) -> None:
        """It takes the connection and says nothing."""
        with socket.create_server((HOST, 0), backlog=128) as mute:
            store = open_store(f"redis://:{_QUOTED}@{HOST}:{mute.getsockname()[1]}/0")
            for text in failures_of(store):
                assert text.startswith("Redis does not answer: check that it runs and is not overloaded")

    def test_frozen(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """It stops in the middle: the connections that there are hang, and every later one."""
        with RedisServer(tmp_path) as server:
            store = open_store(server.url)
            store.update([change("a", "1")], NOW)
            lease = claimed(store)
            # As one does whose machine or disk stands still.
            frozen = server._process
            assert frozen is not None
            frozen.send_signal(signal.SIGSTOP)
            for text in failures_of(store, lease):
                assert text.startswith("Redis does not answer")
            frozen.send_signal(signal.SIGCONT)
            assert kept(store).firing == 1

    def test_other_service(self, open_store: Callable[..., RedisStore]) -> None:
        """What listens there speaks another language."""
        with ExitStack() as closing, ThreadPoolExecutor(1) as pool:
            web = closing.enter_context(socket.create_server((HOST, 0), backlog=128))

            def answer() -> None:
                client, _ = web.accept()
                with client:
                    client.recv(1000)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

            answering = pool.submit(answer)
            store = open_store(f"redis://{HOST}:{web.getsockname()[1]}/0")
            assert "Redis" in failure_of(lambda: store.read("a"))
            answering.result()

    @pytest.mark.parametrize("login", ["", ":wrong", f"nobody:{_QUOTED}"])
    def test_wrong_password(self, tmp_path: Path, open_store: Callable[..., RedisStore], login: str) -> None:
        """The line says that the login is wrong, without showing it."""
        with protected(RedisServer(tmp_path)) as server:
            store = open_store(f"redis://{login}@{HOST}:{server.port}/0".replace("//@", "//"))
            for text in failures_of(store):
                assert text.startswith("Redis refuses the login: correct user and password in REDIS_URL")
                assert "wrong" not in text

    def test_replica(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """A replica that is only read takes no change, and knows every thread."""
        with RedisServer(tmp_path / "master") as master, RedisServer(tmp_path / "replica") as replica:
            source = open_store(master.url)
            source.update([change("a", "1")], NOW)
            lease = claimed(source)
            with redis.Redis(port=replica.port) as client, redis.Redis(port=master.port) as asked:
                asked.config_set("repl-diskless-sync-delay", "0")
                client.replicaof(HOST, str(master.port))
                until = time.monotonic() + 15
                while not client.exists(f"{PREFIX}-record:a"):
                    assert time.monotonic() < until
                    time.sleep(0.02)
            store = open_store(replica.url)
            for text in failures_of(store, lease, (*WRITES, "renew", "release", "settle")):
                assert "read only replica" in text
            assert kept(store).firing == 1
            assert [due.key for due in store.due(CHANNEL, NOW)] == ["a"]

    def test_full(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """Without memory no change is taken, not even half of one, and every thread is still known."""
        with RedisServer(tmp_path) as server, redis.Redis(port=server.port) as client:
            store = open_store(server.url)
            store.update([change("a", "1")], NOW)
            lease = claimed(store)
            names = {name: client.dump(name) for name in client.scan_iter() if b"-lease" not in name}
            client.config_set("maxmemory", "1024")
            client.config_set("maxmemory-policy", "noeviction")
            for text in failures_of(store, lease, WRITES):
                assert text.startswith("Redis is full: give it more memory")
            assert {name: client.dump(name) for name in client.scan_iter() if b"-lease" not in name} == names
            assert kept(store).firing == 1
            client.config_set("maxmemory", "0")
            assert store.update([change("a", "2")], NOW)[0].reason is Reason.FIRED

    def test_disk_full(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """A Redis whose snapshots fail refuses changes, and the line hands on why."""
        # A snapshot is a file, which cannot take the place of a folder.
        (tmp_path / "dump.rdb").mkdir(parents=True)
        with RedisServer(tmp_path, save="3600 1") as server, redis.Redis(port=server.port) as client:
            store = open_store(server.url)
            store.update([change("a", "1")], NOW)
            client.bgsave()
            until = time.monotonic() + 10
            while client.info()["rdb_last_bgsave_status"] == "ok":
                assert time.monotonic() < until
                time.sleep(0.02)
            for text in failures_of(store, None, ("update", "ping")):
                assert "MISCONF" in text
                assert "disk" in text
            assert kept(store).firing == 1

    def test_damaged_record(self, store: RedisStore, client: redis.Redis) -> None:
        """A record that cannot be read is an error that names it, not a thread that does not exist."""
        store.update([change("a", "1"), change("b", "1")], NOW)
        client.hset(f"{PREFIX}-record:a", "data", "{damaged")
        for call in ("update", "read"):
            assert "a" in failure_of(lambda call=call: CALLS[call](store, Lease(CHANNEL, "")))  # type: ignore[misc]
        assert kept(store, "b").firing == 1

    def test_comes_back(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """After a restart the same store serves again at once, with all that was kept."""
        server = RedisServer(tmp_path)
        with server:
            store = open_store(server.url)
            store.update([change("a", "1")], NOW)
            for end in (server.stop, server.kill):
                end()
                failure_of(lambda: store.update([change("a", "2")], NOW))
                server.start()
                assert kept(store).firing == 1
            assert store.update([change("a", "2")], NOW)[0].reason is Reason.FIRED


class TestSentinels:
    """Sentinels that do not say where Redis is, as long as they do not."""

    @pytest.fixture
    def ask(self) -> Iterator[Callable[[Sequence[int]], RedisStore]]:
        """A store that asks Sentinels on these ports."""
        with ExitStack() as closing:

            def ask_them(ports: Sequence[int]) -> RedisStore:
                client = connect(f"redis://:{_QUOTED}@ignored/0", [(HOST, port) for port in ports], "threads")
                store = RedisStore(client, PREFIX, Policy())
                closing.callback(store.close)
                return store

            yield ask_them

    def test_refused(self, ask: Callable[[Sequence[int]], RedisStore], unused_port: int) -> None:
        """Nothing listens there."""
        text = failure_of(lambda: ask([unused_port] * 3).read("a"))
        assert "threads" in text
        assert "<" not in text, "a line for a person"

    def test_hanging(self, ask: Callable[[Sequence[int]], RedisStore]) -> None:
        """All of them hang: the webhook is answered in time all the same."""
        with ExitStack() as closing:
            mute = [closing.enter_context(socket.create_server((HOST, 0), backlog=128)) for _ in range(3)]
            store = ask([each.getsockname()[1] for each in mute])
            for text in failures_of(store):
                assert "<" not in text

    def test_other_master(self, ask: Callable[[Sequence[int]], RedisStore], tmp_path: Path) -> None:
        """They watch over a master of another name."""
        config = tmp_path / "sentinel.conf"
        port = free_port()
        config.write_text(f"port {port}\nbind {HOST}\ndir {tmp_path}\nsentinel monitor other {HOST} {port} 1\n")
        log = (tmp_path / "sentinel.log").open("wb")
        with log, subprocess.Popen([program("redis-server"), str(config), "--sentinel"], stdout=log) as sentinel:
            try:
                until = time.monotonic() + 20
                while not answers(port):
                    assert time.monotonic() < until
                    time.sleep(0.02)
                text = failure_of(lambda: ask([port]).read("a"))
            finally:
                sentinel.kill()
        assert "threads" in text
        assert "<" not in text


def answers(port: int) -> bool:
    """Whether a Redis or a Sentinel is there."""
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def failures_of(store: RedisStore, lease: Lease | None = None, calls: Sequence[str] = tuple(CALLS)) -> list[str]:
    """What these calls say where none of them can succeed, each within the time that a webhook may wait."""
    given = lease or Lease(CHANNEL, "token")

    def fail(name: str) -> str:
        try:
            return failure_of(lambda: CALLS[name](store, given))
        except BaseException as error:
            error.add_note(name)
            raise

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(fail, calls))


def taken(store: RedisStore, change: Change) -> Applied:
    """Send it as Alertmanager does: again, as long as it is refused. A replica may stand still on a busy machine."""
    until = time.monotonic() + 20
    while True:
        try:
            return store.update([change], NOW)[0]
        except StoreError:
            if time.monotonic() > until:
                raise


def failure_of(call: Callable[[], object]) -> str:
    """What a call says that cannot succeed."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        call()
    took = time.monotonic() - began
    assert not isinstance(caught.value, LeaseLostError), "a Redis that is away says nothing about a lease"
    text = str(caught.value)
    assert took < PROMPT, f"{took:.1f} s: {text}"
    assert len(text.splitlines()) == 1
    assert 20 < len(text) < 500
    for part in (PASSWORD, _QUOTED, "never-to-be-seen"):
        assert part not in text
    return text


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on which connections are refused, kept from others."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield bound.getsockname()[1]


class protected:  # noqa: N801 - used like a function
    """A running Redis that asks for a password."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def __enter__(self) -> RedisServer:
        self._server.start()
        with redis.Redis(port=self._server.port) as client:
            client.config_set("requirepass", PASSWORD)
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.kill()


class TestLostAnswers:
    """The connection ends between a command's effect and its answer: to send it again changes nothing twice."""

    @pytest.fixture
    def proxy(self, server: RedisServer) -> Iterator[Proxy]:
        """What stands between the store and Redis."""
        with Proxy(server.port) as between:
            yield between

    @pytest.fixture
    def far(self, store: RedisStore, proxy: Proxy, open_store: Callable[..., RedisStore]) -> RedisStore:
        """The store behind it, whose scripts Redis knows."""
        store.update([change("warm-up", "1")], NOW)
        tell(store, "warm-up", "0.1")
        return open_store(f"redis://{HOST}:{proxy.port}/0")

    def test_update(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """The webhook gets an error, and is a duplicate when it is sent again."""
        for change_, reason in (
            (change("a", "1"), Reason.OPENED),
            (change("a", "1", "2"), Reason.FIRED),
            (change("a", "1", status=Status.RESOLVED), Reason.RESOLVED),
        ):
            proxy.cut_once(b"EVALSHA")
            failure_of(lambda change_=change_: far.update([change_], NOW))  # type: ignore[misc]
            assert proxy.happened, reason
            after = kept(store)
            assert [each.reason for each in far.update([change_], NOW)] == [Reason.DUPLICATE]
            assert kept(store) == after
        assert [event.changes for event in kept(store).untold.events.values()] == [1, 2]

    def test_update_of_several(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """What was written before the cut is a duplicate, the rest is taken."""
        both = [change("a", "1"), change("b", "1")]
        proxy.cut_once(b"EVALSHA", b"-record:b")
        failure_of(lambda: far.update(both, NOW))
        assert {each.reason for each in far.update(both, NOW)} == {Reason.DUPLICATE}
        assert len(kept(store, "a").untold.events) == len(kept(store, "b").untold.events) == 1

    def test_begin(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """The attempt stands: what comes next is to look for it, not a second one."""
        far.update([change("a", "1")], NOW)
        lease = claimed(far)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.begin(lease, "a", "first", NOW))
        assert proxy.happened
        begun = far.begin(lease, "a", "second", NOW + 60)
        assert begun is not None
        assert begun[1].step is Step.FIND_ATTEMPT
        assert begun[0].attempt is not None
        assert begun[0].attempt.id == "first"
        assert kept(store).attempt == begun[0].attempt

    @pytest.mark.parametrize(
        "outcome",
        [
            Posted(ts="1.0", threaded=False),
            Failed(error="x", retry_at=NOW),
            Failed(error="x", retry_at=NOW, simpler=True),
        ],
        ids=["posted", "failed", "simpler"],
    )
    def test_settle(self, far: RedisStore, store: RedisStore, proxy: Proxy, outcome: Posted | Failed) -> None:
        """The outcome is written down once, a failure is counted once."""
        far.update([change("a", "1")], NOW)
        lease = claimed(far)
        far.begin(lease, "a", "id", NOW)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.settle(lease, "a", "id", outcome, NOW))
        assert proxy.happened
        after = kept(store)
        assert far.settle(lease, "a", "id", outcome, NOW) == after
        assert kept(store) == after

    def test_claim(self, far: RedisStore, store: RedisStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody has the lease, and after its time to live somebody can take it."""
        monkeypatch.setattr("alert_threader.store.redis.store.LEASE_TTL", 0.5)
        proxy.cut_once(b"-lease:")
        failure_of(lambda: far.claim(CHANNEL))
        assert proxy.happened
        assert store.claim(CHANNEL) is None
        time.sleep(0.6)
        assert far.claim(CHANNEL) is not None

    def test_renew_and_release(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """A lease that is renewed twice is held; to give it back twice does not take it from the next one."""
        lease = claimed(far)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.renew(lease))
        far.renew(lease)
        assert store.claim(CHANNEL) is None
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.release(lease))
        theirs = claimed(store)
        far.release(lease)
        store.renew(theirs)

    def test_take(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """A token that nobody heard of is gone: rather too slow than too fast."""
        assert far.take("posts", BUDGET) == 0
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.take("posts", BUDGET))
        assert proxy.happened
        assert far.take("posts", BUDGET) > 0
        assert 0 < store.take("posts", BUDGET) <= 2 / BUDGET.rate

    def test_forget(self, far: RedisStore, store: RedisStore, proxy: Proxy) -> None:
        """What is forgotten stays forgotten."""
        far.update([change("a", "1")], NOW)
        tell(store, "a", "1.0")
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.forget(NOW))
        far.forget(NOW)
        assert store.counts(NOW).threads == 0
        assert store.stamps() == {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of our own and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")
    openssl = program("openssl")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    run([openssl, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Our CA"], folder)
    run(
        [
            *(openssl, "req", "-x509", *new, "-keyout", "redis.key", "-out", "redis.crt", "-subj", "/CN=redis"),
            *("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"),
            *("-addext", f"subjectAltName=IP:{HOST}"),
        ],
        folder,
    )
    return folder


class TestAddresses:
    """Every kind of REDIS_URL."""

    def test_password_and_database(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """A password with signs that a URL needs for itself, a user, and a database of one's own."""
        with protected(RedisServer(tmp_path)) as server:
            for login, database in ((f":{_QUOTED}", 3), (f"default:{_QUOTED}", 4)):
                store = open_store(f"redis://{login}@{HOST}:{server.port}/{database}")
                store.update([change("a", "1")], NOW)
                tell(store, "a", "1.0")
                with redis.Redis(port=server.port, db=database, password=PASSWORD) as client:
                    assert client.get(f"{PREFIX}:a") == b"1.0"

    def test_socket(self, tmp_path: Path, open_store: Callable[..., RedisStore]) -> None:
        """A Redis on the same machine, without the network."""
        path = tmp_path / "redis.sock"
        with protected(RedisServer(tmp_path, unixsocket=str(path))) as server:
            store = open_store(f"unix://:{_QUOTED}@{path}?db=2")
            store.update([change("a", "1")], NOW)
            with redis.Redis(port=server.port, db=2, password=PASSWORD) as client:
                assert client.exists(f"{PREFIX}-record:a")
        assert "Redis cannot be reached" in failure_of(lambda: store.read("a"))

    def test_tls(self, tmp_path: Path, open_store: Callable[..., RedisStore], authority: Path) -> None:
        """A certificate of the given authority is trusted, any other is an error that says so."""
        port = free_port()
        settings: dict[str, Any] = {
            "tls-port": str(port),
            "tls-cert-file": str(authority / "redis.crt"),
            "tls-key-file": str(authority / "redis.key"),
            "tls-ca-cert-file": str(authority / "ca.crt"),
            "tls-auth-clients": "no",
        }
        with RedisServer(tmp_path / "redis", **settings) as server:
            trusting = open_store(f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority / 'ca.crt'}")
            trusting.update([change("a", "1")], NOW)
            assert kept(trusting).firing == 1
            text = failure_of(lambda: open_store(f"rediss://{HOST}:{port}/0").read("a"))
            assert "certificate" in text
            plain = failure_of(lambda: open_store(f"rediss://{HOST}:{server.port}/0").read("a"))
            assert plain.startswith(("Redis cannot be reached", "Redis does not answer"))


def run(command: list[str], folder: Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
