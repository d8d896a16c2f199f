"""How long a store takes: what is slow, and what is only one slow moment."""

import logging
from collections.abc import Iterable
from contextlib import suppress

import pytest

from alert_threader.store.pace import Pace


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the pace."""
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """A pace of which nothing is known yet."""
    return Pace("the disk takes {seconds:.1f} s", clock)


def took(pace: Pace, clock: Clock, seconds: Iterable[float]) -> None:
    """Let changes take so long, one after the other."""
    for each in seconds:
        with pace.measured():
            clock.now += each


@pytest.mark.parametrize(
    ("seconds", "warning"),
    [
        ([], None),
        ([3.5], None),
        ([3.5, 3.5], None),
        ([0.9, 0.9, 0.9, 0.9, 0.9], None),
        ([3.5, 3.6, 3.7], "the disk takes 3.5 s"),
        ([3.5, 0.1, 3.6, 0.1, 3.7], "the disk takes 3.5 s"),
        ([0.1, 3.5, 0.1, 3.6, 0.1], None),
        ([3.5, 3.5, 3.5, 3.5, 3.5, 0.1, 0.1, 0.1], None),
    ],
)
def test_slow_is_what_is_so_several_times(pace: Pace, clock: Clock, seconds: list[float], warning: str | None) -> None:
    """One slow change is no condition; three of the last five are, and as many fast ones end it."""
    took(pace, clock, seconds)
    assert pace.warning == warning


def test_old_changes_count_no_more(pace: Pace, clock: Clock) -> None:
    """On a quiet day nobody knows what the disk does now."""
    took(pace, clock, [3.5, 3.5, 3.5])
    clock.now += 601
    assert (pace.warning, pace.seconds) == (None, 0)


def test_change_that_hangs_is_seen_while_it_does(pace: Pace, clock: Clock) -> None:
    """Nothing has ended yet, and it is said all the same; some seconds later nobody waits for it any more."""
    with pace.measured():
        clock.now += 4
        assert (pace.warning, pace.stands_still) == (None, False)
        clock.now += 2
        assert (pace.warning, pace.stands_still) == ("the disk takes 6.0 s", False)
        clock.now += 5
        assert (pace.warning, pace.stands_still, pace.seconds) == ("the disk takes 11.0 s", True, 11)
    assert (pace.warning, pace.stands_still) == (None, False)


def test_failure_counts_only_where_it_took_long(pace: Pace, clock: Clock) -> None:
    """A server that refuses at once is another trouble; one that lets a change wait until it times out is slow."""
    for seconds in (0.1, 0.1, 0.1, 1.5, 1.5, 1.5):
        assert pace.warning is None
        with suppress(OSError), pace.measured():
            clock.now += seconds
            raise OSError
    assert pace.warning == "the disk takes 1.5 s"


def test_logged_once(pace: Pace, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It is said when it begins and when it ends, not with every change."""
    with caplog.at_level(logging.WARNING, "alert_threader"):
        took(pace, clock, [3.5] * 9)
        took(pace, clock, [0.1] * 9)
    assert caplog.messages == ["the disk takes 3.5 s", "changes are stored as fast as before"]
