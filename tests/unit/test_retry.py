"""How fast to speak to Slack, and how to go on after a failure."""

import pytest

from alert_threader.delivery.retry import Verdict, backoff, judge, judge_fault
from alert_threader.slack.failures import TOO_MANY, FailureKind, SlackError
from alert_threader.threads import (
    MAX_SIMPLE,
    AlertThread,
    Attempt,
    Batch,
    CopiesRemoved,
    Failed,
    NotFound,
    RootGone,
    Shown,
    Step,
    Uneditable,
    Unknown,
    Wait,
)
from alert_threader.threads.answers import UncertainPost

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
    )


def test_rate_limit_holds_back_its_method_only() -> None:
    """For as long as Slack asks; the message is due again at once."""
    judged = verdict(FailureKind.RATE_LIMITED, retry_after=7)
    assert (judged.limit, judged.pause, judged.trouble) == (7, 0, False)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW, 0))


def test_lost_answer_is_looked_up() -> None:
    """A post that Slack may have taken is not sent again before that, a second later, however long Slack is away."""
    for failures in (0, 9):
        judged = verdict(FailureKind.TRANSIENT, outcome_unknown=True, failures=failures)
        assert judged.outcome == Unknown(error="text", retry=Wait(NOW + 1, 1))
        assert (judged.hold, judged.pause) == (1, 0)


def test_refused_connection_is_tried_again() -> None:
    """Nothing to look up."""
    assert verdict(FailureKind.TRANSIENT).outcome == Failed(error="text", retry=Wait(NOW + 1, 1))


def test_lost_edit_is_made_again_at_once() -> None:
    """An edit can be repeated; the second time it is spaced."""
    first = verdict(FailureKind.TRANSIENT, Step.UPDATE_ROOT, outcome_unknown=True)
    assert (first.outcome, first.hold) == (Unknown(error="text", retry=Wait(NOW, 0)), 0)
    second = verdict(FailureKind.TRANSIENT, Step.UPDATE_ROOT, outcome_unknown=True, failures=1)
    assert (second.outcome, second.hold) == (Unknown(error="text", retry=Wait(NOW + 2, 2)), 2)


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


def test_look_up_that_is_refused_is_given_up() -> None:
    """It would be refused the next time too, and a copy can be removed."""
    for kind in (FailureKind.UNKNOWN_CODE, FailureKind.PAYLOAD, FailureKind.GONE):
        assert verdict(kind, Step.LOOK_UP).outcome == NotFound()


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.RATE_LIMITED, FailureKind.AUTH])
def test_look_up_without_an_answer_is_given_up_after_ten_seconds(kind: FailureKind) -> None:
    """Late is nearly lost."""
    for ago, expected in ((9.9, Unknown), (10, NotFound)):
        attempt = Attempt(
            id="id",
            step=Step.POST_ROOT,
            at=NOW - 60,
            look_up_at=NOW,
            unknown_since=NOW - ago,
            batch=Batch(),
            shown=Shown(),
        )
        thread = AlertThread(key="k", channel="C", attempt=attempt)
        judged = judge(SlackError(kind, "c", "t"), thread, Step.LOOK_UP, now=NOW, chance=0, failures=9)
        assert isinstance(judged.outcome, expected)


def test_failed_look_up_is_no_answer() -> None:
    """The attempt still stands."""
    for kind in (
        FailureKind.TRANSIENT,
        FailureKind.RATE_LIMITED,
        FailureKind.AUTH,
    ):
        assert isinstance(verdict(kind, Step.LOOK_UP).outcome, Unknown)


def test_refused_form_becomes_simpler_at_once() -> None:
    """And goes out before anything else is tried."""
    assert verdict(FailureKind.PAYLOAD).outcome == Failed(error="text", retry=Wait(NOW, 0), simpler=True)


def test_simplest_form_that_is_refused_waits() -> None:
    """There is nothing simpler, so do not storm Slack with it."""
    thread = AlertThread(key="k", channel="C", simple=MAX_SIMPLE)
    error = SlackError(FailureKind.PAYLOAD, "no_text", "text")
    judged = judge(error, thread, Step.POST_ROOT, now=NOW, chance=0, failures=1)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW + 5, 5), simpler=True)


def test_pause_of_an_outage_is_short() -> None:
    """However many calls fail, Slack is asked again within three seconds, by a look-up too."""
    assert verdict(FailureKind.TRANSIENT, failures=20).hold == 3
    assert verdict(FailureKind.TRANSIENT, Step.LOOK_UP, failures=20).hold == 3


def test_late_copies_are_looked_for_later_where_that_may_help() -> None:
    """Nothing waits for them; a refusal ends it."""
    post = UncertainPost(id="id", at=NOW)
    thread = AlertThread(key="k", channel="C", uncertain_posts=(post,))
    for kind in FailureKind:
        judged = judge(SlackError(kind, "c", "t"), thread, Step.REMOVE_COPIES, now=NOW, chance=0, failures=1)
        is_later = kind in (FailureKind.RATE_LIMITED, FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.DESTINATION)
        expected = CopiesRemoved(ids=(), retry=Wait(NOW + 20, 20)) if is_later else CopiesRemoved(ids=("id",))
        assert (judged.outcome, judged.hold, judged.pause, judged.trouble) == (expected, 0, 0, False)


def test_a_refused_pass_ends_only_for_posts_whose_time_has_come() -> None:
    """One that was made a second ago may still arrive."""
    posts = (UncertainPost(id="old", at=NOW - 1), UncertainPost(id="new", at=NOW + 24))
    thread = AlertThread(key="k", channel="C", uncertain_posts=posts)
    error = SlackError(FailureKind.UNKNOWN_CODE, "c", "t")
    judged = judge(error, thread, Step.REMOVE_COPIES, now=NOW, chance=0, failures=1)
    assert judged.outcome == CopiesRemoved(ids=("old",))


def test_refusal_that_meets_everyone_costs_no_form() -> None:
    """It is taken for the channel's fault, whose messages wait, and are sent in full."""
    error = SlackError(FailureKind.UNKNOWN_CODE, "posting_denied", "text")
    thread = AlertThread(key="k", channel="C", failures=5, simple=2)
    judged = judge(error, thread, Step.POST_ROOT, now=NOW, chance=0, failures=1, is_everyones=True)
    assert judged.outcome == Failed(error="text", retry=Wait(NOW, 0), in_full=True)
    assert (judged.pause, judged.trouble) == (5, True)


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
    judged = verdict(FailureKind.UNEDITABLE, Step.UPDATE_ROOT)
    assert (judged.outcome, judged.trouble) == (Uneditable(ts=None), True)


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_is_judged(kind: FailureKind, step: Step) -> None:
    """None is forgotten, and none but those that Slack has settled for good is the end of a call."""
    outcome = verdict(kind, step).outcome
    if step is Step.REMOVE_COPIES:
        assert isinstance(outcome, CopiesRemoved)
        return
    settled = {
        (FailureKind.GONE, Step.POST_REPLY): RootGone,
        (FailureKind.GONE, Step.UPDATE_ROOT): RootGone,
        (FailureKind.UNEDITABLE, Step.UPDATE_ROOT): Uneditable,
    }
    refused = (FailureKind.GONE, FailureKind.PAYLOAD, FailureKind.UNEDITABLE, FailureKind.UNKNOWN_CODE)
    looked_up = NotFound if kind in refused else Unknown
    assert isinstance(outcome, settled.get((kind, step), looked_up if step is Step.LOOK_UP else Failed))


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
