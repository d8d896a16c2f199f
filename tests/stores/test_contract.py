"""What every store promises (see alert_threader/store/base.py), and what the domain's verbs make of it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert
from alert_threader.errors import LeaseLostError
from alert_threader.store import Store, Threads
from alert_threader.store.tokens import Budget
from alert_threader.store.verbs import Followed
from alert_threader.threads import AlertThread, Failed, Policy, Posted, Reason, Step, Unknown, Wait, record_unchanged
from alert_threader.threads.keys import Former
from tests.build import CHANNEL, DAY, NOW, alert, change
from tests.stores.conftest import Reopen
from tests.stores.sending import ELSEWHERE, LANE, bare, claimed, deliver, due, fires, kept

STALE_AFTER = Policy().stale_after
#: Slow enough that no token comes back while a test runs.
BURST = Budget(rate=0.1, burst=3)


class TestTransact:
    """Changing records."""

    def test_returns_the_word_and_stores_the_record(self, store: Store, reopen: Reopen) -> None:
        """Another process finds what was decided."""
        seen = []

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, str]:
            seen.append(thread)
            return bare("a"), "word"

        assert store.transact("a", decide) == "word"
        assert seen == [None]
        assert reopen().read("a") == bare("a")

    def test_none_drops_the_record(self, store: Store, reopen: Reopen) -> None:
        """Nothing is left of it: neither its ts, nor a place in a lane, nor in a count."""
        verbs = Threads(store, Policy())
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        verbs.notify([fires("a", "2")], NOW)
        store.transact("a", lambda _: (None, None))
        again = reopen()
        assert again.read("a") is None
        assert again.stamps() == {}
        assert again.pending() == {}
        assert again.aged(NOW + 100 * DAY) == []
        assert again.counts().threads == again.counts().open == again.counts().pending == 0

    def test_the_record_itself_changes_nothing(self, store: Store) -> None:
        """Whatever else is stored stays as it was."""
        store.transact("a", lambda _: (bare("a"), None))
        assert store.transact("a", lambda thread: (thread, "seen")) == "seen"
        assert store.read("a") == bare("a")

    def test_error_of_decide_changes_nothing(self, store: Store) -> None:
        """It is raised as it is, and the record can be changed afterwards."""

        def refuse(_: AlertThread | None) -> tuple[AlertThread | None, None]:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            store.transact("a", refuse)
        assert store.read("a") is None
        store.transact("a", lambda _: (bare("a"), None))
        assert store.read("a") is not None

    def test_concurrent_changes_of_a_record_lose_none(self, store: Store) -> None:
        """Each sees what the one before it made."""
        store.transact("a", lambda _: (bare("a"), None))

        def count(thread: AlertThread | None) -> tuple[AlertThread | None, int]:
            assert thread is not None
            return msgspec.structs.replace(thread, repeats=thread.repeats + 1), thread.repeats + 1

        with ThreadPoolExecutor(8) as pool:
            words = list(pool.map(lambda _: store.transact("a", count), range(100)))
        assert sorted(words) == list(range(1, 101))
        assert kept(store).repeats == 100

    def test_many_records_at_once(self, store: Store) -> None:
        """The words come in the order of the decisions, however many there are."""
        keys = [f"key{number}" for number in range(450)]
        assert store.transact_all([(key, lambda _, key=key: (bare(key), key)) for key in keys]) == keys  # type: ignore[misc]
        assert {thread.key for thread in store.threads()} == set(keys)


class TestNotify:
    """Taking webhooks."""

    def test_returns_what_each_change_did(self, verbs: Threads) -> None:
        """In the order of the changes."""
        applied = verbs.notify([fires("a", "1"), fires("b", "1", "2")], NOW)
        assert [(each.thread.key, each.reason, each.fired) for each in applied] == [
            ("a", Reason.OPENED, 1),
            ("b", Reason.OPENED, 2),
        ]

    def test_is_durable_on_return(self, verbs: Threads, reopen: Reopen) -> None:
        """Another process finds it."""
        verbs.notify([fires("a", "1")], NOW)
        assert kept(reopen()).firing == 1

    def test_sees_the_change_before_it_in_the_same_call(self, verbs: Threads, store: Store) -> None:
        """One webhook may name a thread twice."""
        applied = verbs.notify([fires("a", "1"), fires("b", "1"), fires("a", "1"), fires("a", "2")], NOW)
        assert [each.reason for each in applied] == [Reason.OPENED, Reason.OPENED, Reason.DUPLICATE, Reason.FIRED]
        assert kept(store).firing == 2

    def test_former_key_doubles_no_thread(self, verbs: Threads) -> None:
        """What an open thread of the first release holds goes on there; only what fires anew goes by today's key."""
        known, new = alert("1"), alert("2")
        over = alert("1", "resolved")
        verbs.notify([change(known, key="former")], NOW)

        def notified(*alerts: Alert) -> list[tuple[str, Reason]]:
            said = change(*alerts, key="today", former=Former("former", {}))
            return [(each.thread.key, each.reason) for each in verbs.notify([said], NOW)]

        assert notified(known) == [("former", Reason.DUPLICATE)]
        assert notified(known, new) == [("former", Reason.DUPLICATE), ("today", Reason.OPENED)]
        assert notified(over) == [("former", Reason.RESOLVED)]
        assert notified(over) == [("former", Reason.DUPLICATE)]
        assert notified(known) == [("today", Reason.FIRED)]
        assert notified(over) == [("today", Reason.RESOLVED)]

    def test_concurrent_notifications_of_a_thread_lose_none(self, verbs: Threads, store: Store) -> None:
        """Each sees what the one before it made."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: verbs.notify([fires("a", f"n{i}")], NOW), range(100)))
        thread = kept(store)
        assert thread.firing == 100
        assert len(thread.pending.events) == 100

    def test_several_threads_in_any_order_at_once(self, verbs: Threads, store: Store) -> None:
        """Two webhooks that name the same threads in opposite orders neither wait for each other nor lose anything."""
        keys = [f"key{number}" for number in range(20)]
        with ThreadPoolExecutor(4) as pool:
            for names in (keys, keys[::-1]) * 4:
                number = str(id(names))
                pool.submit(verbs.notify, [fires(key, number) for key in names], NOW)
        assert {kept(store, key).firing for key in keys} == {2}

    def test_same_change_at_the_same_time_is_applied_once(self, verbs: Threads) -> None:
        """HA peers and retries arrive together."""
        barrier = threading.Barrier(8)

        def send(_: int) -> Reason:
            barrier.wait()
            return verbs.notify([fires("a", "1")], NOW)[0].reason

        with ThreadPoolExecutor(8) as pool:
            reasons = list(pool.map(send, range(8)))
        assert sorted(reasons) == sorted([Reason.OPENED, *[Reason.DUPLICATE] * 7])


class TestInsert:
    """Threads that come from another store."""

    def test_keeps_all_of_a_thread(self, verbs: Threads, store: Store, reopen: Reopen) -> None:
        """What is pending, and an attempt under way: durable on return, and due as it was."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        verbs.start_attempt(claimed(store), "a", "id", NOW)
        verbs.notify([fires("a", "2")], NOW)
        copies = [msgspec.structs.replace(thread, key=f"{thread.key}2") for thread in store.threads()]
        assert verbs.insert(copies, replace=False) == []
        again = reopen()
        assert [again.read(copy.key) for copy in copies] == copies
        actions = {each.key: each.action for each in again.due(LANE, NOW + 60)}
        assert (actions["a2"], actions["b2"]) == (actions["a"], actions["b"])
        assert again.counts().pending == 4

    def test_leaves_out_what_is_taken(self, verbs: Threads, store: Store) -> None:
        """A thread that is there already stays as it is; the others are stored."""
        verbs.notify([fires("a", "1")], NOW)
        assert verbs.insert([bare("a", "1.0"), bare("b", "2.0")], replace=False) == ["a"]
        assert store.stamps() == {"b": "2.0"}
        assert due(store) == ["a"]

    def test_replaces(self, verbs: Threads, store: Store) -> None:
        """With ``replace`` nothing is left of the thread that was there, also where it stood in another channel."""
        verbs.notify([fires("a", "1"), fires("b", "1"), fires("c", "1")], NOW)
        there = bare("b", "2.0", channel="C0000002")
        assert verbs.insert([bare("a", "1.0"), there], replace=True) == []
        assert store.stamps() == {"a": "1.0", "b": "2.0"}
        assert kept(store, "b").channel == "C0000002"
        assert due(store) == ["c"]
        assert store.counts().pending == 1


class TestLeases:
    """One sender for each lane."""

    def test_first_claim_wins(self, store: Store) -> None:
        """Until it is released."""
        lease = claimed(store)
        assert store.claim(LANE) is None
        assert store.claim(ELSEWHERE) is not None
        store.release(lease)
        assert store.claim(LANE) is not None

    def test_of_many_at_once_one_wins(self, store: Store) -> None:
        """However close they are."""
        with ThreadPoolExecutor(8) as pool:
            leases = list(pool.map(lambda _: store.claim(LANE), range(8)))
        assert sum(lease is not None for lease in leases) == 1

    def test_lost_lease_changes_nothing(self, verbs: Threads, store: Store) -> None:
        """A sender that was taken for dead can neither start, record nor renew, nor free its successor's lease."""
        verbs.notify([fires("a", "1")], NOW)
        old = claimed(store)
        verbs.start_attempt(old, "a", "old", NOW)
        store.release(old)
        new = claimed(store)
        with pytest.raises(LeaseLostError):
            verbs.record_outcome(old, "a", "old", Posted(ts="1.0", threaded=False), NOW)
        with pytest.raises(LeaseLostError):
            verbs.start_attempt(old, "a", "older", NOW)
        with pytest.raises(LeaseLostError):
            store.renew(old)
        store.release(old)
        store.renew(new)
        assert kept(store).ts is None

    def test_lease_dies_with_its_holder(self, store: Store, reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> None:
        """A crash frees the lane, at the latest when the lease would have had to be renewed."""
        monkeypatch.setattr("alert_threader.store.redis.leases.LEASE_TTL", 0.2)
        claimed(store)
        successor = reopen()
        wait_until(lambda: successor.claim(LANE) is not None)

    def test_work_holds_the_lease(self, verbs: Threads, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sender that starts, records or renews in time keeps its lane."""
        monkeypatch.setattr("alert_threader.store.redis.leases.LEASE_TTL", 0.5)
        lease = claimed(store)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            verbs.start_attempt(lease, "unknown", "id", NOW)
            assert store.claim(LANE) is None

    def test_silent_sender_loses_a_shared_lease(
        self, verbs: Threads, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it does after that is refused, also while nobody else has claimed the lane.

        Where no other process can send, there is nobody to lose it to.
        """
        monkeypatch.setattr("alert_threader.store.redis.leases.LEASE_TTL", 0.05)
        verbs.notify([fires("a", "1")], NOW)
        lease = claimed(store)
        if not store.shared:
            time.sleep(0.1)
            assert verbs.start_attempt(lease, "a", "id", NOW) is not None
            return

        def is_lost() -> bool:
            try:
                verbs.start_attempt(lease, "unknown", "id", NOW)
            except LeaseLostError:
                return True
            time.sleep(0.1)  # each attempt renews it
            return False

        wait_until(is_lost)
        with pytest.raises(LeaseLostError):
            verbs.start_attempt(lease, "a", "id", NOW)
        assert kept(store).attempt is None


class TestBudgets:
    """Calls that may be made, shared by all who use the store."""

    def test_tokens_are_used_up_and_come_back(self, store: Store) -> None:
        """A refused call costs nothing and is told how long to wait."""
        budget = Budget(rate=10, burst=1)
        assert store.take("a", budget) == 0
        wait = store.take("a", budget)
        assert 0 < wait <= 0.1
        assert store.take("b", budget) == 0
        time.sleep(wait)
        assert store.take("a", budget) == 0

    def test_of_many_at_once_as_many_as_allowed_get_one(self, store: Store) -> None:
        """Nobody gets a token twice."""
        budget = Budget(rate=0.001, burst=1)
        with ThreadPoolExecutor(8) as pool:
            waits = list(pool.map(lambda _: store.take("a", budget), range(20)))
        assert waits.count(0) == 1

    def test_a_burst_is_there_from_the_start_and_not_again_after_a_restart(self, reopen: Reopen) -> None:
        """What was used is known to the next process, once anything was stored after it."""
        store = reopen()
        assert [store.take("a", BURST) for _ in range(3)] == [0, 0, 0]
        store.transact("k", lambda _: (bare("k"), None))
        assert reopen().take("a", BURST) > 0

    def test_an_answer_that_comes_late_moves_the_pace(self, store: Store) -> None:
        """The call may have been counted when it was answered."""
        for name in ("early", "late"):
            assert store.take(name, BURST) == 0
        time.sleep(0.3)
        store.arrived("late", BURST)
        for name in ("early", "late"):
            assert [store.take(name, BURST), store.take(name, BURST)] == [0, 0]
        early, late = store.take("early", BURST), store.take("late", BURST)
        assert late - early == pytest.approx(0.3, abs=0.15)


class TestDelivery:
    """What is due, started and recorded."""

    def test_most_pressing_comes_first(self, verbs: Threads, store: Store) -> None:
        """Severity, then step, then age."""
        verbs.notify([fires("w", "1", severity="warning")], NOW)
        verbs.notify([fires("c2", "1")], NOW + 2)
        verbs.notify([fires("c1", "1")], NOW + 1)
        assert due(store, NOW + 3) == ["c1", "c2", "w"]
        assert store.pending() == {LANE: 0}

    def test_thread_that_moves_is_due_in_its_new_lane_only(self, verbs: Threads, store: Store) -> None:
        """SLACK_CHANNEL has changed while it waited."""
        verbs.notify([fires("a", "1")], NOW)
        verbs.notify([msgspec.structs.replace(fires("a", "2"), channel="C0000002")], NOW)
        assert due(store) == []
        assert due(store, lane=ELSEWHERE) == ["a"]

    def test_delivered_thread_is_not_due(self, verbs: Threads, store: Store) -> None:
        """And nothing is pending in its lane."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        assert due(store) == []
        assert store.pending() == {}
        assert store.counts().pending == 0

    def test_attempt_is_durable_before_the_call(self, verbs: Threads, store: Store, reopen: Reopen) -> None:
        """After a crash the message can be looked up."""
        verbs.notify([fires("a", "1")], NOW)
        verbs.start_attempt(claimed(store), "a", "id", NOW)
        attempt = kept(reopen()).attempt
        assert attempt is not None
        assert (attempt.id, list(attempt.batch.events)) == ("id", ["1"])

    def test_outcome_is_durable(self, verbs: Threads, reopen: Reopen) -> None:
        """What Slack said is kept."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        thread = kept(reopen())
        assert (thread.ts, thread.attempt) == ("1.0", None)

    def test_webhook_during_a_call_is_kept(self, verbs: Threads, store: Store) -> None:
        """The outcome is written onto the thread as it is then."""
        verbs.notify([fires("a", "1")], NOW)
        lease = claimed(store)
        verbs.start_attempt(lease, "a", "id", NOW)
        verbs.notify([fires("a", "2")], NOW)
        verbs.record_outcome(lease, "a", "id", Posted(ts="1.0", threaded=False), NOW)
        thread = kept(store)
        assert (thread.ts, list(thread.pending.events)) == ("1.0", ["2"])

    def test_waits_for_the_time_a_failure_set(self, verbs: Threads, store: Store) -> None:
        """And is listed with it."""
        verbs.notify([fires("a", "1")], NOW)
        lease = claimed(store)
        verbs.start_attempt(lease, "a", "id", NOW)
        verbs.record_outcome(lease, "a", "id", Unknown(error="x", retry=Wait(NOW + 30, 30)), NOW)
        assert store.due(LANE, NOW + 29) == []
        assert store.pending() == {LANE: NOW + 30}
        assert [each.action.step for each in store.due(LANE, NOW + 30)] == [Step.LOOK_UP]

    def test_nothing_to_start_is_none(self, verbs: Threads, store: Store) -> None:
        """Another sender may have been faster; an unknown thread needs nothing."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        lease = claimed(store)
        assert verbs.start_attempt(lease, "a", "id", NOW) is None
        assert verbs.start_attempt(lease, "unknown", "id", NOW) is None
        verbs.record_outcome(lease, "unknown", "id", Posted(ts="1.0", threaded=False), NOW)
        assert store.read("unknown") is None
        assert due(store) == []

    def test_root_that_is_as_it_should_be_needs_no_edit(self, verbs: Threads, store: Store) -> None:
        """What was rendered is what was sent last: the thread is not due any more."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        verbs.notify([fires("a", "2")], NOW)
        thread = deliver(verbs, "a", "2.0")
        later = NOW + 60
        assert [each.action.step for each in store.due(LANE, later)] == [Step.UPDATE_ROOT]
        assert record_unchanged(thread, thread.revision) != thread
        verbs.record_unchanged(claimed(store), "a", thread.revision)
        assert due(store, later) == []


class TestHousekeeping:
    """Reading, counting, ageing, forgetting."""

    def test_unknown_key_is_none(self, store: Store) -> None:
        """Only a thread that does not exist reads as none."""
        assert store.read("a") is None

    def test_counts_and_lists(self, verbs: Threads, store: Store) -> None:
        """All threads, those with something pending, and the oldest of these."""
        verbs.notify([fires("a", "1")], NOW)
        verbs.notify([fires("b", "1")], NOW + 5)
        counts = store.counts()
        assert (counts.threads, counts.pending, counts.oldest_pending) == (2, 2, NOW)
        assert {thread.key for thread in store.threads()} == {"a", "b"}

    def test_open_threads_fire(self, verbs: Threads, store: Store, reopen: Reopen) -> None:
        """Open is a thread of which an alert fires, until it resolves, turns stale or is forgotten."""
        verbs.notify([fires(key, "1") for key in ("a", "b", "c")], NOW)
        verbs.notify([fires("resolved", "1", status="resolved")], NOW)
        verbs.insert([bare("bare", "1.0")], replace=False)
        assert store.counts().open == 3
        verbs.notify([fires("a", "1", status="resolved")], NOW)
        assert store.counts().open == 2
        verbs.notify([fires("b", "2")], NOW + STALE_AFTER)
        verbs.age(NOW + STALE_AFTER)
        assert store.counts().open == 1
        again = reopen()
        assert again.counts().open == 1
        Threads(again, Policy()).forget(NOW)
        assert again.counts().open == 0

    def test_closed_threads_are_dropped(self, verbs: Threads, store: Store) -> None:
        """A day after the resolution nothing is left."""
        verbs.notify([fires("a", "1", status="resolved"), fires("b", "1")], NOW)
        deliver(verbs, "a", "1.0")
        verbs.age(NOW + DAY)
        assert {thread.key for thread in store.threads()} == {"b"}
        assert store.aged(NOW + DAY) == []

    def test_forgets_what_is_delivered_only(self, verbs: Threads, reopen: Reopen) -> None:
        """What is still pending stays until it is delivered."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        deliver(verbs, "a", "1.0")
        assert verbs.forget(NOW) == 1
        again = reopen()
        assert [thread.key for thread in again.threads()] == ["b"]
        assert due(again) == ["b"]

    def test_edit_of_the_root_is_kept(self, verbs: Threads, store: Store) -> None:
        """After a resolution the root is edited once."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        verbs.notify([fires("a", "1", status="resolved")], NOW)
        deliver(verbs, "a", "2.0")
        assert [each.action.step for each in store.due(LANE, NOW)] == [Step.UPDATE_ROOT]
        deliver(verbs, "a", "edit")
        assert due(store, NOW + 60) == []

    def test_what_waits_follows_the_channel(self, verbs: Threads, store: Store, reopen: Reopen) -> None:
        """At a start with another default channel, but for what is to be seen in the former one."""
        path = f"path@{CHANNEL}"
        verbs.notify([fires("posted", "1")], NOW)
        deliver(verbs, "posted", "1.0")
        verbs.notify([fires(key, "1") for key in ("a", "b", path)] + [fires("posted", "2")], NOW)
        assert verbs.follow_channel() == {}
        store = reopen()
        started = Threads(store, Policy(), "C0000002")
        assert started.follow_channel() == {CHANNEL: Followed(moved=2, stay=1)}
        assert sorted(due(store)) == [path, "posted"]
        assert sorted(due(store, lane=ELSEWHERE)) == ["a", "b"]
        assert started.follow_channel() == {CHANNEL: Followed(moved=0, stay=1)}

    def test_outcome_sends_after_the_channel(self, verbs: Threads, store: Store) -> None:
        """What was under way at the start, or whose channel turns out to be gone, follows then."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        verbs.notify([fires("a", "2")], NOW)
        started = Threads(store, Policy(), "C0000002")
        lease = claimed(store)
        started.start_attempt(lease, "a", "id", NOW)
        started.record_outcome(lease, "a", "id", Failed(error="is_archived: x", retry=Wait()), NOW)
        assert due(store) == []
        assert due(store, lane=ELSEWHERE) == ["a"]
        assert kept(store).ts is None

    def test_healthy_store_pings(self, store: Store) -> None:
        """A change could be stored."""
        store.ping()

    def test_lists_the_stamps(self, verbs: Threads, store: Store) -> None:
        """Of the threads that Slack has, by key."""
        verbs.notify([fires("a", "1"), fires("b", "1")], NOW)
        deliver(verbs, "a", "1.0")
        assert store.stamps() == {"a": "1.0"}

    def test_silent_thread_becomes_stale(self, verbs: Threads, store: Store) -> None:
        """Nobody has to write to it."""
        verbs.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        assert store.aged(NOW + STALE_AFTER - 1) == []
        assert store.aged(NOW + STALE_AFTER) == ["a"]
        verbs.age(NOW + 8 * DAY)
        assert kept(store).stale


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
