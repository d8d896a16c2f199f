"""More alerts than one message can name: a few more messages name them, once nothing more pressing waits."""

import re

import pytest

from alert_threader.formatter import render
from alert_threader.threads import (
    AlertThread,
    Batch,
    Failed,
    Outcome,
    Policy,
    Posted,
    Step,
    Updated,
    Wait,
    apply,
    next_step,
    plan,
    record_outcome,
    shown_now,
    start_attempt,
)
from alert_threader.threads.plan import is_delivered
from tests.build import NOW, alert, change

POLICY = Policy()


def thread_of(count: int) -> AlertThread:
    """A thread in which so many alerts fire, nothing of it delivered."""
    return apply(None, change(*(alert(f"host{n:04}.example.net") for n in range(count))), NOW, POLICY).thread


def deliver(thread: AlertThread, *, fail: bool = False) -> tuple[AlertThread, Step | None, set[str]]:
    """Make the thread's next call; the names that its message says."""
    now = max([NOW, *(action.at for action in plan(thread, POLICY).actions.values())])
    thread, step = start_attempt(thread, f"id{now}{len(thread.unnamed)}", now, POLICY)
    if step is None:
        return thread, None, set()
    message = render(thread, step, thread.attempt.batch if thread.attempt else Batch(), environment="production")
    names = set(re.findall(r"host\d{4}", str(message["attachments"])))
    outcome: Outcome = Posted(ts="1.0", threaded=True)
    if step is Step.UPDATE_ROOT:
        outcome = Updated(ts=thread.ts, shown=shown_now(thread))
    elif fail:
        outcome = Failed(error="x", retry=Wait(now + 5, 5))
    return record_outcome(thread, thread.under_way, outcome, now, POLICY), step, names


@pytest.mark.parametrize(("count", "replies"), [(10, 0), (60, 0), (150, 1), (300, 3)])
def test_every_alert_is_named(count: int, replies: int) -> None:
    """In the first message as many as it has room for, the others in replies."""
    thread, step, named = deliver(thread_of(count))
    assert step is Step.POST_ROOT
    for _ in range(replies):
        thread, step, names = deliver(thread)
        assert step is Step.POST_REPLY
        named |= names
    assert next_step(thread) is None
    assert len(named) == count


def test_more_than_three_replies_is_too_much() -> None:
    """What they have no room for is counted, with a link, in the first message."""
    thread, _, _ = deliver(thread_of(2000))
    steps = []
    while next_step(thread) is not None:
        thread, step, _ = deliver(thread)
        steps.append(step)
    assert steps == [Step.POST_REPLY] * 3
    root = render(thread, Step.UPDATE_ROOT, Batch(), environment="production")
    assert re.search(r"\+\d{4} more", str(root))


def test_what_fails_is_named_later() -> None:
    """A reply that Slack refused is made again, with the same names."""
    thread, _, named = deliver(thread_of(150))
    thread, _, lost = deliver(thread, fail=True)
    thread, _, again = deliver(thread)
    assert again == lost
    assert len(named | again) == 150


def test_nobody_waits_for_names() -> None:
    """All other threads go first, the sender has its answer, and news of the same thread is told before."""
    thread, _, _ = deliver(thread_of(150))
    (naming,) = plan(thread, POLICY).actions.values()
    info = apply(None, change(alert(labels={"alertname": "A", "severity": "debug"})), NOW + 99, POLICY).thread
    (other,) = plan(info, POLICY).actions.values()
    assert other.rank < naming.rank
    assert is_delivered(thread, NOW)
    thread = apply(thread, change(alert("late")), NOW + 10, POLICY).thread
    thread, step, _ = deliver(thread)
    assert step is Step.POST_REPLY
    assert thread.unnamed


def test_end_of_all_names_them_once() -> None:
    """What a resolution tells need not be named again by what was left of the opening."""
    thread, _, _ = deliver(thread_of(150))
    over = [alert(each, "resolved") for each in thread.alerts]
    thread = apply(thread, change(*over), NOW + 60, POLICY).thread
    steps, named = [], set()
    while next_step(thread) is not None:
        thread, step, names = deliver(thread)
        steps.append(step)
        named |= names
    assert len(named) == 150
    assert steps == [Step.POST_REPLY, Step.UPDATE_ROOT, Step.POST_REPLY]
