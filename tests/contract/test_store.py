"""What every store promises (see alert_threader/store/base.py)."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.errors import LeaseLostError
from alert_threader.store import Lease, Store
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Change, Policy, Posted, Reason, Step, Unknown, Updated

NOW = 1_800_000_000.0
POLICY_STALE = Policy().stale_after
CHANNEL = "C0000001"


def change(key: str, *names: str, status: Status = Status.FIRING, severity: str = "critical") -> Change:
    """A webhook's word about one thread: these alerts have that status."""
    alerts = tuple(
        Alert(
            status=status,
            fingerprint=name,
            labels={"severity": severity, "instance": name},
            annotations={},
            starts_at=NOW,
            ends_at=None,
            links={},
            values="",
        )
        for name in names
    )
    return Change(key=key, channel=CHANNEL, alerts=alerts)


def claim(store: Store) -> Lease:
    """The channel's lease, which must be free."""
    lease = store.claim(CHANNEL)
    assert lease is not None
    return lease


def post(store: Store, key: str, ts: str) -> AlertThread:
    """Begin the thread's next post and settle it as Slack's success."""
    lease = claim(store)
    begun = store.begin(lease, key, f"attempt-{ts}", NOW)
    assert begun is not None
    outcome = Posted(ts=ts, threaded=begun[1].step is Step.POST_REPLY)
    settled = store.settle(lease, key, f"attempt-{ts}", outcome, NOW)
    store.release(lease)
    assert settled is not None
    return settled


def thread_of(key: str, ts: str) -> AlertThread:
    """A thread that has nothing to tell."""
    return AlertThread(key=key, channel=CHANNEL, ts=ts, opened_at=NOW, changed_at=NOW, seen_at=NOW)


class TestUpdate:
    """Taking webhooks."""

    def test_returns_what_each_change_did(self, store: Store) -> None:
        """In the order of the changes."""
        applied = store.update([change("a", "1"), change("b", "1", "2")], NOW)
        assert [(each.thread.key, each.reason, each.fired) for each in applied] == [
            ("a", Reason.OPENED, 1),
            ("b", Reason.OPENED, 2),
        ]

    def test_is_durable_on_return(self, store: Store, reopen: Callable[[], Store]) -> None:
        """Another process finds it."""
        store.update([change("a", "1")], NOW)
        kept = reopen().read("a")
        assert kept is not None
        assert kept.firing == 1

    def test_sees_the_change_before_it_in_the_same_call(self, store: Store) -> None:
        """One webhook may name a thread twice."""
        applied = store.update([change("a", "1"), change("a", "1")], NOW)
        assert [each.reason for each in applied] == [Reason.OPENED, Reason.DUPLICATE]

    def test_concurrent_updates_of_a_thread_lose_none(self, store: Store) -> None:
        """Each sees what the one before it made."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: store.update([change("a", f"n{i}")], NOW), range(100)))
        thread = store.read("a")
        assert thread is not None
        assert thread.firing == 100
        assert len(thread.untold.events) == 100

    def test_same_change_at_the_same_time_is_applied_once(self, store: Store) -> None:
        """HA peers and retries arrive together."""
        barrier = threading.Barrier(8)

        def send(_: int) -> Reason:
            barrier.wait()
            return store.update([change("a", "1")], NOW)[0].reason

        with ThreadPoolExecutor(8) as pool:
            reasons = list(pool.map(send, range(8)))
        assert sorted(reasons) == sorted([Reason.OPENED, *[Reason.DUPLICATE] * 7])


class TestInsert:
    """Threads that come from another store."""

    def test_keeps_all_of_a_thread(self, store: Store, reopen: Callable[[], Store]) -> None:
        """What is untold, and an attempt under way: durable on return, and due as it was."""
        store.update([change("a", "1"), change("b", "1")], NOW)
        store.begin(claim(store), "a", "id", NOW)
        store.update([change("a", "2")], NOW)
        copies = [msgspec.structs.replace(thread, key=f"{thread.key}2") for thread in store.threads()]
        assert store.insert(copies, replace=False) == []
        kept = reopen()
        assert [kept.read(copy.key) for copy in copies] == copies
        due = {each.key: each.action for each in kept.due(CHANNEL, NOW + 60)}
        assert (due["a2"], due["b2"]) == (due["a"], due["b"])
        assert kept.counts(NOW).pending == 4

    def test_leaves_out_what_is_taken(self, store: Store) -> None:
        """A thread that is there already stays as it is; the others are stored."""
        store.update([change("a", "1")], NOW)
        assert store.insert([thread_of("a", "1.0"), thread_of("b", "2.0")], replace=False) == ["a"]
        assert store.stamps() == {"b": "2.0"}
        assert [due.key for due in store.due(CHANNEL, NOW)] == ["a"]

    def test_replaces(self, store: Store) -> None:
        """With ``replace`` nothing is left of the thread that was there, also where it stood in another channel."""
        store.update([change("a", "1"), change("b", "1"), change("c", "1")], NOW)
        there = thread_of("b", "2.0")
        there.channel = "C0000002"
        assert store.insert([thread_of("a", "1.0"), there], replace=True) == []
        assert store.stamps() == {"a": "1.0", "b": "2.0"}
        assert {thread.key: thread.channel for thread in store.threads()}["b"] == "C0000002"
        assert [due.key for due in store.due(CHANNEL, NOW)] == ["c"]
        assert store.counts(NOW).pending == 1


class TestLeases:
    """One sender a channel."""

    def test_first_claim_wins(self, store: Store) -> None:
        """Until it is released."""
        lease = claim(store)
        assert store.claim(CHANNEL) is None
        assert store.claim("C0000002") is not None
        store.release(lease)
        assert store.claim(CHANNEL) is not None

    def test_of_many_at_once_one_wins(self, store: Store) -> None:
        """However close they are."""
        with ThreadPoolExecutor(8) as pool:
            leases = list(pool.map(lambda _: store.claim(CHANNEL), range(8)))
        assert sum(lease is not None for lease in leases) == 1

    def test_lost_lease_changes_nothing(self, store: Store) -> None:
        """A sender that was taken for dead can neither begin, settle nor renew, nor free its successor's lease."""
        store.update([change("a", "1")], NOW)
        old = claim(store)
        store.begin(old, "a", "old", NOW)
        store.release(old)
        new = claim(store)
        with pytest.raises(LeaseLostError):
            store.settle(old, "a", "old", Posted(ts="1.0", threaded=False), NOW)
        with pytest.raises(LeaseLostError):
            store.begin(old, "a", "older", NOW)
        with pytest.raises(LeaseLostError):
            store.renew(old)
        store.release(old)
        store.renew(new)
        thread = store.read("a")
        assert thread is not None
        assert thread.ts is None

    def test_lease_dies_with_its_holder(
        self, store: Store, reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A crash frees the channel, at the latest when the lease would have had to be renewed."""
        monkeypatch.setattr("alert_threader.store.redis.store.LEASE_TTL", 0.2)
        claim(store)
        successor = reopen()
        until = time.monotonic() + 10
        while successor.claim(CHANNEL) is None:
            assert time.monotonic() < until
            time.sleep(0.01)

    def test_work_holds_the_lease(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sender that begins, settles or renews in time keeps its channel."""
        monkeypatch.setattr("alert_threader.store.redis.store.LEASE_TTL", 0.5)
        monkeypatch.setattr("alert_threader.store.file.LEASE_TTL", 0.5)
        lease = claim(store)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            store.begin(lease, "unknown", "id", NOW)
            assert store.claim(CHANNEL) is None

    def test_silent_sender_loses_the_lease(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it does after that is refused, also while nobody else has claimed the channel."""
        monkeypatch.setattr("alert_threader.store.redis.store.LEASE_TTL", 0.05)
        monkeypatch.setattr("alert_threader.store.file.LEASE_TTL", 0.05)
        store.update([change("a", "1")], NOW)
        lease = claim(store)
        time.sleep(0.1)
        with pytest.raises(LeaseLostError):
            store.begin(lease, "a", "id", NOW)


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


class TestDelivery:
    """What is due, begun and settled."""

    def test_most_pressing_comes_first(self, store: Store) -> None:
        """Severity, then step, then age."""
        store.update([change("w", "1", severity="warning")], NOW)
        store.update([change("c2", "1")], NOW + 2)
        store.update([change("c1", "1")], NOW + 1)
        assert [due.key for due in store.due(CHANNEL, NOW + 3)] == ["c1", "c2", "w"]
        assert store.waiting() == {CHANNEL: 0}

    def test_thread_that_moves_is_due_in_its_new_channel_only(self, store: Store) -> None:
        """SLACK_CHANNEL has changed while it waited."""
        store.update([change("a", "1")], NOW)
        store.update([msgspec.structs.replace(change("a", "2"), channel="C0000002")], NOW)
        assert store.due(CHANNEL, NOW) == []
        assert [due.key for due in store.due("C0000002", NOW)] == ["a"]

    def test_told_thread_is_not_due(self, store: Store) -> None:
        """And its channel waits for nothing."""
        store.update([change("a", "1")], NOW)
        post(store, "a", "1.0")
        assert store.due(CHANNEL, NOW) == []
        assert store.waiting() == {}
        assert store.counts(NOW).pending == 0

    def test_attempt_is_durable_before_the_call(self, store: Store, reopen: Callable[[], Store]) -> None:
        """After a crash the message can be looked for."""
        store.update([change("a", "1")], NOW)
        store.begin(claim(store), "a", "id", NOW)
        thread = reopen().read("a")
        assert thread is not None
        assert thread.attempt is not None
        assert (thread.attempt.id, list(thread.attempt.batch.events)) == ("id", ["1"])

    def test_outcome_is_durable(self, store: Store, reopen: Callable[[], Store]) -> None:
        """What Slack said is kept."""
        store.update([change("a", "1")], NOW)
        post(store, "a", "1.0")
        thread = reopen().read("a")
        assert thread is not None
        assert (thread.ts, thread.attempt) == ("1.0", None)

    def test_webhook_during_a_call_is_kept(self, store: Store) -> None:
        """The outcome is written onto the thread as it is then."""
        store.update([change("a", "1")], NOW)
        lease = claim(store)
        store.begin(lease, "a", "id", NOW)
        store.update([change("a", "2")], NOW)
        thread = store.settle(lease, "a", "id", Posted(ts="1.0", threaded=False), NOW)
        assert thread is not None
        assert (thread.ts, list(thread.untold.events)) == ("1.0", ["2"])

    def test_waits_for_the_time_a_failure_set(self, store: Store) -> None:
        """And is listed with it."""
        store.update([change("a", "1")], NOW)
        lease = claim(store)
        store.begin(lease, "a", "id", NOW)
        store.settle(lease, "a", "id", Unknown(error="x", retry_at=NOW + 30), NOW)
        assert store.due(CHANNEL, NOW + 29) == []
        assert store.waiting() == {CHANNEL: NOW + 30}
        assert [due.action.step for due in store.due(CHANNEL, NOW + 30)] == [Step.FIND_ATTEMPT]

    def test_nothing_to_begin_is_none(self, store: Store) -> None:
        """Another sender may have been faster; an unknown thread needs nothing."""
        store.update([change("a", "1")], NOW)
        post(store, "a", "1.0")
        lease = claim(store)
        assert store.begin(lease, "a", "id", NOW) is None
        assert store.begin(lease, "unknown", "id", NOW) is None
        assert store.settle(lease, "unknown", "id", Posted(ts="1.0", threaded=False), NOW) is None
        assert store.due(CHANNEL, NOW) == []


class TestHousekeeping:
    """Reading, counting, closing, forgetting."""

    def test_unknown_key_is_none(self, store: Store) -> None:
        """Only a thread that does not exist reads as none."""
        assert store.read("a") is None

    def test_counts_and_lists(self, store: Store) -> None:
        """All threads, those with something to tell, and the oldest of these."""
        store.update([change("a", "1")], NOW)
        store.update([change("b", "1")], NOW + 5)
        counts = store.counts(NOW)
        assert (counts.threads, counts.pending, counts.oldest_pending) == (2, 2, NOW)
        assert {thread.key for thread in store.threads()} == {"a", "b"}

    def test_open_threads_fire(self, store: Store, reopen: Callable[[], Store]) -> None:
        """Open is a thread of which an alert fires, until it resolves, turns stale or is forgotten."""
        store.update([change(key, "1") for key in ("a", "b", "c")], NOW)
        store.update([change("resolved", "1", status=Status.RESOLVED)], NOW)
        store.insert([thread_of("bare", "1.0")], replace=False)
        assert store.counts(NOW).open == 3
        store.update([change("a", "1", status=Status.RESOLVED)], NOW)
        assert store.counts(NOW).open == 2
        store.update([change("b", "2")], NOW + POLICY_STALE)
        store.expire(NOW + POLICY_STALE)
        assert store.counts(NOW).open == 1
        kept = reopen()
        assert kept.counts(NOW).open == 1
        kept.forget(NOW)
        assert kept.counts(NOW).open == 0

    def test_closed_threads_are_dropped(self, store: Store) -> None:
        """A day after the resolution nothing is left."""
        store.update([change("a", "1", status=Status.RESOLVED), change("b", "1")], NOW)
        post(store, "a", "1.0")
        store.expire(NOW + 86_400)
        assert {thread.key for thread in store.threads()} == {"b"}

    def test_forgets_what_is_told_only(self, store: Store, reopen: Callable[[], Store]) -> None:
        """What is still to be told stays until it is."""
        store.update([change("a", "1"), change("b", "1")], NOW)
        post(store, "a", "1.0")
        assert store.forget(NOW) == 1
        kept = reopen()
        assert [thread.key for thread in kept.threads()] == ["b"]
        assert [due.key for due in kept.due(CHANNEL, NOW)] == ["b"]

    def test_update_of_the_root_is_kept(self, store: Store) -> None:
        """After a resolution the root is edited once."""
        store.update([change("a", "1")], NOW)
        post(store, "a", "1.0")
        store.update([change("a", "1", status=Status.RESOLVED)], NOW)
        post(store, "a", "2.0")
        lease = claim(store)
        begun = store.begin(lease, "a", "edit", NOW)
        assert begun is not None
        assert begun[1].step is Step.UPDATE_ROOT
        store.settle(lease, "a", "edit", Updated(ts=begun[0].ts, shown=begun[1].shown), NOW)
        assert store.due(CHANNEL, NOW + 60) == []

    def test_healthy_store_pings(self, store: Store) -> None:
        """A change could be stored."""
        store.ping()

    def test_lists_the_stamps(self, store: Store) -> None:
        """Of the threads that Slack has, by key."""
        store.update([change("a", "1"), change("b", "1")], NOW)
        post(store, "a", "1.0")
        assert store.stamps() == {"a": "1.0"}

    def test_silent_thread_becomes_stale(self, store: Store) -> None:
        """Nobody has to write to it."""
        store.update([change("a", "1")], NOW)
        post(store, "a", "1.0")
        store.expire(NOW + 8 * 86_400)
        thread = store.read("a")
        assert thread is not None
        assert thread.stale
