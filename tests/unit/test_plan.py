"""What a thread needs next and when, how a call is started, and what a clock that is set back does to waits."""

import pytest

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads import (
    Failed,
    NotFound,
    Policy,
    Posted,
    Step,
    Unknown,
    Updated,
    Wait,
    is_delivered,
    is_pending,
    level_of,
    plan,
    record_outcome,
    severity_rank,
    shown_now,
    slack_lane,
    start_attempt,
)
from alert_threader.threads.plan import CLOCK_TOLERANCE, DEBOUNCE, anchored
from tests.build import CHANNEL, DAY, HOUR, NOW, alert, thread
from tests.life import Life

POLICY = Policy()
#: How far the clock is set back, in seconds.
STEPS_BACK = pytest.mark.parametrize("back", [10.0, 300.0, HOUR], ids=["10s", "5min", "1h"])


class TestOrder:
    """Which call is next, and which thread's is first."""

    def test_join_edits_the_root_after_a_pause(self, delivered: Life) -> None:
        """Edits are scarce: several joins share one."""
        delivered.notify(alert("b"))
        assert delivered.deliver() == [Step.POST_REPLY]
        delivered.now += DEBOUNCE
        assert delivered.deliver() == [Step.UPDATE_ROOT]

    def test_change_of_state_edits_the_root_at_once(self, delivered: Life) -> None:
        """What looks red is burning."""
        delivered.notify(alert("a", "resolved"))
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]

    def test_severity_then_step_then_age_decides(self) -> None:
        """A critical reply goes before a warning's root, a root before a reply of its own severity."""
        ranks = []
        for severity, was_delivered, at in [("warning", False, 0), ("critical", True, 5), ("critical", False, 9)]:
            life = Life()
            life.now += at
            labels = {"severity": severity}
            life.notify(alert("a", labels=labels))
            if was_delivered:
                life.deliver()
                life.notify(alert("b", labels=labels))
            assert life.action is not None
            ranks.append(life.action.rank)
        assert sorted(ranks) == [ranks[2], ranks[1], ranks[0]]

    def test_severities_are_ordered(self) -> None:
        """Where it is not known how bad it is, it comes after a warning and before what is surely harmless."""
        words = ["P1", "err", "average", "avocado", "", "OK", "success", "debug"]
        ranks = [severity_rank(level_of(word)) for word in words]
        assert ranks == sorted(ranks)
        assert (ranks[2] < ranks[3], ranks[3] == ranks[4], ranks[4] < ranks[5]) == (True, True, True)

    def test_lane_is_the_channels(self, life: Life) -> None:
        """A store finds a thread by it, and knows no more of it."""
        life.notify(alert("a"))
        assert list(plan(life.thread, POLICY).actions) == [slack_lane(CHANNEL)] == [f"slack:{CHANNEL}"]

    def test_plan_says_whether_the_thread_is_open(self, delivered: Life) -> None:
        """Open is what fires, and is neither stale nor forgotten."""
        assert plan(delivered.thread, POLICY).is_open
        delivered.now += 7 * DAY
        delivered.age()
        assert not plan(delivered.thread, POLICY).is_open

    def test_thread_without_alerts_needs_nothing(self) -> None:
        """One of an installation before version 2, until it is heard of."""
        assert plan(thread(), POLICY).actions == {}
        assert not is_pending(thread())


class TestStart:
    """How a call is started."""

    def test_nothing_is_started_where_nothing_is_pending(self, delivered: Life) -> None:
        """The sender asks the store again what is due."""
        assert start_attempt(delivered.thread, "id", NOW, POLICY) == (delivered.thread, None)

    def test_nothing_is_started_before_it_is_due(self, delivered: Life) -> None:
        """Another sender may have made the call meanwhile, and failed."""
        delivered.notify(alert("b"))
        delivered.call(Failed(error="x", retry=Wait(NOW + 5, 5)))
        assert start_attempt(delivered.thread, "id", NOW, POLICY) == (delivered.thread, None)

    def test_post_takes_what_is_pending(self, life: Life) -> None:
        """What comes during the call is pending anew."""
        life.notify(alert("a"))
        assert life.start("id") is Step.POST_ROOT
        assert life.thread.under_way == "id"
        assert not life.thread.pending
        life.notify(alert("b"))
        assert list(life.thread.pending.events) == ["b"]

    def test_look_up_leaves_the_attempt_as_it_is(self, life: Life) -> None:
        """It may be made as often as it takes."""
        life.notify(alert("a"))
        life.call(Unknown(error="timeout", retry=Wait(NOW, 0)))
        before = life.thread
        assert life.start("other") is Step.LOOK_UP
        assert life.thread is before

    def test_edit_leaves_a_mark(self, delivered: Life) -> None:
        """From now on nobody knows what the root shows, until the outcome is recorded."""
        delivered.notify(alert("a", "resolved"))
        delivered.call()
        assert delivered.start("edit") is Step.UPDATE_ROOT
        shown = delivered.thread.shown
        assert (shown.edit, shown.revision, shown.hash, shown.status) == ("edit", 0, "", "")

    def test_what_an_edit_shows_is_of_its_start(self, delivered: Life) -> None:
        """A notification during the call makes another edit."""
        delivered.notify(alert("a", "resolved"))
        delivered.call()
        delivered.start("edit")
        shown = shown_now(delivered.thread, "hash")
        delivered.notify(alert("a"))
        delivered.thread = record_outcome(delivered.thread, "edit", Updated(ts="1.0", shown=shown), NOW, POLICY)
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]


class TestWaits:
    """A wait is a length of time: a clock that is set back does not make it longer, nor shorter what protects."""

    @STEPS_BACK
    def test_retry_keeps_its_second(self, delivered: Life, back: float) -> None:
        """A wait of 1 s is over after about 1 s, not after an hour."""
        delivered.notify(alert("b"))
        delivered.call(Failed(error="x", retry=Wait(NOW + 1, 1)))
        delivered.now -= back
        assert delivered.wait == 1
        delivered.now += 1
        assert delivered.due is Step.POST_REPLY

    @STEPS_BACK
    def test_killed_post_is_looked_up_after_a_second(self, life: Life, back: float) -> None:
        """Not when the old time of day comes again."""
        life.notify(alert("a"))
        life.start()
        life.now -= back
        assert life.wait == 1
        life.now += 1
        assert life.due is Step.LOOK_UP

    @STEPS_BACK
    def test_late_copies_are_looked_for_in_time(self, life: Life, back: float) -> None:
        """When Slack has surely ended its work."""
        life.notify(alert("a"))
        life.start()
        life.end(NotFound())
        life.now += 1
        life.deliver()
        life.now -= back
        assert life.wait == pytest.approx(POLICY.visible(0).until, abs=1)

    @STEPS_BACK
    def test_look_up_keeps_its_wait(self, life: Life, back: float) -> None:
        """After a lost answer."""
        life.notify(alert("a"))
        life.call(Unknown(error="timeout", retry=Wait(NOW + 10, 10)))
        life.now -= back
        assert life.wait == 10

    @STEPS_BACK
    def test_the_last_edit_waits_for_one_that_could_still_land(self, delivered: Life, back: float) -> None:
        """A red edit that lands late must not stay."""
        delivered.notify(alert("a", "resolved"))
        delivered.call()
        delivered.start("edit")
        delivered.end(Unknown(error="timeout", retry=Wait(delivered.now, 0)))
        delivered.deliver()
        delivered.now -= back
        assert delivered.wait == 2 * POLICY.call_timeout

    @STEPS_BACK
    def test_pause_between_edits_keeps_its_length(self, delivered: Life, back: float) -> None:
        """An edit that only counts is made after a pause, not after an hour and a pause."""
        delivered.notify(alert("b"))
        delivered.deliver()
        delivered.now -= back
        assert delivered.wait == DEBOUNCE

    @pytest.mark.parametrize("passed", [0.0, 0.5, 0.99])
    @pytest.mark.parametrize("step", [-0.5, -5, -60, -540, -7200, 5, 7200])
    @pytest.mark.parametrize("length", [1.0, 4.0, 60.0])
    def test_no_step_makes_a_wait_longer(self, delivered: Life, length: float, step: float, passed: float) -> None:
        """By whatever the clock is set, and however much of a wait has passed: no more than its length is left."""
        delivered.notify(alert("b"))
        delivered.call(Failed(error="x", retry=Wait(delivered.now + length, length)))
        delivered.now += passed * length + step
        delivered.thread = anchored(delivered.thread, delivered.now)
        assert delivered.action is not None
        assert delivered.action.at - delivered.now <= length + CLOCK_TOLERANCE

    def test_wait_is_anchored_once(self, delivered: Life) -> None:
        """Asking does not make it longer."""
        delivered.notify(alert("b"))
        delivered.call(Failed(error="x", retry=Wait(NOW + 30, 30)))
        delivered.now -= HOUR
        assert delivered.wait == 30
        delivered.now += 20
        assert delivered.wait == 10

    def test_clocks_of_two_machines_differ_a_little(self, delivered: Life) -> None:
        """A wait that began a moment ahead is kept: another replica wrote it."""
        delivered.notify(alert("b"))
        delivered.call(Failed(error="x", retry=Wait(NOW + 30, 30)))
        ahead = NOW - CLOCK_TOLERANCE
        assert anchored(delivered.thread, ahead) is delivered.thread
        assert delivered.action is not None
        assert not delivered.action.is_due(ahead)

    def test_nothing_is_anchored_on_a_clock_that_goes_on(self, delivered: Life) -> None:
        """The record itself, which a store need not write."""
        assert anchored(delivered.thread, NOW) is delivered.thread


class TestDelivered:
    """What a request that waits takes for delivered."""

    def test_is_pending_until_slack_has_it(self, life: Life) -> None:
        """A root that is not posted yet, or posted and not heard of."""
        life.notify(alert("a"))
        assert not is_delivered(life.thread, NOW)
        life.start()
        assert not is_delivered(life.thread, NOW)

    def test_edit_that_is_held_back_is_no_reason_to_wait(self, delivered: Life) -> None:
        """The reply has said it."""
        delivered.notify(alert("b"))
        delivered.deliver()
        assert is_pending(delivered.thread)
        assert is_delivered(delivered.thread, NOW)
        assert not is_delivered(delivered.thread, NOW + DEBOUNCE)

    def test_edit_that_failed_is_not_held_back(self, delivered: Life) -> None:
        """Slack does not show what it should."""
        delivered.notify(alert("b"))
        delivered.deliver()
        delivered.now += DEBOUNCE
        delivered.call(Failed(error="x", retry=Wait(delivered.now + 5, 5)))
        assert not is_delivered(delivered.thread, delivered.now)

    def test_all_is_delivered(self, delivered: Life) -> None:
        """Nothing is pending."""
        assert is_delivered(delivered.thread, NOW)


class TestPendingSince:
    """Since when a thread waits, for /health and for the order."""

    def test_events_count_from_the_first(self, delivered: Life) -> None:
        """A flapping alert does not make a thread look fresh."""
        delivered.notify(alert("b"))
        delivered.now += 60
        delivered.notify(alert("b", "resolved"))
        assert delivered.thread.pending_since == NOW

    def test_what_is_under_way_counts(self, delivered: Life) -> None:
        """Until its outcome is recorded it may have to be posted again."""
        delivered.notify(alert("b"))
        delivered.start()
        delivered.now += 60
        delivered.notify(alert("c"))
        assert delivered.thread.pending_since == NOW

    def test_repeat_counts_from_when_it_came(self, delivered: Life) -> None:
        """Hours after the last change it is not hours late."""
        delivered.now += 5 * HOUR
        delivered.notify(alert("a"))
        assert delivered.thread.pending_since == delivered.now

    def test_stale_mark_counts_from_when_it_was_made(self, delivered: Life) -> None:
        """Not from the firing a week before."""
        delivered.now += 7 * DAY
        delivered.age()
        assert delivered.thread.pending_since == NOW + 7 * DAY


@pytest.mark.parametrize("status", Status)
def test_thread_fires_while_an_alert_does(life: Life, status: Status) -> None:
    """Rule 4, of the record itself."""
    life.notify(alert("a", "resolved"), alert("b", status))
    assert life.thread.status is status


@pytest.mark.parametrize("outcome", [NotFound(), Posted(ts="1.0", threaded=False)])
def test_nothing_waits_after_an_answer(life: Life, outcome: NotFound | Posted) -> None:
    """Whichever it was, what is pending is due at once."""
    life.notify(alert("a"))
    life.call(Unknown(error="timeout", retry=Wait(NOW + 1, 1)))
    life.now += 1
    life.notify(alert("b"))
    life.call(outcome)
    assert life.due in (Step.POST_ROOT, Step.POST_REPLY)
