"""What an operator finds in Redis, what is wrong with its settings, and what a change costs."""

from pathlib import Path

import pytest
import redis

from alert_threader.service import service_of
from alert_threader.store import Threads
from alert_threader.store.recent import Recent
from alert_threader.threads import AlertThread
from harness.servers import HOST, RedisServer
from tests.build import DAY, NOW
from tests.stores.redis.kit import (
    BUDGET,
    PREFIX,
    Open,
    app_on,
    count_received,
    count_round_trips,
    payload,
    wait_until,
)
from tests.stores.sending import LANE, bare, claimed, deliver, fires, kept


class TestNames:
    """What an operator finds in Redis."""

    def test_thread_is_found_by_its_key(self, verbs: Threads, client: redis.Redis) -> None:
        """GET of the prefix and the key is the thread's ts, and KEYS of the prefix finds nothing else."""
        keys = [f"{name}|critical|database|production|production" for name in ("A b", "Ç", "*")]
        verbs.notify([fires(key, "1") for key in (*keys, "pending")], NOW)
        for number, key in enumerate(keys):
            deliver(verbs, key, f"170000000{number}.000100")
        verbs.store.take("posts", BUDGET)
        verbs.store.ping()
        verbs.store.claim(LANE)
        stamps = {f"{PREFIX}:{key}": f"170000000{number}.000100" for number, key in enumerate(keys)}
        assert {name: client.get(name) for name in client.keys(f"{PREFIX}:*")} == stamps
        assert verbs.store.stamps() == {name.removeprefix(f"{PREFIX}:"): ts for name, ts in stamps.items()}

    def test_threads_of_another_prefix_are_not_touched(
        self, verbs: Threads, server: RedisServer, open_verbs: Open
    ) -> None:
        """Two installations share a Redis, even where one's prefix begins with the other's."""
        verbs.notify([fires("a", "1")], NOW)
        other = open_verbs(server.url, prefix=f"{PREFIX}-staging")
        other.notify([fires("a", "1"), fires("b", "1")], NOW)
        lease = claimed(other.store)
        deliver(verbs, "a", "1.0")
        other.store.release(lease)
        assert [thread.key for thread in verbs.store.threads()] == ["a"]
        assert verbs.store.counts().threads == 1
        assert verbs.forget(NOW) == 1
        assert {thread.key for thread in other.store.threads()} == {"a", "b"}

    def test_nothing_is_left_of_a_thread_that_is_over(self, verbs: Threads, client: redis.Redis) -> None:
        """Nothing goes by itself; what ageing drops leaves no name behind that speaks of it."""
        verbs.notify([fires("over", "1", status="resolved")], NOW)
        deliver(verbs, "over", "1.0")
        assert [name for name in client.scan_iter() if client.ttl(name) != -1] == []
        verbs.age(NOW + DAY)
        assert list(client.scan_iter()) == [f"{PREFIX}-lanes"]


class TestWarnings:
    """Settings of Redis that do not fit a store of record."""

    def test_sound_settings_are_silent(self, verbs: Threads) -> None:
        """With an append-only file and without eviction there is nothing to say."""
        assert verbs.store.warnings() == []

    def test_eviction(self, verbs: Threads, client: redis.Redis) -> None:
        """A Redis that throws keys away when it is full would lose threads."""
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            (line,) = verbs.store.warnings()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert "allkeys-lru" in line
        assert "set it to noeviction" in line

    def test_nothing_on_disk(self, verbs: Threads, client: redis.Redis) -> None:
        """Neither an append-only file nor snapshots: a restart would lose threads."""
        client.config_set("appendonly", "no")
        try:
            (line,) = verbs.store.warnings()
            client.config_set("save", "60 1")
            snapshots = verbs.store.warnings()
        finally:
            client.config_set("save", "")
            client.config_set("appendonly", "yes")
        assert "set appendonly yes" in line
        assert snapshots == []

    def test_failover_that_would_lose_changes(
        self, verbs: Threads, server: RedisServer, client: redis.Redis, tmp_path: Path
    ) -> None:
        """There is a replica, but Redis does not wait for it to have anything."""
        with RedisServer(tmp_path / "replica", replicaof=f"{HOST} {server.port}"):
            wait_until(lambda: client.info("replication")["connected_slaves"])
            (line,) = verbs.store.warnings()
            client.config_set("min-replicas-to-write", 1)
            safe = verbs.store.warnings()
            client.config_set("min-replicas-to-write", 0)
        assert "set min-replicas-to-write 1" in line
        assert safe == []


class TestCosts:
    """Round trips to Redis."""

    def test_two_for_a_webhook(self, verbs: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten alerts of one thread, or of five: however many threads are stored. One for a repeat."""
        alerts = [str(number) for number in range(10)]
        verbs.notify([fires("warm-up", "1")], NOW)
        for stored in (0, 2000):
            verbs.notify([fires(f"stored{number}", "1") for number in range(stored)], NOW)
            five = [fires(f"five{stored}.{part}", *alerts[part::5]) for part in range(5)]
            for changes, at, expected in (
                ([fires(f"one{stored}", *alerts)], NOW, 2),
                ([fires(f"one{stored}", *alerts)], NOW + 1, 1),
                (five, NOW, 2),
                (five, NOW + 1, 1),
            ):
                trips = count_round_trips(monkeypatch)
                verbs.notify(changes, at)
                monkeypatch.undo()
                assert len(trips) == expected

    def test_two_for_a_request(
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

    def test_record_that_nobody_changed_is_not_read_again(
        self, verbs: Threads, server: RedisServer, open_verbs: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only its revision is; what another process has written is read in one further round trip."""
        verbs.notify([fires("a", *map(str, range(100)))], NOW)
        for other in (None, open_verbs(server.url)):
            if other is not None:
                other.notify([fires("a", "new")], NOW)
            received = count_received(monkeypatch)
            trips = count_round_trips(monkeypatch)
            assert kept(verbs.store).firing == (100 if other is None else 101)
            monkeypatch.undo()
            assert len(trips) == (1 if other is None else 2)
            assert (sum(received) < 100) == (other is None)

    def test_memory_for_records_is_bounded(self) -> None:
        """Those used last are kept, however large they are."""
        recent = Recent[AlertThread](limit=100)
        for number in range(10):
            recent.put(str(number), bare(str(number)), 30)
            recent.get("0")
        assert [key for key in map(str, range(10)) if recent.get(key)] == ["0", "8", "9"]
        recent.put("9", None)
        recent.put("large", bare("large"), 101)
        assert not any(map(recent.get, ("0", "8", "9", "large")))
