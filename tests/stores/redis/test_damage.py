"""Records that a person has damaged or deleted in Redis: each costs its own thread only."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from alert_threader.service import service_of
from alert_threader.store import Lease, Threads
from alert_threader.threads import Policy, Reason
from harness.servers import RedisServer
from tests.build import NOW
from tests.stores.redis.kit import CALLS, PREFIX, Open, app_on, damage, failure_of, payload, wait_until
from tests.stores.sending import LANE, claimed, deliver, due, failed, fires, kept
from tests.taker import Taker, delivery


class TestDamage:
    """What an operator may do to it."""

    def test_record_deleted_by_hand_holds_nobody_up(self, verbs: Threads, client: redis.Redis) -> None:
        """What was listed as its next action goes with the first look at it."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        client.delete(f"{PREFIX}-record:a")
        lease = claimed(verbs.store)
        assert verbs.start_attempt(lease, "a", "id", NOW) is None
        assert due(verbs.store) == ["b"]
        assert verbs.store.counts().threads == 1

    @pytest.fixture(params=["no JSON", "unknown word", "no text", "no hash"])
    def repair(self, request: pytest.FixtureRequest, verbs: Threads, client: redis.Redis) -> Callable[[], object]:
        """Damage the record of "a", which is due before "c"; what it returns repairs it."""
        for at, key in enumerate(("a", "b", "c")):
            verbs.notify([fires(key, "1")], NOW + at - 2)
        deliver(verbs, "b", "1.0")
        name = f"{PREFIX}-record:a"
        sound = client.dump(name) or b""
        data = str(client.hget(name, "thread"))
        damaged: dict[str, str | bytes] = {
            "no JSON": "{",
            "unknown word": data.replace('"firing"', '"flaring"'),
            "no text": data.encode().replace(b'"critical"', b'"\xff"'),
        }
        if request.param == "no hash":
            client.set(name, "something else")
        else:
            damage(client, "a", damaged[request.param])
        assert client.dump(name) != sound
        return lambda: client.restore(name, 0, sound, replace=True)

    def test_damaged_record_costs_its_own_thread_only(
        self,
        verbs: Threads,
        client: redis.Redis,
        repair: Callable[[], object],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It is passed over and left as it is, one line says which it is, and it is delivered once it is repaired."""
        names = [f"{PREFIX}-record:a", f"{PREFIX}:a"]
        before = {name: client.dump(name) for name in names}
        lease = claimed(verbs.store)
        for _ in range(2):
            assert verbs.start_attempt(lease, "a", "id", NOW) is None
            verbs.record_outcome(lease, "a", "id", failed(NOW), NOW)
            assert due(verbs.store) == ["c"]
            assert {thread.key for thread in verbs.store.threads()} == {"b", "c"}
            assert verbs.store.stamps() == {"b": "1.0"}
            verbs.age(NOW)
        verbs.store.release(lease)
        deliver(verbs, "c", "2.0")
        assert verbs.store.pending().keys() <= {LANE}
        assert verbs.store.due(LANE, NOW) == []
        assert verbs.store.counts().oldest_pending == NOW - 2, "it is still pending"

        (line,) = verbs.store.warnings()
        assert f"DEL '{PREFIX}-record:a'" in line
        assert verbs.store.damaged() == [line]
        assert [record.getMessage() for record in caplog.records] == [line]
        verbs.notify([fires(key, "1", status="resolved") for key in ("b", "c")], NOW + 1)
        later = NOW + Policy().stale_after + 1
        verbs.age(later)
        assert kept(verbs.store, "b").closed_at is None, "something is pending"
        assert verbs.forget(later) == 0
        assert kept(verbs.store, "b").closed_at == kept(verbs.store, "c").closed_at == later
        assert {name: client.dump(name) for name in names} == before

        repair()
        assert verbs.store.warnings() == verbs.store.damaged() == []
        assert "a" in due(verbs.store)
        assert deliver(verbs, "a", "3.0").ts == "3.0"
        assert not client.exists(f"{PREFIX}-damaged")

    def test_webhook_that_names_a_damaged_one_too(self, verbs: Threads, repair: Callable[[], object]) -> None:
        """What it says of the others is stored, before and behind it; the error makes its sender repeat the rest."""
        changes = [fires("new", "1"), fires("a", "1", "2"), fires("c", "1", "2")]
        for _ in range(2):
            assert f"DEL '{PREFIX}-record:a'" in failure_of(lambda: verbs.notify(changes, NOW))
            assert kept(verbs.store, "new").firing == 1
            assert kept(verbs.store, "c").firing == 2
        repair()
        assert [each.reason for each in verbs.notify(changes, NOW)] == [
            Reason.DUPLICATE,
            Reason.FIRED,
            Reason.DUPLICATE,
        ]

    @pytest.mark.usefixtures("repair")
    def test_damaged_record_is_known_to_all(
        self,
        verbs: Threads,
        server: RedisServer,
        client: redis.Redis,
        open_verbs: Open,
    ) -> None:
        """Whichever process answers names it, those too that never needed it; once it is deleted, nobody does."""
        other = open_verbs(server.url)
        assert other.store.warnings() == []
        assert len(other.store.damaged()) == 1, "who looks for it finds it"
        failure_of(lambda: verbs.store.read("a"))
        assert other.store.warnings() == verbs.store.warnings()
        assert len(other.store.warnings()) == 1
        assert "a" not in due(other.store)
        client.delete(f"{PREFIX}-record:a")
        assert other.store.warnings() == verbs.store.warnings() == []
        lease = claimed(verbs.store)
        assert verbs.start_attempt(lease, "a", "id", NOW) is None
        assert verbs.store.counts().threads == 2

    def test_many_damaged_records(self, verbs: Threads, client: redis.Redis) -> None:
        """The first of them are named."""
        verbs.notify([fires(f"key{number:02}", "1") for number in range(12)], NOW)
        for number in range(12):
            damage(client, f"key{number:02}")
            failure_of(lambda number=number: verbs.store.read(f"key{number:02}"))  # type: ignore[misc]
        assert len(verbs.store.damaged()) == 12
        *lines, last = verbs.store.warnings()
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
            key = name.partition("-record:")[2]
            damage(client, key)
            client.hset(f"{PREFIX}-lane:{LANE}", key, "{")
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
        self, verbs: Threads, repair: Callable[[], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The most pressing thread of a channel cannot be read: the channel's others are delivered without it."""
        monkeypatch.setattr("alert_threader.delivery.deliverer._AGE_EVERY", 0.5)
        slack = Taker()

        def delivered() -> set[str]:
            return {key for key, _ in slack.steps}

        deliverer = delivery(verbs, slack)
        try:
            deliverer.start()
            wait_until(lambda: "c" in delivered(), 10)
            assert "a" not in delivered()
            repair()
            wait_until(lambda: "a" in delivered(), 10)
        finally:
            assert deliverer.stop(5)

    @pytest.mark.parametrize("action", ["{", '{"step":"newer"}', b"\xff"])
    def test_unreadable_action_is_planned_anew(self, verbs: Threads, client: redis.Redis, action: str | bytes) -> None:
        """The record says what is to be done; where that cannot be read either, the others go on."""
        for at, key in enumerate(("a", "b")):
            verbs.notify([fires(key, "1")], NOW - 2 + at)
        store = verbs.store
        before = store.due(LANE, NOW), store.pending(), store.counts()
        client.hset(f"{PREFIX}-lane:{LANE}", "a", action)
        client.hset(f"{PREFIX}-lane:{LANE}", "gone", action)
        assert (store.due(LANE, NOW), store.pending(), store.counts()) == before
        assert deliver(verbs, "a", "1.0").ts == "1.0"

        client.hset(f"{PREFIX}-lane:{LANE}", "b", action)
        damage(client, "b")
        assert due(verbs.store) == []
        assert verbs.store.pending() == {}
        assert verbs.store.counts().pending == 0
        assert len(verbs.store.warnings()) == 1

    def test_damaged_record(self, verbs: Threads, client: redis.Redis) -> None:
        """A record that cannot be read is an error that names it, not a thread that does not exist."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        damage(client, "a")
        for call in ("notify", "read"):
            assert "a" in failure_of(lambda call=call: CALLS[call](verbs, Lease(LANE, "")))  # type: ignore[misc]
        assert kept(verbs.store, "b").firing == 1

    def test_process_that_knows_the_record_heals_it(
        self, verbs: Threads, server: RedisServer, client: redis.Redis, open_verbs: Open
    ) -> None:
        """Where only the text is damaged, its revision tells who has read it that it is the same."""
        verbs.notify([fires("a", "1")], NOW)
        client.hset(f"{PREFIX}-record:a", "thread", "{")
        failure_of(lambda: open_verbs(server.url).store.read("a"))
        assert verbs.notify([fires("a", "2")], NOW)[0].reason is Reason.FIRED
        assert kept(open_verbs(server.url).store).firing == 2
