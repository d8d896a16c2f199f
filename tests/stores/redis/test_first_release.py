"""A replica of the first release on the same Redis, with its own code: what it keeps is taken over, nothing is lost.

The first release runs as a process of its own. Where it must act between two commands of ours, or we between two of
its, a proxy says when.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import redis

from alert_threader.errors import RecordDamagedError
from alert_threader.store import RedisStore, Threads
from alert_threader.store.redis import upkeep
from alert_threader.threads import Policy, Reason, Step
from harness import first_release
from harness.proxy import Proxy
from harness.servers import HOST, RedisServer
from tests.build import CHANNEL, NOW
from tests.stores.redis.kit import PREFIX, Open, damage
from tests.stores.sending import LANE, claimed, deliver, due, fires, kept

#: What the first release's process begins with: its store, and a sender's work.
_PROLOGUE = f"""
import json, sys, time
from alert_threader.errors import StoreError
from alert_threader.store.base import Lease
from alert_threader.store.redis import RedisStore
from alert_threader.store.redis_client import connect
from alert_threader.threads import *
from alert_threader.webhook import Alert, Status

NOW, CHANNEL = {NOW}, "{CHANNEL}"
store = RedisStore(connect(sys.argv[1]), "{PREFIX}", Policy())

def fires(key, *names, status="firing"):
    alerts = tuple(
        Alert(status=Status(status), fingerprint=name, labels={{"alertname": key, "severity": "critical"}},
              annotations={{}}, starts_at=NOW, ends_at=None, links={{}}, values="")
        for name in names)
    return Change(key=key, channel=CHANNEL, alerts=alerts)

def update(*changes, at=NOW):
    try:
        return [str(each.reason) for each in store.update(changes, at)]
    except StoreError as error:
        return type(error).__name__

def begin(lease, key, attempt, at=NOW):
    begun = store.begin(lease, key, attempt, at)
    return begun and str(begun[1].step)

def post(key, ts, at=NOW):
    lease = store.claim(CHANNEL)
    step = begin(lease, key, "old-" + ts, at)
    settled = store.settle(lease, key, "old-" + ts, Posted(ts=ts, threaded=step == "reply"), at)
    store.release(lease)
    return settled is not None

"""

#: Runs code of the first release on the Redis at an address; returns what its last line, an expression, is.
Former = Callable[..., Any]


@pytest.fixture
def former(server: RedisServer) -> Former:
    """The first release on that Redis, or on another address that leads there."""

    def run(code: str, url: str = "") -> Any:
        *lines, last = code.strip().splitlines()
        script = "\n".join([_PROLOGUE, *(line.strip() for line in lines), f"print(json.dumps({last.strip()}))"])
        return json.loads(first_release.run(["-c", script, url or server.url]))

    return run


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our store wait as long as a process of the first release takes, which starts while it waits for an answer."""
    monkeypatch.setattr("alert_threader.store.redis.client._TIMEOUT", 60.0)


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """What stands before the Redis, for one of the two."""
    with Proxy(server.port) as between:
        yield between


def at(proxy: Proxy) -> str:
    """The address of a proxy."""
    return f"redis://{HOST}:{proxy.port}/0"


def names_of_former(client: redis.Redis) -> set[str]:
    """What only the first release keeps, or a record that it could read."""
    lists = {name for name in client.scan_iter() if name.startswith(tuple(f"{PREFIX}-{x}" for x in _LISTS))}
    records = set(client.scan_iter(f"{PREFIX}-record:*"))
    return lists | {name for name in records if client.hget(name, "thread") is None}


_LISTS = ("due", "channels", "index", "seen")


class TestTakingOver:
    """What the first release left behind."""

    def test_pending_work_goes_on(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """Every thread, as it was: a root and a reply that are pending, an edit, and nothing of what is delivered."""
        former(
            """
            update(fires("new", "1"), fires("reply", "1"), fires("edit", "1"), fires("quiet", "1"))
            [post(key, f"{number}.0") for number, key in enumerate(("reply", "edit", "quiet"))]
            update(fires("reply", "2"), fires("edit", "2"))
            post("edit", "9.0")
            """
        )
        assert verbs.store.pending().keys() == {LANE}
        steps = {each.key: each.action.step for each in verbs.store.due(LANE, NOW + 60)}
        assert steps == {"new": Step.POST_ROOT, "reply": Step.POST_REPLY, "edit": Step.UPDATE_ROOT}
        assert kept(verbs.store, "edit").firing == 2
        assert deliver(verbs, "new", "5.0").ts == "5.0"
        assert verbs.store.stamps() == {"new": "5.0", "reply": "0.0", "edit": "1.0", "quiet": "2.0"}
        assert names_of_former(client) == set()

    def test_attempt_of_a_killed_sender_is_looked_up(self, former: Former, verbs: Threads) -> None:
        """Slack may have its message, so it is not posted again before that is known."""
        former(
            """
            update(fires("a", "1"))
            lease = store.claim(CHANNEL)
            begin(lease, "a", "old")
            store.release(lease)
            """
        )
        verbs.store.pending()
        attempt = kept(verbs.store).attempt
        assert attempt is not None
        assert attempt.id == "old"
        assert due(verbs.store, attempt.look_up_at - 1) == []
        assert [each.action.step for each in verbs.store.due(LANE, attempt.look_up_at)] == [Step.LOOK_UP]

    def test_call_under_way_is_left_to_its_sender(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """As long as that holds its lease; its outcome is recorded, and the thread taken over then."""
        former(
            """
            update(fires("a", "1"), fires("b", "1"))
            lease = store.claim(CHANNEL)
            begin(lease, "a", "old")
            """
        )
        token = str(client.get(f"{PREFIX}-lease:{CHANNEL}"))
        verbs.store.pending()
        assert due(verbs.store, NOW + 60) == ["b"], "what is not under way is taken over at once"
        assert verbs.store.claim(LANE) is None, "its lease excludes our sender too"
        former(
            f"""
            lease = Lease(CHANNEL, "{token}")
            store.settle(lease, "a", "old", Posted(ts="1.0", threaded=False), NOW)
            store.release(lease)
            """
        )
        verbs.store.pending()
        assert kept(verbs.store).ts == "1.0"
        assert kept(verbs.store).attempt is None
        assert names_of_former(client) == set()
        assert verbs.store.claim(LANE) is not None

    def test_webhook_does_not_wait_for_a_call_under_way(
        self, former: Former, verbs: Threads, client: redis.Redis
    ) -> None:
        """The record is taken over with the attempt: its sender cannot record the outcome, so it is looked up."""
        former(
            """
            update(fires("a", "1"))
            lease = store.claim(CHANNEL)
            begin(lease, "a", "old")
            """
        )
        token = str(client.get(f"{PREFIX}-lease:{CHANNEL}"))
        assert verbs.notify([fires("a", "2")], NOW)[0].reason is Reason.FIRED
        settle = f'store.settle(Lease(CHANNEL, "{token}"), "a", "old", Posted(ts="1.0", threaded=False), NOW)'
        assert former(settle) is None
        thread = kept(verbs.store)
        assert thread.attempt is not None
        assert (thread.attempt.id, list(thread.pending.events)) == ("old", ["2"])

    def test_closed_thread_does_not_vanish_under_the_one_that_goes_on(
        self, former: Former, verbs: Threads, client: redis.Redis
    ) -> None:
        """The first release let Redis drop what is over; a thread that fires again stays."""
        now = time.time()
        former(
            f"""
            update(fires("a", "1", status="resolved"), at={now})
            post("a", "1.0", at={now})
            """
        )
        assert client.ttl(f"{PREFIX}-record:a") > 0
        assert client.ttl(f"{PREFIX}:a") > 0
        assert verbs.notify([fires("a", "1")], now)[0].reason is Reason.REOPENED
        assert client.ttl(f"{PREFIX}-record:a") == client.ttl(f"{PREFIX}:a") == -1

    def test_everything_is_found_before_it_is_taken_over(self, former: Former, verbs: Threads) -> None:
        """Counted, listed, read, and its ts."""
        former(
            """
            update(fires("a", "1"), fires("b", "1"))
            post("a", "1.0")
            """
        )
        counts = verbs.store.counts()
        assert (counts.threads, counts.pending, counts.open) == (2, 1, 2)
        assert {thread.key for thread in verbs.store.threads()} == {"a", "b"}
        assert kept(verbs.store, "b").firing == 1
        assert verbs.store.stamps() == {"a": "1.0"}
        verbs.store.pending()
        again = verbs.store.counts()
        assert (again.threads, again.pending, again.open) == (2, 1, 2)

    def test_many_by_several_processes(
        self, former: Former, verbs: Threads, server: RedisServer, client: redis.Redis, open_verbs: Open
    ) -> None:
        """A part in each look, so that leases are renewed in between; nothing is lost where two do the same."""
        former('update(*(fires(f"key{number}", "1") for number in range(1000)))')
        others = [verbs, open_verbs(server.url), open_verbs(server.url)]
        with ThreadPoolExecutor(3) as pool, pytest.MonkeyPatch.context() as patched:
            patched.setattr(upkeep, "_STEP", 0.02)
            until = time.monotonic() + 60
            while names_of_former(client):
                assert time.monotonic() < until
                list(pool.map(lambda each: each.store.pending(), others))
        assert len(due(verbs.store)) == 1000
        assert verbs.store.counts().threads == verbs.store.counts().open == 1000
        assert all(thread.firing == 1 for thread in verbs.store.threads())

    def test_damaged_record_is_left_and_named(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """All others are taken over; once it is deleted, nothing of the first release is left."""
        former('update(fires("a", "1"), fires("b", "1"))')
        client.hset(f"{PREFIX}-record:a", "data", "{")
        verbs.store.pending()
        assert due(verbs.store) == ["b"]
        with pytest.raises(RecordDamagedError):
            verbs.notify([fires("a", "2")], NOW)
        (line,) = verbs.store.warnings()
        assert f"DEL '{PREFIX}-record:a'" in line
        client.delete(f"{PREFIX}-record:a")
        verbs.store.pending()
        assert names_of_former(client) == set()
        assert verbs.notify([fires("a", "2")], NOW)[0].reason is Reason.OPENED


class TestSideBySide:
    """While replicas are replaced one after the other, both take webhooks and send."""

    def test_taken_over_thread_is_left_alone(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """The first release refuses its webhooks, which are sent again; whatever it does changes nothing of it."""
        former('update(fires("a", "1"), fires("b", "1"))')
        verbs.notify([fires("a", "2")], NOW)
        verbs.notify([fires("new", "1")], NOW)
        before = {name: client.dump(name) for name in client.scan_iter(f"{PREFIX}-record:*") if name[-1] != "b"}
        seen = former(
            """
            waiting = sorted(store.waiting())
            found = [update(fires(key, "3")) for key in ("a", "new", "b")]
            store.expire(NOW + 30 * 86400)
            store.forget(NOW)
            threads = [thread.key for thread in store.threads()]
            store.insert([], replace=True)
            {"waiting": waiting, "found": found, "due": [each.key for each in store.due(CHANNEL, NOW + 60)]}
            """
        )
        assert seen["found"] == ["RecordDamagedError", "RecordDamagedError", ["fired"]]
        assert seen["due"] == ["b"]
        assert {name: client.dump(name) for name in before} == before
        assert kept(verbs.store, "a").firing == 2

    def test_old_replica_that_has_just_read_writes_nothing(self, former: Former, verbs: Threads, proxy: Proxy) -> None:
        """Between its read and its write we take the thread over: its webhook is refused, ours is kept."""
        former('update(fires("a", "1"))')

        def take_over() -> bool:
            verbs.notify([fires("a", "2")], NOW)
            return True

        proxy.once(take_over, b"HMGET", b"-record:a")
        assert former('update(fires("a", "3"))', at(proxy)) == "RecordDamagedError"
        assert proxy.happened
        assert set(kept(verbs.store).alerts) == {"1", "2"}

    def test_old_replica_that_drops_what_it_has_just_read(self, former: Former, verbs: Threads, proxy: Proxy) -> None:
        """Its DELETE /cache, or its ageing, does not take a thread that is ours by then."""
        former(
            """
            update(fires("a", "1"))
            post("a", "1.0")
            """
        )

        def take_over() -> bool:
            verbs.notify([fires("a", "2")], NOW)
            return True

        proxy.once(take_over, b"HMGET", b"-record:a")
        assert former("store.forget(NOW)", at(proxy)) == 0
        assert proxy.happened
        assert kept(verbs.store).firing == 2
        assert verbs.store.stamps() == {"a": "1.0"}

    @pytest.mark.usefixtures("_patient")
    def test_what_an_old_replica_writes_meanwhile_is_kept(
        self, former: Former, verbs: Threads, proxy: Proxy, open_verbs: Open
    ) -> None:
        """Between our read and our write: both webhooks are in the record, which is ours then."""
        former('update(fires("a", "1"))')
        ours = open_verbs(at(proxy))
        ours.notify([fires("warm-up", "1")], NOW)

        def change() -> bool:
            return bool(former('update(fires("a", "2"))') == ["fired"])

        proxy.once(change, b"HMGET", b"-record:a")
        assert ours.notify([fires("a", "3")], NOW)[0].reason is Reason.FIRED
        assert set(kept(verbs.store).alerts) == {"1", "2", "3"}

    @pytest.mark.usefixtures("_patient")
    @pytest.mark.parametrize("first", ["old", "new"])
    def test_thread_that_both_open(
        self, former: Former, verbs: Threads, proxy: Proxy, open_verbs: Open, first: str
    ) -> None:
        """One of them does; an old replica that comes second refuses, ours goes on with what it finds."""
        ours = open_verbs(at(proxy))
        if first == "old":
            proxy.once(lambda: former('update(fires("a", "1"))') == ["opened"], b"HMGET", b"-record:a")
            assert ours.notify([fires("a", "2")], NOW)[0].reason is Reason.FIRED
            assert set(kept(verbs.store).alerts) == {"1", "2"}
        else:
            proxy.once(lambda: bool(verbs.notify([fires("a", "2")], NOW)), b"HMGET", b"-record:a")
            assert former('update(fires("a", "1"))', at(proxy)) == "RecordDamagedError"
            assert set(kept(verbs.store).alerts) == {"2"}
        assert proxy.happened
        verbs.store.pending()
        assert due(verbs.store) == ["a"]

    def test_old_sender_that_starts_what_we_take_over(self, former: Former, verbs: Threads, proxy: Proxy) -> None:
        """It reads the record, we take it over, and it starts no call: nothing is posted twice."""
        former('update(fires("a", "1"))')

        def take_over() -> bool:
            verbs.store.pending()
            return True

        proxy.once(take_over, b"HMGET", b"-record:a")
        assert former('begin(store.claim(CHANNEL), "a", "old")', at(proxy)) is None
        assert proxy.happened
        assert kept(verbs.store).attempt is None

    def test_one_sender_at_a_time(self, former: Former, verbs: Threads) -> None:
        """In a channel; the tokens of its budgets are shared, too."""
        lease = claimed(verbs.store)
        assert former("store.claim(CHANNEL)") is None
        verbs.store.release(lease)
        former("store.claim(CHANNEL) and 1")
        assert verbs.store.claim(LANE) is None

    def test_dropped_thread_is_opened_anew_by_either(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """What we dropped is no thread for an old replica; what it opens then is taken over again."""
        former('update(fires("a", "1"))')
        verbs.store.transact("a", lambda _: (None, None))
        assert former('update(fires("a", "2"))') == ["opened"]
        verbs.store.pending()
        assert set(kept(verbs.store).alerts) == {"2"}
        assert names_of_former(client) == set()


class TestOtherSettings:
    """Records are planned when they are written."""

    def test_records_are_planned_anew(self, server: RedisServer, verbs: Threads, open_verbs: Open) -> None:
        """With another STALE_AFTER a silent thread ages when that says so."""
        verbs.notify([fires("a", "1")], NOW)
        verbs.store.pending()
        assert verbs.store.aged(NOW + 60) == []
        hasty = open_verbs(server.url, msgspec.structs.replace(Policy(), stale_after=60.0))
        hasty.store.pending()
        assert hasty.store.aged(NOW + 60) == ["a"]
        assert kept(hasty.store).firing == 1


class TestWayBack:
    """To the first release, once every replica of this one is stopped."""

    def test_first_release_goes_on(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """With every thread: what is pending, a call under way, what is open, and what is over."""
        verbs.notify([fires(key, "1") for key in ("new", "reply", "quiet", "started")], NOW)
        verbs.notify([fires("over", "1", status="resolved")], NOW)
        for number, key in enumerate(("reply", "quiet", "over")):
            deliver(verbs, key, f"{number}.0")
        verbs.notify([fires("reply", "2")], NOW)
        lease = claimed(verbs.store)
        verbs.start_attempt(lease, "started", "ours", NOW)
        verbs.store.release(lease)
        before = {thread.key: thread for thread in verbs.store.threads()}

        assert hand_back(verbs) == 5
        seen = former(
            """
            steps = {each.key: str(each.action.step) for each in store.due(CHANNEL, NOW + 60)}
            threads = {thread.key: [thread.ts, sorted(thread.alerts)] for thread in store.threads()}
            attempt = store.read("started").attempt.id
            told = [update(fires("quiet", "2")), update(fires("new", "1")), post("new", "9.0")]
            store.expire(NOW + 60)
            counts = store.counts(NOW)
            [steps, threads, attempt, told, [counts.threads, counts.open]]
            """
        )
        assert seen[0] == {"new": "root", "reply": "reply", "started": "find"}
        assert seen[1] == {key: [thread.ts, sorted(thread.alerts)] for key, thread in before.items()}
        assert seen[2:] == ["ours", [["fired"], ["duplicate"], True], [5, 4]]
        assert client.ttl(f"{PREFIX}-record:over") > 0
        assert client.ttl(f"{PREFIX}-record:quiet") == -1

    def test_and_forward_again(self, former: Former, verbs: Threads, client: redis.Redis) -> None:
        """What was handed back is taken over as if it had never been here."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        deliver(verbs, "a", "1.0")
        before = list(verbs.store.threads())
        hand_back(verbs)
        ours = {name for name in client.scan_iter() if name.startswith(tuple(f"{PREFIX}-{x}" for x in _OURS))}
        assert ours == set()
        assert names_of_former(client) != set()
        former('update(fires("b", "2"))')
        verbs.store.pending()
        assert names_of_former(client) == set()
        assert kept(verbs.store, "a") == next(thread for thread in before if thread.key == "a")
        assert kept(verbs.store, "b").firing == 2
        assert due(verbs.store) == ["b"]

    def test_damaged_record_stays(self, verbs: Threads, client: redis.Redis) -> None:
        """All others are handed back."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        damage(client, "a")
        assert hand_back(verbs) == 1
        assert client.hget(f"{PREFIX}-record:a", "thread") == "{"


_OURS = ("lane", "threads", "open", "policy")


def hand_back(verbs: Threads) -> int:
    """Leave all threads to the first release."""
    assert isinstance(verbs.store, RedisStore)
    return verbs.store.hand_back()
