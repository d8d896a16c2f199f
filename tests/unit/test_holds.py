"""What a lane holds back after failures, and with which thread it goes on."""

import pytest

from alert_threader.delivery.holds import Holds
from alert_threader.delivery.pacing import LOOK_UP, POST
from alert_threader.delivery.retry import Verdict
from alert_threader.store.base import Due
from alert_threader.threads import Action, NotFound, Posted, Step, Unknown, Wait

#: What failed, another like it, and one that is more severe.
FAILED, ALIKE, CRITICAL = (
    Due(key, Action(step=Step.POST_ROOT, at=0, since=0, rank=(severity, 1, 0)))
    for key, severity in (("failed", 2), ("alike", 2), ("critical", 0))
)
WORKS = Verdict(outcome=Posted(ts="1.0", threaded=False), works=(POST,))


def fails(seconds: float, **more: float) -> Verdict:
    """A failure after which its method waits."""
    return Verdict(outcome=Unknown(error="503", retry=Wait(seconds, seconds)), hold=seconds, **more)  # type: ignore[arg-type]


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Holds:
    """A post has failed, at the time 0."""
    monkeypatch.setattr("time.monotonic", lambda: 1.0)
    holds = Holds()
    holds.called(POST, FAILED, fails(1), 0)
    return holds


def test_a_method_that_failed_waits_for_everybody(holds: Holds) -> None:
    """Another method does not."""
    assert holds.is_in_trouble
    for item in (FAILED, ALIKE, CRITICAL):
        assert holds.wait(POST, item, 0.4) == pytest.approx(0.6)
        assert holds.wait("chat.update", item, 0.4) == 0


def test_it_is_tried_again_with_what_failed_or_is_more_severe(holds: Holds) -> None:
    """Each further failure would leave one more outcome unknown."""
    assert [holds.wait(POST, item, 1) for item in (FAILED, ALIKE, CRITICAL)] == [0, 2.5, 0]


def test_what_failed_is_waited_for_while_it_is_looked_up(holds: Holds) -> None:
    """A look-up that fails is a try too, and so is one that finds nothing."""
    holds.called(LOOK_UP, FAILED, fails(3), 1)
    assert [holds.wait(POST, item, 3.9) for item in (FAILED, ALIKE)] == pytest.approx([0.1, 0.1])
    holds.called(LOOK_UP, FAILED, Verdict(outcome=NotFound(), works=(LOOK_UP,)), 4)
    assert [holds.wait(POST, item, 4) for item in (FAILED, ALIKE)] == [0, 3.5]


def test_another_is_tried_when_it_does_not_come(holds: Holds) -> None:
    """Its thread is gone, say."""
    assert holds.wait(POST, ALIKE, 3.5) == 0


def test_first_success_lets_all_go_on(holds: Holds) -> None:
    """And says that it did: then other channels can go on too."""
    assert holds.called(POST, CRITICAL, WORKS, 1)
    assert not holds.is_in_trouble
    assert holds.wait(POST, ALIKE, 1) == 0
    assert not holds.called(POST, CRITICAL, WORKS, 1)


def test_success_of_another_method_proves_nothing(holds: Holds) -> None:
    """A channel can be read though nothing can be posted in it."""
    assert not holds.called(LOOK_UP, ALIKE, Verdict(outcome=NotFound(), works=(LOOK_UP,)), 1)
    assert holds.is_in_trouble


def test_a_pause_is_for_all_methods_and_ends_with_a_success(holds: Holds) -> None:
    """The token is refused, say."""
    holds.called(POST, FAILED, fails(0, pause=5), 2)
    assert holds.wait("chat.update", CRITICAL, 2) == 5
    assert holds.called("chat.update", CRITICAL, Verdict(outcome=WORKS.outcome, works=("chat.update",)), 7)


def test_what_works_elsewhere_is_tried_at_once(holds: Holds) -> None:
    """Slack, or the way to it, was to blame."""
    holds.release((POST,))
    assert not holds.is_in_trouble
    assert holds.wait(POST, ALIKE, 0.1) == 0


def test_limit_is_of_one_method(holds: Holds) -> None:
    """For as long as Slack asks."""
    holds.called("chat.update", FAILED, fails(0, limit=7), 0)
    assert holds.wait("chat.update", CRITICAL, 1) == 6
    assert holds.wait(LOOK_UP, CRITICAL, 1) == 0


def test_what_is_the_channels_own_fault_waits_whatever_works_elsewhere(holds: Holds) -> None:
    """An archived channel is not tried each time that another one recovers, and its return says nothing of others."""
    holds.called(POST, FAILED, fails(0, pause=60, is_own=True), 2)
    holds.release((POST,))
    assert holds.wait(POST, FAILED, 3) == 59
    assert not holds.called("chat.update", CRITICAL, Verdict(outcome=WORKS.outcome, works=("chat.update",)), 63)


def test_a_look_up_that_was_given_up_holds_nothing_back(holds: Holds) -> None:
    """Its message was posted again, and is there."""
    holds.called(LOOK_UP, FAILED, fails(3), 1)
    assert holds.called(POST, FAILED, WORKS, 11)
    assert not holds.is_in_trouble
    assert holds.wait(LOOK_UP, ALIKE, 11) == 0


def test_what_nobody_tries_any_more_is_no_trouble(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that failed, and then was not needed."""
    holds.called("chat.update", FAILED, fails(3), 1)
    assert holds.is_in_trouble
    monkeypatch.setattr("time.monotonic", lambda: 12.0)
    assert not holds.is_in_trouble


def _fail(holds: Holds, item: Due, *at: float, method: str = POST) -> None:
    for now in at:
        holds.called(method, item, fails(1), now)


class TestOneThreadThatAlwaysFails:
    """Its text is what Slack cannot take, say: it must not stand in the way of its channel."""

    def test_another_gets_its_turn(self, holds: Holds) -> None:
        """However often it is tried meanwhile, and before it, though it is more severe; nobody else before that."""
        _fail(holds, CRITICAL, 1, 2)
        assert list(holds.in_turn([CRITICAL, ALIKE], lambda _: POST, 4)) == [CRITICAL, ALIKE]
        _fail(holds, CRITICAL, 3, 5)
        assert holds.wait(POST, ALIKE, 6) == 0
        assert list(holds.in_turn([CRITICAL, ALIKE], lambda _: POST, 6)) == [ALIKE, CRITICAL]

    def test_in_an_outage_one_more_every_few_seconds(self, holds: Holds) -> None:
        """The next one waits, though the first two are tried again and again."""
        _fail(holds, CRITICAL, 1, 2, 3, 5)
        _fail(holds, ALIKE, 6)
        third = Due("third", ALIKE.action)
        for now in (7.0, 8.0, 9.0):
            assert [holds.wait(POST, item, now) > 0 for item in (CRITICAL, ALIKE, third)] == [False, False, True]
            _fail(holds, CRITICAL, now)
        assert next(iter(holds.in_turn([CRITICAL, ALIKE, third], lambda _: POST, 10))) is third
        assert holds.wait(POST, third, 10) == 0

    def test_afterwards_it_waits_alone(self, holds: Holds) -> None:
        """Once another has succeeded it holds nobody back, and waits longer each time."""
        _fail(holds, CRITICAL, 1, 2, 3, 5)
        holds.called(POST, ALIKE, WORKS, 6)
        third = Due("third", ALIKE.action)
        for now, wait in ((6, 3), (9, 6), (15, 12), (27, 24), (51, 48), (99, 60), (159, 60)):
            assert holds.wait(POST, CRITICAL, now) == 0
            _fail(holds, CRITICAL, now)
            assert holds.wait(POST, CRITICAL, now) == wait
            assert holds.wait(POST, third, now) == 0

    def test_until_it_succeeds(self, holds: Holds) -> None:
        """Then it is like any other."""
        _fail(holds, CRITICAL, 1, 2, 3, 5)
        holds.called(POST, ALIKE, WORKS, 6)
        holds.called(POST, CRITICAL, WORKS, 6)
        _fail(holds, CRITICAL, 7)
        assert holds.wait(POST, ALIKE, 7) > 0

    def test_edits_too(self, holds: Holds) -> None:
        """Each method for itself."""
        _fail(holds, CRITICAL, 1, 2, 3, 5, method="chat.update")
        assert holds.wait("chat.update", ALIKE, 6) == 0
