"""The connection ends between a command's effect and its answer: to send it again changes nothing twice."""

from collections.abc import Iterator

import pytest

from alert_threader.store import Threads
from alert_threader.threads import Failed, Posted, Reason, Step
from harness.proxy import Proxy
from harness.servers import HOST, RedisServer
from tests.build import NOW
from tests.stores.redis.kit import BUDGET, Open, failure_of, wait_until
from tests.stores.sending import LANE, claimed, deliver, failed, fires, kept


class TestLostAnswers:
    """The connection ends between a command's effect and its answer: to send it again changes nothing twice."""

    @pytest.fixture
    def proxy(self, server: RedisServer) -> Iterator[Proxy]:
        """What stands between the store and Redis."""
        with Proxy(server.port) as between:
            yield between

    @pytest.fixture
    def far(self, verbs: Threads, proxy: Proxy, open_verbs: Open) -> Threads:
        """The store behind it, whose scripts Redis knows."""
        verbs.notify([fires("warm-up", "1")], NOW)
        deliver(verbs, "warm-up", "0.1")
        return open_verbs(f"redis://{HOST}:{proxy.port}/0")

    def test_notify(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """The webhook gets an error, and is a duplicate when it is sent again."""
        for change_, reason in (
            (fires("a", "1"), Reason.OPENED),
            (fires("a", "1", "2"), Reason.FIRED),
            (fires("a", "1", status="resolved"), Reason.RESOLVED),
        ):
            proxy.cut_once(b"EVALSHA")
            failure_of(lambda change_=change_: far.notify([change_], NOW))  # type: ignore[misc]
            assert proxy.happened, reason
            after = kept(verbs.store)
            assert [each.reason for each in far.notify([change_], NOW)] == [Reason.DUPLICATE]
            assert kept(verbs.store) == after
        assert [event.changes for event in kept(verbs.store).pending.events.values()] == [1, 2]

    def test_notify_several(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """What was written before the cut is a duplicate, the rest is taken."""
        both = [fires("a", "1"), fires("b", "1")]
        proxy.cut_once(b"EVALSHA", b"-record:b")
        failure_of(lambda: far.notify(both, NOW))
        assert {each.reason for each in far.notify(both, NOW)} == {Reason.DUPLICATE}
        assert len(kept(verbs.store, "a").pending.events) == len(kept(verbs.store, "b").pending.events) == 1

    def test_start(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """The attempt stands: what comes next is to look it up, not a second one."""
        far.notify([fires("a", "1")], NOW)
        lease = claimed(far.store)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.start_attempt(lease, "a", "first", NOW))
        assert proxy.happened
        started = far.start_attempt(lease, "a", "second", NOW + 60)
        assert started is not None
        assert started.step is Step.LOOK_UP
        assert started.thread.attempt is not None
        assert started.thread.attempt.id == "first"
        assert kept(verbs.store).attempt == started.thread.attempt

    @pytest.mark.parametrize(
        "outcome",
        [Posted(ts="1.0", threaded=False), failed(NOW), failed(NOW, simpler=True)],
        ids=["posted", "failed", "simpler"],
    )
    def test_record(self, far: Threads, verbs: Threads, proxy: Proxy, outcome: Posted | Failed) -> None:
        """The outcome is recorded once, a failure is counted once."""
        far.notify([fires("a", "1")], NOW)
        lease = claimed(far.store)
        far.start_attempt(lease, "a", "id", NOW)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.record_outcome(lease, "a", "id", outcome, NOW))
        assert proxy.happened
        after = kept(verbs.store)
        far.record_outcome(lease, "a", "id", outcome, NOW)
        assert kept(verbs.store) == after

    def test_claim(self, far: Threads, verbs: Threads, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody has the lease, and after its time to live somebody can take it."""
        monkeypatch.setattr("alert_threader.store.redis.leases.LEASE_TTL", 0.5)
        proxy.cut_once(b"-lease:")
        failure_of(lambda: far.store.claim(LANE))
        assert proxy.happened
        assert verbs.store.claim(LANE) is None
        wait_until(lambda: far.store.claim(LANE) is not None)

    def test_renew_and_release(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """A lease that is renewed twice is held; to give it back twice does not take it from the next one."""
        lease = claimed(far.store)
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.store.renew(lease))
        far.store.renew(lease)
        assert verbs.store.claim(LANE) is None
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.store.release(lease))
        theirs = claimed(verbs.store)
        far.store.release(lease)
        verbs.store.renew(theirs)

    def test_take(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """A token that nobody heard of is gone: rather too slow than too fast."""
        assert far.store.take("posts", BUDGET) == 0
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.store.take("posts", BUDGET))
        assert proxy.happened
        assert far.store.take("posts", BUDGET) > 0
        assert 0 < verbs.store.take("posts", BUDGET) <= 2 / BUDGET.rate

    def test_forget(self, far: Threads, verbs: Threads, proxy: Proxy) -> None:
        """What is forgotten stays forgotten."""
        far.notify([fires("a", "1")], NOW)
        deliver(verbs, "a", "1.0")
        proxy.cut_once(b"EVALSHA")
        failure_of(lambda: far.forget(NOW))
        far.forget(NOW)
        assert verbs.store.counts().threads == 0
        assert verbs.store.stamps() == {}
