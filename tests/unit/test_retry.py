"""How fast to speak to Slack, and how to go on after a failure."""

import pytest

from alert_threader.delivery.retry import Verdict, backoff, judge, judge_fault
from alert_threader.slack.failures import TOO_MANY, FailureKind, SlackError
from alert_threader.store.tokens import Bucket, Budget
from alert_threader.threads import (
    MAX_SIMPLE,
    AlertThread,
    Failed,
    NotFound,
    RootGone,
    Step,
    Unknown,
    Updated,
    Wait,
    shown_now,
)

NOW = 1000.0


def verdict(
    kind: FailureKind, step: Step = Step.POST_REPLY, code: str = "code", failures: int = 0, **how: object
) -> Verdict:
    """Judge a failure of a step of a thread that has failed so often in a row."""
    return judge(
        SlackError(kind, code, "text", **how),  # type: ignore[arg-type]  # a test's table
        AlertThread(key="k", channel="C", failures=failures, simple=int(bool(how.pop("simple", 0)))),
        step,
        now=NOW,
        chance=0,
        failures=failures + 1,
        call_timeout=10,
    )


def test_rate_limit_holds_back_its_method_only() -> None:
    """For as long as Slack asks; the message is due again at once."""
    judged = verdict(FailureKind.RATE_LIMITED, retry_after=7)
    assert (judged.limit, judged.pause, judged.trouble) == (7, 0, False)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW, 0))


def test_lost_answer_is_looked_up() -> None:
    """A post that Slack may have taken is not sent again before that, and not before Slack is surely done with it."""
    judged = verdict(FailureKind.TRANSIENT, outcome_unknown=True)
    assert judged.outcome == Unknown(error="text", retry=Wait(NOW + 10, 10))
    assert judged.pause == 1


def test_refused_connection_is_tried_again() -> None:
    """Nothing to look up."""
    assert verdict(FailureKind.TRANSIENT).outcome == Failed(error="text", retry=Wait(NOW + 1, 1))


def test_lost_edit_is_made_again_when_slack_has_ended_its_work() -> None:
    """Sooner, the lost one could land on top of a newer one."""
    outcome = verdict(FailureKind.TRANSIENT, Step.UPDATE_ROOT, outcome_unknown=True).outcome
    assert isinstance(outcome, Unknown)
    assert outcome.retry == Wait(NOW + 10, 10)


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.DESTINATION])
def test_what_a_person_must_mend_is_kept_and_tried_slowly(kind: FailureKind) -> None:
    """The whole channel waits, nothing is dropped, and it is named as trouble."""
    judged = verdict(kind)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW, 0))
    assert (judged.pause, judged.trouble) == (5, True)
    assert verdict(kind, failures=9).pause == 60


@pytest.mark.parametrize("code", ["missing_scope", "not_in_channel", TOO_MANY])
def test_without_sight_of_the_channel_it_is_posted_again(code: str) -> None:
    """A duplicate beats a loss."""
    judged = verdict(FailureKind.AUTH, Step.LOOK_UP, code=code)
    assert (judged.outcome, judged.blind, judged.trouble) == (NotFound(), True, False)


def test_look_up_that_is_always_refused_is_given_up() -> None:
    """The thread must not be silent for ever; a duplicate beats a loss."""
    for kind in (FailureKind.UNKNOWN_CODE, FailureKind.PAYLOAD, FailureKind.GONE):
        assert verdict(kind, Step.LOOK_UP, failures=8).outcome == NotFound()
    for kind in (FailureKind.TRANSIENT, FailureKind.AUTH):
        assert isinstance(verdict(kind, Step.LOOK_UP, failures=100).outcome, Unknown)


def test_failed_look_up_is_no_answer() -> None:
    """The attempt still stands."""
    for kind in (
        FailureKind.TRANSIENT,
        FailureKind.RATE_LIMITED,
        FailureKind.AUTH,
        FailureKind.GONE,
        FailureKind.UNKNOWN_CODE,
        FailureKind.PAYLOAD,
    ):
        assert isinstance(verdict(kind, Step.LOOK_UP).outcome, Unknown)


def test_refused_form_becomes_simpler_at_once() -> None:
    """And goes out before anything else is tried."""
    assert verdict(FailureKind.PAYLOAD).outcome == Failed(error="text", retry=Wait(NOW, 0), simpler=True)


def test_simplest_form_that_is_refused_waits() -> None:
    """There is nothing simpler, so do not storm Slack with it."""
    thread = AlertThread(key="k", channel="C", simple=MAX_SIMPLE)
    error = SlackError(FailureKind.PAYLOAD, "no_text", "text")
    judged = judge(error, thread, Step.POST_ROOT, now=NOW, chance=0, failures=1, call_timeout=10)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW + 5, 5), simpler=True)


def test_pause_of_an_outage_is_short() -> None:
    """However many threads fail, Slack is asked again soon after it is back."""
    assert verdict(FailureKind.TRANSIENT, failures=20).pause == 15


def test_unknown_code_is_taken_for_the_forms_fault_in_the_end() -> None:
    """First it is tried again as it is."""
    first, third = verdict(FailureKind.UNKNOWN_CODE).outcome, verdict(FailureKind.UNKNOWN_CODE, failures=2).outcome
    assert isinstance(first, Failed)
    assert isinstance(third, Failed)
    assert (first.simpler, third.simpler) == (False, True)


def test_deleted_root_is_gone() -> None:
    """The thread needs another."""
    assert verdict(FailureKind.GONE, Step.UPDATE_ROOT).outcome == RootGone(ts=None)


def test_root_that_may_not_be_edited_is_left() -> None:
    """Workspaces can forbid edits; trying for ever would not help."""
    thread = AlertThread(key="k", channel="C")
    assert verdict(FailureKind.UNEDITABLE, Step.UPDATE_ROOT).outcome == Updated(ts=None, shown=shown_now(thread))


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_is_judged(kind: FailureKind, step: Step) -> None:
    """None is forgotten, and none but those that Slack has settled for good is the end of a call."""
    outcome = verdict(kind, step).outcome
    settled = {
        (FailureKind.GONE, Step.POST_REPLY): RootGone,
        (FailureKind.GONE, Step.UPDATE_ROOT): RootGone,
        (FailureKind.UNEDITABLE, Step.UPDATE_ROOT): Updated,
    }
    assert isinstance(outcome, settled.get((kind, step), Unknown if step is Step.LOOK_UP else Failed))


def test_own_fault_in_making_a_message_makes_it_simpler() -> None:
    """No alert is lost to a bug in the formatter."""
    thread = AlertThread(key="k", channel="C")
    judged = judge_fault(KeyError("x"), thread, now=NOW, chance=0)
    assert judged.outcome == Failed(error="KeyError('x')", retry=Wait(NOW, 0), simpler=True)


def test_backoff_doubles_up_to_a_minute() -> None:
    """With up to half of it taken off by chance."""
    assert [backoff(n, 0) for n in (1, 2, 3, 7, 8, 1000)] == [1, 2, 4, 60, 60, 60]
    assert backoff(1, 1) == 0.5
    assert backoff(1, 0, slow=True) == 5


def test_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    """Three at once after a pause, then one a second."""
    bucket = Bucket(Budget(rate=1, burst=3), 0)
    sent = []
    now = 10.0
    while now < 15:
        wait = bucket.take(now)
        if wait == 0:
            sent.append(now)
        now += wait
    assert sent == pytest.approx([10, 10, 10, 11, 12, 13, 14], abs=0.01)


def test_bucket_begins_with_one_token() -> None:
    """The process before this one may just have used the others."""
    bucket = Bucket(Budget(rate=1, burst=3), 0)
    assert [bucket.take(0), bucket.take(0)] == [0, 1]


def test_refused_take_costs_nothing() -> None:
    """Asking again and again does not push the next token away."""
    bucket = Bucket(Budget(rate=1, burst=1), 0)
    assert bucket.take(0) == 0
    assert [bucket.take(0.5), bucket.take(0.5), bucket.take(1)] == [0.5, 0.5, 0]
