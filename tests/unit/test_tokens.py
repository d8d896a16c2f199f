"""How many calls may be made, and when, as Slack counts them."""

import random

import pytest

from alert_threader.store.tokens import Bucket, Budget

#: Posts to one channel, as they are by default.
POSTS = Budget(rate=1, burst=3)


def test_burst_then_the_rate() -> None:
    """Three at once, from the very start, then one a second."""
    bucket = Bucket(POSTS, 0)
    sent = []
    now = 10.0
    while now < 15:
        wait = bucket.take(now)
        if wait == 0:
            sent.append(now)
        now += wait
    assert sent == pytest.approx([10, 10, 10, 11, 12, 13, 14], abs=0.01)


def test_what_a_former_process_used_is_used() -> None:
    """It ended in the middle of a storm; the wait is never longer than after a whole burst."""
    assert Bucket(POSTS, 100, full_at=102.5).take(100) == pytest.approx(0.5)
    assert Bucket(POSTS, 100, full_at=99).take(100) == 0
    assert Bucket(POSTS, 100, full_at=1e9).take(100) == pytest.approx(1)


def test_refused_take_costs_nothing() -> None:
    """Asking again and again does not push the next token away."""
    bucket = Bucket(Budget(rate=1, burst=1), 0)
    assert bucket.take(0) == 0
    assert [bucket.take(0.5), bucket.take(0.5), bucket.take(1)] == [0.5, 0.5, 0]


@pytest.mark.parametrize("seed", range(20))
def test_slow_calls_never_outrun_the_pace_that_slack_sees(seed: int) -> None:
    """A call arrives some time between being sent and being answered; Slack's own burst is no larger than ours."""
    chance = random.Random(seed)
    ours, slack = Bucket(POSTS, 0), Bucket(POSTS, 0)
    now = 0.0
    for _ in range(60):
        while wait := ours.take(now):
            now += wait
        took = chance.choice([0.01, 0.1, 0.8, 2.5]) * chance.random()
        assert slack.take(now + took * chance.random()) == 0, "429"
        now += took
        ours.arrived(now)
        now += chance.choice([0, 0, 0, 5]) * chance.random()


def test_a_slow_answer_is_paid_once_in_a_burst() -> None:
    """Forty posts of 0.2 s each take 37 s, not 37 times 1.2 s."""
    bucket = Bucket(POSTS, 0)
    now = 0.0
    for _ in range(40):
        while wait := bucket.take(now):
            now += wait
        now += 0.2
        bucket.arrived(now)
    assert now == pytest.approx(37.4, abs=0.05)
