"""The rules of threads, by their numbers (see alert_threader/threads/__init__.py)."""

from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert, Notification, Status
from alert_threader.threads import (
    Action,
    AlertThread,
    Applied,
    Change,
    EventKind,
    Failed,
    Identity,
    NotFound,
    Outcome,
    Policy,
    Posted,
    Reason,
    RepeatPolicy,
    RootGone,
    Step,
    ThreadBy,
    Unknown,
    Updated,
    apply,
    begin,
    changes,
    expire,
    forget,
    plan,
    settle,
    thread_key,
)
from alert_threader.threads.notification import KEEP_CLOSED, REPEAT_AFTER
from alert_threader.threads.plan import DEBOUNCE
from alert_threader.threads.record import MAX_ALERTS, MAX_DETAILED

NOW = 1_800_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
POLICY = Policy()


def alert(name: str, status: str = "firing", **changes: Any) -> Alert:
    """An alert that is known by its name."""
    labels = {"alertname": "Down", "severity": "critical", "instance": name}
    values: dict[str, Any] = {
        "status": Status(status),
        "fingerprint": name,
        "labels": labels,
        "annotations": {},
        "starts_at": NOW,
        "ends_at": None,
        "links": {},
        "values": "",
    }
    return Alert(**{**values, **changes})


def change(*alerts: Alert, **changes: Any) -> Change:
    """What a webhook with these alerts says about one thread."""
    return Change(**{"key": "k", "channel": "C0000001", "alerts": alerts, **changes})


class Story:
    """A thread that is taken through webhooks and answers of Slack. Time stands still unless it is moved."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.now = NOW
        self.thread: AlertThread | None = None
        self.posts = 0

    def hears(self, *alerts: Alert, **changes: Any) -> Applied:
        """A webhook comes."""
        applied = apply(self.thread, change(*alerts, **changes), self.now, self.policy)
        self.thread = applied.thread
        return applied

    def next(self) -> Action | None:
        """What the thread needs, due or not."""
        assert self.thread is not None
        return plan(self.thread)

    def step(self) -> Step | None:
        """The kind of action that is due now."""
        action = self.next()
        return action.step if action is not None and action.is_due(self.now) else None

    def acts(self, outcome: Outcome | None = None) -> list[str]:
        """The due action is done, by default as Slack answers in the best case; return what it told."""
        assert self.thread is not None
        self.posts += 1
        begun = begin(self.thread, f"id{self.posts}", self.now, self.policy)
        assert begun is not None
        self.thread, action = begun
        attempt = self.thread.attempt
        told = attempt.batch.events if attempt else {}
        if outcome is None and action.step is Step.UPDATE_ROOT:
            outcome = Updated(ts=self.thread.ts, shown=action.shown)
        elif outcome is None:
            outcome = Posted(ts=f"{self.posts}.0", threaded=action.step is Step.POST_REPLY)
        self.thread = settle(self.thread, self.thread.under_way, outcome, self.now)
        return [f"{name} {event.kind}" for name, event in told.items()]

    def begins_edit(self, attempt_id: str) -> tuple[AlertThread, Action]:
        """All has resolved, and the root is about to say so."""
        self.hears(alert("a", "resolved"))
        self.acts()
        begun = begin(thread_of(self), attempt_id, self.now, self.policy)
        assert begun is not None
        assert begun[1].step is Step.UPDATE_ROOT
        return begun

    def tells_all(self) -> list[Step]:
        """Everything that is due is done; return the steps."""
        steps = []
        while (step := self.step()) is not None:
            self.acts()
            steps.append(step)
        return steps


@pytest.fixture
def story() -> Story:
    """A thread that has not begun."""
    return Story()


@pytest.fixture
def told() -> Story:
    """A thread of one firing alert, "a", that Slack shows."""
    story = Story()
    story.hears(alert("a"))
    story.tells_all()
    return story


def thread_of(story: Story) -> AlertThread:
    """The story's thread, which must exist."""
    assert story.thread is not None
    return story.thread


class TestRule1And2Events:
    """What is an event."""

    def test_first_firing_opens_the_thread(self, story: Story) -> None:
        """A new alert in no thread is posted as a root."""
        assert story.hears(alert("a")).reason is Reason.OPENED
        assert story.step() is Step.POST_ROOT
        assert story.acts() == ["a fired"]
        assert thread_of(story).ts == "1.0"
        assert story.next() is None

    def test_mixed_group_takes_each_alert_by_its_own_status(self, told: Story) -> None:
        """One alert resolves while another joins: the reply tells both, the thread still fires."""
        applied = told.hears(alert("a", "resolved"), alert("b"))
        assert (applied.reason, applied.fired, applied.resolved) == (Reason.FIRED, 1, 1)
        assert told.acts() == ["a resolved", "b fired"]
        assert thread_of(told).status is Status.FIRING
        assert (thread_of(told).firing, thread_of(told).resolved) == (1, 1)

    def test_same_status_again_is_a_duplicate(self, told: Story) -> None:
        """A retry or an HA peer's copy changes nothing."""
        assert told.hears(alert("a")).reason is Reason.DUPLICATE
        assert told.next() is None

    def test_resolution_is_told_once(self, told: Story) -> None:
        """The thread turns green with one reply and one update; the peer's copy adds nothing."""
        assert told.hears(alert("a", "resolved")).reason is Reason.RESOLVED
        assert told.tells_all() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert told.hears(alert("a", "resolved")).reason is Reason.DUPLICATE
        assert told.next() is None

    def test_alert_named_twice_in_one_webhook_is_folded(self, story: Story) -> None:
        """Two states of one alert in a payload leave the later one, counted as two changes."""
        story.hears(alert("a"), alert("a", "resolved"))
        event = thread_of(story).untold.events["a"]
        assert (event.kind, event.changes) == (EventKind.RESOLVED, 2)


class TestRule3StartsAt:
    """startsAt is no identity."""

    def test_refire_with_the_old_start_counts(self, told: Story) -> None:
        """A re-fire may carry the startsAt of the firing before it."""
        told.hears(alert("a", "resolved"))
        told.tells_all()
        assert told.hears(alert("a", starts_at=NOW)).reason is Reason.REOPENED

    def test_repeat_with_a_new_start_is_no_event(self, told: Story) -> None:
        """Prometheus restarts give a firing alert a new startsAt."""
        assert told.hears(alert("a", starts_at=NOW + 60)).reason is Reason.DUPLICATE

    def test_late_firing_is_never_discarded(self, told: Story) -> None:
        """A firing that started before the resolution still fires."""
        told.now += 60
        told.hears(alert("a", "resolved", ends_at=NOW + 60))
        assert told.hears(alert("a", starts_at=NOW - 60)).reason is Reason.REOPENED


class TestRule4Reopening:
    """Resolved threads stay open for a while."""

    def test_refire_within_the_window_reopens(self, told: Story) -> None:
        """The same thread goes on, red again at once, its flaps counted."""
        told.hears(alert("a", "resolved"))
        told.tells_all()
        told.now += HOUR - 1
        assert told.hears(alert("a")).reason is Reason.REOPENED
        assert thread_of(told).untold.reopened
        assert thread_of(told).flaps == 1
        assert told.tells_all() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert thread_of(told).ts == "1.0"

    def test_refire_after_the_window_opens_a_new_thread(self, told: Story) -> None:
        """Threads do not grow for ever."""
        told.hears(alert("a", "resolved"))
        told.tells_all()
        told.now += HOUR
        assert told.hears(alert("a")).reason is Reason.OPENED
        assert thread_of(told).ts is None
        assert thread_of(told).flaps == 0

    def test_window_does_not_cut_off_what_is_untold(self, told: Story) -> None:
        """An outage longer than the window must not lose the resolution: the old thread goes on."""
        told.hears(alert("a", "resolved"))
        told.now += 2 * HOUR
        assert told.hears(alert("a")).reason is Reason.REOPENED
        assert told.acts() == ["a fired"]

    def test_closed_thread_is_dropped_when_all_is_told(self, told: Story) -> None:
        """The store does not keep what is over."""
        told.hears(alert("a", "resolved"))
        assert expire(thread_of(told), NOW + DAY, POLICY) is thread_of(told)
        told.tells_all()
        assert expire(thread_of(told), NOW + HOUR - 1, POLICY) is thread_of(told)
        assert expire(thread_of(told), NOW + HOUR, POLICY) is None

    def test_late_duplicate_of_a_resolution_finds_the_closed_thread(self) -> None:
        """With a short window the thread is kept for a while, so an HA peer's copy opens no new one."""
        story = Story(Policy(reopen_window=0))
        story.hears(alert("a"))
        story.hears(alert("a", "resolved"))
        story.tells_all()
        story.now += 60
        assert expire(thread_of(story), story.now, story.policy) is thread_of(story)
        assert story.hears(alert("a", "resolved")).reason is Reason.DUPLICATE
        assert expire(thread_of(story), story.now + KEEP_CLOSED, story.policy) is None


class TestRule5UnknownResolution:
    """Alertmanager can resolve what it never told us."""

    def test_opens_a_resolved_thread(self, story: Story) -> None:
        """The alert came and went while we were down: one green root and nothing more."""
        assert story.hears(alert("a", "resolved")).reason is Reason.OPENED_RESOLVED
        assert story.tells_all() == [Step.POST_ROOT]
        assert thread_of(story).shown.status == "resolved"

    def test_joins_a_thread_that_fires(self, told: Story) -> None:
        """In a known thread it is told like any other resolution."""
        assert told.hears(alert("a"), alert("b", "resolved")).reason is Reason.RESOLVED
        assert told.acts() == ["b resolved"]


class TestRule6LeftOut:
    """Alerts that a notification leaves out."""

    def test_missing_alerts_say_nothing(self, told: Story) -> None:
        """An alert that a later webhook does not name still fires."""
        told.hears(alert("b"))
        told.tells_all()
        told.hears(alert("b", "resolved"))
        assert thread_of(told).alerts["a"].status is Status.FIRING

    def test_number_left_out_is_kept_for_the_root(self, told: Story) -> None:
        """max_alerts cut some off: the root will say how many."""
        told.hears(alert("b"), truncated=7)
        assert thread_of(told).truncated == 7


class TestRule7Repeats:
    """A repeat of an unchanged thread."""

    def test_is_recognised_by_alertmanagers_reason(self, told: Story) -> None:
        """Newer Alertmanagers say that they repeat; the root is updated and counts."""
        told.now += 61
        assert told.hears(alert("a"), reason="repeat interval elapsed").reason is Reason.REPEATED
        assert thread_of(told).repeats == 1
        assert told.tells_all() == [Step.UPDATE_ROOT]

    def test_is_recognised_by_time(self, told: Story) -> None:
        """Older ones do not: half an hour after the last notification it is a repeat."""
        told.now += REPEAT_AFTER - 1
        assert told.hears(alert("a")).reason is Reason.DUPLICATE
        told.now += 1
        assert told.hears(alert("a")).reason is Reason.REPEATED

    def test_of_an_ha_peer_counts_once(self, told: Story) -> None:
        """Both Alertmanagers of a pair send the repeat."""
        told.now += HOUR
        told.hears(alert("a"), reason="repeat interval elapsed")
        told.now += 15
        assert told.hears(alert("a"), reason="repeat interval elapsed").reason is Reason.DUPLICATE

    def test_can_be_told_in_a_reply(self) -> None:
        """REPEAT_POLICY=reply."""
        story = Story(Policy(repeat=RepeatPolicy.REPLY))
        story.hears(alert("a"))
        story.tells_all()
        story.now += HOUR
        story.hears(alert("a"))
        assert thread_of(story).untold.repeated
        assert story.tells_all() == [Step.POST_REPLY, Step.UPDATE_ROOT]

    def test_can_be_ignored(self) -> None:
        """REPEAT_POLICY=ignore."""
        story = Story(Policy(repeat=RepeatPolicy.IGNORE))
        story.hears(alert("a"))
        story.tells_all()
        story.now += HOUR
        assert story.hears(alert("a")).reason is Reason.DUPLICATE
        assert story.next() is None

    def test_of_a_resolved_thread_is_none(self, told: Story) -> None:
        """Only what burns can still burn."""
        told.hears(alert("a", "resolved"))
        told.tells_all()
        told.now += HOUR / 2 + 1
        assert told.hears(alert("a", "resolved")).reason is Reason.DUPLICATE


class TestRule8Outage:
    """Fired and resolved before anything was told."""

    def test_is_told_once_in_the_final_state(self, story: Story) -> None:
        """One root, green from the start."""
        story.hears(alert("a"))
        story.hears(alert("a", "resolved"))
        assert story.tells_all() == [Step.POST_ROOT]
        assert thread_of(story).shown.status == "resolved"

    def test_many_changes_are_one_reply(self, told: Story) -> None:
        """Whatever waited is one message, the newest state of each alert, its changes counted."""
        told.hears(alert("a", "resolved"), alert("b"))
        told.hears(alert("a"))
        told.hears(alert("a", "resolved"), alert("c"))
        event = thread_of(told).untold.events["a"]
        assert (event.kind, event.changes) == (EventKind.RESOLVED, 3)
        assert told.acts() == ["b fired", "a resolved", "c fired"]
        assert told.step() is not Step.POST_REPLY


class TestRule9Stale:
    """Nothing is heard of a firing thread."""

    def test_is_marked_and_closed(self, told: Story) -> None:
        """After STALE_AFTER the root says so, and the next firing opens a new thread."""
        told.thread = expire(thread_of(told), NOW + 7 * DAY, POLICY)
        told.now += 7 * DAY
        assert thread_of(told).state == "stale"
        assert told.tells_all() == [Step.UPDATE_ROOT]
        assert told.hears(alert("a")).reason is Reason.OPENED

    def test_word_of_it_keeps_it_alive(self, told: Story) -> None:
        """Any notification counts, a duplicate too."""
        told.now += 6 * DAY
        told.hears(alert("a"))
        assert expire(thread_of(told), NOW + 7 * DAY, POLICY) is thread_of(told)

    def test_resolution_after_all_is_told_in_it(self, told: Story) -> None:
        """The end of the story belongs to its thread."""
        told.thread = expire(thread_of(told), NOW + 7 * DAY, POLICY)
        told.now += 7 * DAY
        told.tells_all()
        assert told.hears(alert("a", "resolved")).reason is Reason.RESOLVED
        told.tells_all()
        assert thread_of(told).shown.status == "resolved"


class TestRule10Once:
    """A notification is applied once however often it arrives."""

    def test_applying_again_changes_no_event(self, story: Story) -> None:
        """A store may run apply again, and Alertmanager sends again."""
        webhook = (alert("a"), alert("b", "resolved"))
        story.hears(*webhook)
        before = thread_of(story)
        story.hears(*webhook)
        assert msgspec.to_builtins(thread_of(story)) == msgspec.to_builtins(before)

    def test_apply_leaves_the_given_record_alone(self, told: Story) -> None:
        """On a conflict the store applies to the same record again."""
        before = thread_of(told)
        encoded = msgspec.json.encode(before)
        apply(before, change(alert("a", "resolved"), alert("b")), NOW + 1, POLICY)
        assert msgspec.json.encode(before) == encoded


class TestPlan:
    """When what is missing is done."""

    def test_join_updates_the_root_after_a_pause(self, told: Story) -> None:
        """Edits are scarce: several joins share one."""
        told.hears(alert("b"))
        assert told.tells_all() == [Step.POST_REPLY]
        told.now += DEBOUNCE
        assert told.tells_all() == [Step.UPDATE_ROOT]

    def test_severity_then_step_then_age_decides(self) -> None:
        """A critical reply goes before a warning's root, a root before a reply of its own severity."""
        ranks = []
        for severity, told_before, at in [("warning", False, 0), ("critical", True, 5), ("critical", False, 9)]:
            story = Story()
            story.now += at
            labels = {"severity": severity}
            story.hears(alert("a", labels=labels))
            if told_before:
                story.tells_all()
                story.hears(alert("b", labels=labels))
            action = story.next()
            assert action is not None
            ranks.append(action.rank)
        assert sorted(ranks) == [ranks[2], ranks[1], ranks[0]]

    def test_clock_set_back_does_not_hold_anything_up(self, told: Story) -> None:
        """A retry planned for an hour ahead of a corrected clock is due at once."""
        told.hears(alert("b"))
        told.acts(Failed(error="x", retry_at=NOW + 30))
        told.now -= HOUR
        assert told.step() is Step.POST_REPLY


class TestSettle:
    """What an outcome makes of a thread."""

    def test_webhook_during_the_call_is_told_next(self, story: Story) -> None:
        """The answer is written onto the record as it is now."""
        story.hears(alert("a"))
        begun = begin(thread_of(story), "id", NOW, POLICY)
        assert begun is not None
        story.thread = begun[0]
        story.hears(alert("b"))
        story.thread = settle(thread_of(story), "id", Posted(ts="1.0", threaded=False), NOW)
        assert thread_of(story).ts == "1.0"
        assert story.acts() == ["b fired"]

    def test_refusal_gives_back_what_was_to_be_told(self, story: Story) -> None:
        """What came meanwhile is told with it."""
        story.hears(alert("a"))
        story.acts(Failed(error="no", retry_at=NOW + 5))
        assert story.step() is None
        story.hears(alert("b"))
        story.now += 5
        assert story.acts() == ["a fired", "b fired"]

    def test_refused_form_is_sent_simpler(self, story: Story) -> None:
        """No alert is lost to formatting; a success is the end of it."""
        story.hears(alert("a"))
        story.acts(Failed(error="invalid_blocks", retry_at=NOW, simpler=True))
        assert thread_of(story).simple == 1
        story.acts()
        assert thread_of(story).simple == 0

    def test_unknown_outcome_is_looked_up_before_anything_else(self, told: Story) -> None:
        """Nothing is posted for the thread until it is known whether Slack has the message."""
        told.hears(alert("b"))
        told.acts(Unknown(error="timeout", retry_at=NOW + 3))
        told.hears(alert("c"))
        assert told.step() is None
        told.now += 3
        assert told.step() is Step.FIND_ATTEMPT

    def test_found_message_is_not_told_again(self, told: Story) -> None:
        """What came since is told on its own."""
        told.hears(alert("b"))
        told.acts(Unknown(error="timeout", retry_at=NOW))
        told.hears(alert("c"))
        told.acts(Posted(ts="9.0", threaded=True))
        assert told.acts() == ["c fired"]

    def test_message_that_is_not_found_is_told_again(self, told: Story) -> None:
        """With what came since, as one message."""
        told.hears(alert("b"))
        told.acts(Unknown(error="timeout", retry_at=NOW))
        told.hears(alert("c"))
        told.acts(NotFound())
        assert told.acts() == ["b fired", "c fired"]

    def test_attempt_of_a_crashed_process_waits_until_slack_is_done(self, story: Story) -> None:
        """A call cut off by a crash may still be under way in Slack."""
        story.hears(alert("a"))
        begun = begin(thread_of(story), "id", NOW, POLICY)
        assert begun is not None
        story.thread = begun[0]
        assert story.step() is None
        story.now += POLICY.find_after
        assert story.step() is None  # the call may have taken as long before the crash
        story.now += POLICY.find_after
        assert story.step() is Step.FIND_ATTEMPT

    def test_outcome_of_another_attempt_changes_nothing(self, story: Story) -> None:
        """A sender that stalled past its lease cannot undo what its successor did."""
        story.hears(alert("a"))
        begun = begin(thread_of(story), "new", NOW, POLICY)
        assert begun is not None
        for outcome in (
            Posted(ts="7.0", threaded=False),
            NotFound(),
            Failed(error="x", retry_at=NOW),
            RootGone(ts=None),
        ):
            assert settle(begun[0], "old", outcome, NOW) is begun[0]

    def test_reply_that_lost_its_root_becomes_the_root(self, told: Story) -> None:
        """Somebody deleted the root: Slack posts the reply into the channel, where it gets the root's content."""
        told.hears(alert("b"))
        told.acts(Posted(ts="5.0", threaded=False))
        assert thread_of(told).ts == "5.0"
        assert told.tells_all() == [Step.UPDATE_ROOT]

    def test_deleted_root_is_posted_again(self, told: Story) -> None:
        """An edit finds no message: the thread gets another root, and nothing untold is lost."""
        told.hears(alert("a", "resolved"))
        told.acts()
        told.acts(RootGone(ts="1.0"))
        assert told.tells_all() == [Step.POST_ROOT]
        assert thread_of(told).shown.status == "resolved"


class TestMove:
    """SLACK_CHANNEL has changed."""

    def test_thread_gets_a_root_in_the_new_channel(self, told: Story) -> None:
        """With the next word of it, in its state of then."""
        told.hears(alert("b"), channel="C0000002")
        assert told.tells_all() == [Step.POST_ROOT]
        assert thread_of(told).channel == "C0000002"
        assert thread_of(told).firing == 2

    def test_what_the_old_channel_did_not_take_is_told_in_the_new_one(self, story: Story) -> None:
        """The old one is archived, say, and that was why."""
        story.hears(alert("a"))
        story.acts(Unknown(error="x", retry_at=NOW + 60))
        story.hears(alert("a", "resolved"), channel="C0000002")
        assert story.acts() == ["a resolved"]

    def test_copy_of_another_replica_does_not_move_it(self, told: Story) -> None:
        """While replicas are restarted with the new channel, duplicates must not send a thread to and fro."""
        told.hears(alert("a"), channel="C0000002")
        assert thread_of(told).channel == "C0000001"
        assert told.next() is None

    def test_late_word_of_an_edit_does_not_touch_a_newer_root(self, told: Story) -> None:
        """A sender that stalled edited the root before this one."""
        thread, action = told.begins_edit("edit")
        for outcome in (RootGone(ts="0.5"), Updated(ts="0.5", shown=action.shown)):
            assert settle(thread, "edit", outcome, NOW) is thread

    def test_word_of_another_edit_does_not_end_the_doubt(self, told: Story) -> None:
        """A sender that stalled says how its edit ended while its successor's may still land."""
        thread, action = told.begins_edit("successor")
        for attempt in ("", "stalled"):
            for outcome in (Failed(error="x", retry_at=NOW), Updated(ts=thread.ts, shown=action.shown), NotFound()):
                assert settle(thread, attempt, outcome, NOW) is thread

    def test_edit_that_was_never_made_is_due_at_once(self, told: Story) -> None:
        """Its mark was stored, but the store's answer was lost."""
        thread, _ = told.begins_edit("edit")
        told.thread = settle(thread, "edit", NotFound(), NOW)
        assert told.step() is Step.UPDATE_ROOT


class TestWaiting:
    """Since when a thread waits, for /health and for the order."""

    def test_events_count_from_the_first(self, told: Story) -> None:
        """A flapping alert does not make a thread look fresh."""
        told.hears(alert("b"))
        told.now += 60
        told.hears(alert("b", "resolved"))
        assert thread_of(told).untold_since == NOW

    def test_repeat_counts_from_when_it_came(self, told: Story) -> None:
        """Hours after the last change it is not hours late."""
        told.now += 5 * HOUR
        told.hears(alert("a"))
        assert thread_of(told).untold_since == told.now

    def test_stale_mark_counts_from_when_it_was_made(self, told: Story) -> None:
        """Not from the firing a week before."""
        told.thread = expire(thread_of(told), NOW + 7 * DAY, POLICY)
        assert thread_of(told).untold_since == NOW + 7 * DAY


class TestForget:
    """DELETE /cache."""

    def test_told_thread_is_dropped(self, told: Story) -> None:
        """The next alert opens a new thread."""
        assert forget(thread_of(told), NOW) is None

    def test_what_is_untold_is_still_told(self, told: Story) -> None:
        """Then the thread goes."""
        told.hears(alert("a", "resolved"))
        told.thread = forget(thread_of(told), NOW)
        assert told.tells_all() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert told.hears(alert("a")).reason is Reason.OPENED


class TestCaps:
    """A thread of any size stays small, and its counts right."""

    def test_details_are_kept_for_some_only(self, story: Story) -> None:
        """All alerts are counted and named."""
        story.hears(*(alert(f"n{i}") for i in range(MAX_DETAILED + 10)))
        states = thread_of(story).alerts.values()
        assert sum(bool(state.labels) for state in states) == MAX_DETAILED
        assert thread_of(story).firing == MAX_DETAILED + 10
        assert all(state.name for state in states)

    def test_new_alert_takes_the_place_of_a_resolved_one(self, story: Story) -> None:
        """In a thread that lives long the newest alert can still be described."""
        story.hears(*(alert(f"n{i}") for i in range(MAX_DETAILED)))
        story.hears(alert("n0", "resolved"), alert("new"))
        assert thread_of(story).alerts["new"].labels
        assert not thread_of(story).alerts["n0"].labels

    def test_oldest_resolved_alerts_are_only_counted(self, story: Story) -> None:
        """Pods that come and go for weeks do not fill the store; what is untold is kept."""
        story.hears(*(alert(f"n{i}", "resolved") for i in range(MAX_ALERTS)))
        story.tells_all()
        story.hears(*(alert(f"m{i}") for i in range(10)))
        assert len(thread_of(story).alerts) == MAX_ALERTS
        assert thread_of(story).resolved == MAX_ALERTS
        assert thread_of(story).firing == 10

    def test_long_texts_are_cut(self, story: Story) -> None:
        """A huge annotation does not make a huge record."""
        story.hears(alert("a", labels={"x": "y" * 100_000}, annotations={"d": "z" * 1_000_000}))
        assert len(msgspec.json.encode(thread_of(story))) < 10_000

    def test_values_are_those_of_the_firing(self, told: Story) -> None:
        """Alertmanager may send other annotations with the resolution; the root keeps what it said."""
        told.hears(alert("a", "resolved", annotations={"summary": "now 3%"}))
        assert thread_of(told).alerts["a"].annotations == {}


class TestTitle:
    """The root's header."""

    def test_is_the_summary_all_alerts_share(self, story: Story) -> None:
        """The most telling text there is."""
        story.hears(alert("a", annotations={"summary": "Disk full"}), alert("b", annotations={"summary": "Disk full"}))
        assert thread_of(story).title == "Disk full"

    def test_is_the_alerts_name_where_summaries_differ(self, story: Story) -> None:
        """A summary that names one instance is wrong for the others."""
        story.hears(alert("a", annotations={"summary": "a is down"}))
        story.hears(alert("b", annotations={"summary": "b is down"}))
        assert thread_of(story).title == "Down"

    def test_keeps_the_worst_severity(self, story: Story) -> None:
        """A thread of a whole group is as bad as its worst alert."""
        story.hears(alert("a", labels={"severity": "warning"}), alert("b", labels={"severity": "critical"}))
        assert thread_of(story).severity == "critical"


IDENTITY = Identity(environment="production", channel="C0DEFAULT01")


def notification(*alerts: Alert, **changes: Any) -> Notification:
    """A webhook with these alerts."""
    values: dict[str, Any] = {
        "receiver": "slack",
        "alerts": alerts,
        "group_key": '{}:{alertname="A"}',
        "group_labels": {"alertname": "A"},
        "external_url": "",
        "truncated": 0,
        "reason": "",
    }
    return Notification(**{**values, **changes})


class TestKeys:
    """Which thread an alert belongs to."""

    def test_is_made_of_the_key_labels_and_the_environment(self) -> None:
        """In the documented order."""
        labels = {"alertname": "A", "severity": "critical", "service": "db", "cluster": "eu", "instance": "x"}
        assert thread_key(labels, IDENTITY) == "A|critical|db|eu|production"

    def test_missing_labels_have_defaults(self) -> None:
        """An empty label is a missing one, as in Prometheus."""
        assert thread_key({"service": ""}, IDENTITY) == "unknown|info|unknown|default|production"

    def test_bar_inside_a_value_is_written_otherwise(self) -> None:
        """A label cannot pretend to be two."""
        assert thread_key({"alertname": "a|b"}, IDENTITY).startswith("a%7Cb|")

    def test_labels_can_be_chosen(self) -> None:
        """THREAD_KEY_LABELS."""
        identity = Identity(environment="e", channel="C1", labels=("alertname", "namespace"))
        assert thread_key({"alertname": "A", "namespace": "n"}, identity) == "A|n|e"

    def test_other_channel_is_another_thread(self) -> None:
        """The same alert in two channels is two threads; the default channel is not named."""
        hook = notification(alert("a"))
        assert changes(hook, IDENTITY)[0].key == "Down|critical|unknown|default|production"
        assert changes(hook, IDENTITY, "C0DATABASE1")[0].key.endswith("|production@C0DATABASE1")
        assert changes(hook, IDENTITY, "C0DEFAULT01")[0].key == changes(hook, IDENTITY)[0].key

    def test_one_webhook_may_concern_several_threads(self) -> None:
        """Each alert goes to its own, in the order of first mention."""
        other = alert("b", labels={"alertname": "Other"})
        found = changes(notification(alert("a"), other, alert("c")), IDENTITY)
        assert [len(each.alerts) for each in found] == [2, 1]

    def test_group_is_one_thread_whatever_its_labels(self) -> None:
        """THREAD_BY=group."""
        identity = Identity(environment="e", channel="C1", by=ThreadBy.GROUP)
        found = changes(notification(alert("a"), alert("b", labels={"alertname": "B"})), identity)
        assert len(found) == 1
        assert found[0].key.startswith("alertname=A|e#")

    def test_same_group_labels_of_two_routes_do_not_collide(self) -> None:
        """The receiver and the group key tell them apart."""
        identity = Identity(environment="e", channel="C1", by=ThreadBy.GROUP)
        one = changes(notification(alert("a")), identity)[0].key
        assert one != changes(notification(alert("a"), receiver="other"), identity)[0].key
        assert one != changes(notification(alert("a"), group_key="{}/{x=1}"), identity)[0].key

    def test_huge_label_makes_a_bounded_key(self) -> None:
        """Two that differ at the end only stay apart."""
        keys = {
            changes(notification(alert("a", labels={"alertname": "x" * 9999 + end})), IDENTITY)[0].key for end in "ab"
        }
        assert len(keys) == 2
        assert max(map(len, keys)) <= 400
