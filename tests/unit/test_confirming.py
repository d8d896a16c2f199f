"""A firing thread that misses its repeats says so, where Alertmanager is not polled (UNCONFIRMED=mark)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_threader.app import make_service
from alert_threader.formatter import LANGUAGES, render
from alert_threader.settings.settings import Settings
from alert_threader.threads import (
    AlertThread,
    Batch,
    Operation,
    Policy,
    Press,
    Reason,
    RepeatPolicy,
    Step,
    age,
    ages_at,
    apply,
    press,
)
from alert_threader.threads.notification import REPEAT_AFTER
from alert_threader.threads.plan import DEBOUNCE
from alert_threader.threads.schema import decode, encode
from tests.build import CHANNEL, DAY, HOUR, NOW, alert, change, described
from tests.life import Life, message, rendered

MARKS = Policy(marks_unconfirmed=True)
MINUTE = 60.0
#: What newer Alertmanagers say of a repeat.
REPEATS = {"reason": "repeat interval elapsed"}


def life_of(**settings: Any) -> Life:
    """A thread of one firing alert, "a", that Slack shows, and that will be marked."""
    life = Life(Policy(**{"marks_unconfirmed": True, **settings}))
    life.notify(alert("a"))
    life.deliver()
    return life


def wait(life: Life, seconds: float) -> AlertThread | None:
    """Let time pass, and say what it made of the thread."""
    life.now += seconds
    return life.age()


def repeat(life: Life, seconds: float, *names: str) -> None:
    """After some time the alerts are repeated, by default the only one; Slack shows it."""
    wait(life, seconds)
    life.notify(*(alert(name) for name in names or "a"), **REPEATS)
    life.now += DEBOUNCE
    life.deliver()
    life.now -= DEBOUNCE


def lines(sent: dict[str, Any]) -> list[str]:
    """The lines of a message's context."""
    blocks = [block for attachment in sent["attachments"] for block in attachment["blocks"]]
    return [line for block in blocks for each in block.get("elements", ()) for line in each["text"].split("\n")]


def mark(thread: AlertThread) -> str:
    """What the root says of it, empty for nothing."""
    return next((line for line in lines(message(thread)) if "onfirmed" in line), "")


@pytest.fixture
def marked() -> Life:
    """A thread that was repeated after 4 hours and then no more; Slack shows that. It began at 08:00 UTC."""
    life = life_of()
    repeat(life, 4 * HOUR)
    wait(life, 6 * HOUR)
    life.deliver()
    assert mark(life.thread)
    return life


class TestMarking:
    """When a thread is marked, and what people see."""

    def test_missed_repeat_is_said_in_the_root(self) -> None:
        """After one and a half intervals, and not before. It was last heard of at noon."""
        life = life_of()
        repeat(life, 4 * HOUR)
        assert wait(life, 6 * HOUR - 1) is life.thread
        assert (life.action, mark(life.thread)) == (None, "")
        wait(life, 1)
        assert life.deliver() == [Step.UPDATE_ROOT]
        assert life.root == rendered(life.thread)
        assert mark(life.thread) == "Not confirmed since 12:00 UTC"

    def test_date_is_said_where_it_is_another(self) -> None:
        """A thread that began the day before."""
        life = life_of()
        repeat(life, DAY)
        wait(life, DAY * 1.5)
        assert mark(life.thread) == "Not confirmed since 2027-01-16 08:00 UTC"

    def test_in_korean(self, marked: Life) -> None:
        """In words that are not those of an acknowledgement."""
        sent = render(marked.thread, Step.UPDATE_ROOT, Batch(), environment="test", words=LANGUAGES["ko"])
        assert "12:00 UTC 이후 발생 여부가 확인되지 않음" in lines(sent)

    def test_nobody_is_called(self) -> None:
        """No reply, no other colour, and its edit takes its turn behind what presses and alerts want."""
        life = life_of()
        repeat(life, 4 * HOUR)
        before, sent = life.thread, message(life.thread)
        wait(life, 6 * HOUR)
        assert life.action is not None
        assert not life.action.answers_press
        assert not life.thread.pending
        assert life.thread.state == before.state == "firing"
        after = message(life.thread)
        assert (after["text"], after["attachments"][0]["color"]) == (sent["text"], sent["attachments"][0]["color"])

    def test_is_not_late_when_it_is_made(self) -> None:
        """/health says how long something has been pending: not since the last repeat."""
        life = life_of()
        repeat(life, 4 * HOUR)
        wait(life, 6 * HOUR)
        assert life.thread.pending_since == life.now

    def test_acknowledgement_holds(self) -> None:
        """Whoever works on it goes on."""
        life = life_of()
        repeat(life, 4 * HOUR)
        pressed = Press(
            op="p1", operation=Operation.ACKNOWLEDGE, user="U1", name="kim", channel=CHANNEL, ts="1.0", at=life.now
        )
        life.thread = press(life.thread, pressed, life.now, life.policy).thread
        life.deliver()
        wait(life, 6 * HOUR)
        assert life.thread.acknowledgement is not None
        assert life.action is not None
        assert not life.action.answers_press

    def test_happens_once(self, marked: Life) -> None:
        """A thread that is marked is left alone: the record itself, which a store need not write."""
        assert ages_at(marked.thread, marked.policy) == marked.thread.seen_at + 7 * DAY
        assert wait(marked, 3 * DAY) is marked.thread
        assert marked.action is None

    def test_survives_a_restart(self, marked: Life) -> None:
        """It is in the record."""
        assert decode(encode(marked.thread)) == marked.thread

    def test_thread_still_becomes_stale(self, marked: Life) -> None:
        """A week after it was last heard of; the root says that it is stale, and no more."""
        wait(marked, 7 * DAY - 6 * HOUR - 1)
        assert not marked.thread.stale
        wait(marked, 1)
        assert marked.deliver() == [Step.UPDATE_ROOT]
        assert (marked.thread.stale, mark(marked.thread)) == (True, "")
        assert age(marked.thread, marked.now, marked.policy) is None

    def test_service_that_was_away_for_a_week_does_not_mark(self) -> None:
        """What is stale is closed, at once."""
        life = life_of()
        repeat(life, 4 * HOUR)
        wait(life, 7 * DAY)
        assert (life.thread.stale, life.thread.unconfirmed_since) == (True, None)

    def test_of_what_ends_at_the_same_time_none_is_lost(self) -> None:
        """An acknowledgement that has expired and a missed repeat, found together after a stop."""
        life = life_of(ack_timeout=5 * HOUR)
        repeat(life, 4 * HOUR)
        pressed = Press(
            op="p1", operation=Operation.ACKNOWLEDGE, user="U1", name="kim", channel=CHANNEL, ts="1.0", at=life.now
        )
        life.thread = press(life.thread, pressed, life.now, life.policy).thread
        wait(life, DAY)
        wait(life, 0)
        assert (life.thread.acknowledgement, mark(life.thread)) == (None, "Not confirmed since 12:00 UTC")

    def test_thread_that_never_repeated_is_never_marked(self) -> None:
        """Nobody knows when its repeat is due."""
        life = life_of()
        assert wait(life, 7 * DAY - 1) is life.thread

    def test_resolved_thread_is_never_marked(self) -> None:
        """Nothing more is expected of it."""
        life = life_of()
        repeat(life, 4 * HOUR)
        life.notify(alert("a", "resolved"))
        assert ages_at(life.thread, life.policy) is None
        life.deliver()
        assert age(life.thread, life.now + DAY, life.policy) is None

    def test_root_of_a_resolved_thread_says_nothing(self, marked: Life) -> None:
        """Whatever its record still has: the end may be known from elsewhere than a notification."""
        over = apply(marked.thread, change(alert("a", "resolved")), marked.now, marked.policy).thread
        assert mark(msgspec.structs.replace(over, unconfirmed_since=NOW)) == ""

    def test_is_not_in_replies(self, marked: Life) -> None:
        """One that tells of a repeat lists the same times as the root."""
        sent = render(marked.thread, Step.POST_REPLY, Batch(repeated=True), environment="test")
        assert lines(sent)[0].startswith("Started: ")
        assert not any("onfirmed" in line for line in lines(sent))


class TestLifting:
    """Any word of the thread lifts its mark."""

    @pytest.mark.parametrize("repeats", RepeatPolicy)
    def test_by_a_repeat(self, repeats: RepeatPolicy) -> None:
        """Whatever the policy does with repeats."""
        life = life_of(repeat=repeats)
        repeat(life, 4 * HOUR)
        wait(life, 6 * HOUR)
        life.deliver()
        wait(life, HOUR)
        life.notify(alert("a"), **REPEATS)
        assert Step.UPDATE_ROOT in life.deliver()
        assert mark(life.thread) == ""
        assert life.root == rendered(life.thread)
        assert ages_at(life.thread, life.policy) == life.now + 6 * HOUR

    def test_by_an_event(self, marked: Life) -> None:
        """Another alert joins."""
        marked.notify(alert("b"))
        marked.now += DEBOUNCE
        assert marked.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert (mark(marked.thread), marked.root) == ("", rendered(marked.thread))

    def test_by_the_end(self, marked: Life) -> None:
        """It resolves after all; a re-fire begins without the mark."""
        marked.notify(alert("a", "resolved"))
        marked.deliver()
        assert mark(marked.thread) == ""
        marked.notify(alert("a"))
        assert mark(marked.thread) == ""

    def test_by_a_new_text(self, marked: Life) -> None:
        """And its edit does not wait for the minute of new texts."""
        marked.now += DEBOUNCE
        assert marked.notify(described("another")).reason is Reason.REPEATED
        assert marked.deliver() == [Step.UPDATE_ROOT]
        assert mark(marked.thread) == ""

    @pytest.mark.parametrize("seconds", [0, 15, 61, 20 * MINUTE])
    def test_by_a_duplicate(self, seconds: float) -> None:
        """Also by one that would not be written: the clock was set back to just after it was last heard of."""
        life = life_of()
        repeat(life, 4 * HOUR)
        seen_at = life.now
        wait(life, 6 * HOUR)
        life.deliver()
        life.now = seen_at + seconds
        assert life.notify(alert("a")).reason is Reason.REFRESHED
        assert life.thread.pending_since == life.thread.seen_at == life.now
        life.now += life.wait
        assert life.deliver() == [Step.UPDATE_ROOT]
        assert mark(life.thread) == ""
        assert life.notify(alert("a")).reason is Reason.DUPLICATE

    def test_is_not_held_back_like_a_new_text(self, marked: Life) -> None:
        """The mark was put there a moment ago."""
        marked.now = marked.thread.seen_at + 1
        marked.thread.shown.at = marked.now
        marked.notify(described("another"))
        assert marked.action is not None
        assert marked.action.at == marked.now + DEBOUNCE

    def test_where_the_setting_is_off_again(self, marked: Life) -> None:
        """A mark that is left in a record goes with the next notification, and none is made."""
        marked.policy = Policy()
        assert ages_at(marked.thread, marked.policy) == marked.thread.seen_at + 7 * DAY
        wait(marked, HOUR)
        marked.notify(alert("a"), **REPEATS)
        assert marked.deliver() == [Step.UPDATE_ROOT]
        assert mark(marked.thread) == ""
        assert wait(marked, 6 * DAY) is marked.thread


class TestLearning:
    """How long a repeat takes to come."""

    @pytest.mark.parametrize("repeats", RepeatPolicy)
    @pytest.mark.parametrize("reason", ["", "repeat interval elapsed"])
    @pytest.mark.parametrize(
        ("gaps", "interval"),
        [
            ([HOUR], HOUR),
            ([HOUR, HOUR, HOUR], HOUR),
            ([HOUR, HOUR + 5 * MINUTE, HOUR - 5 * MINUTE], HOUR + 5 * MINUTE),
            ([40 * MINUTE, 50 * MINUTE, HOUR], HOUR),
            ([HOUR, 1.5 * HOUR - 1], 1.5 * HOUR - 1),
            ([HOUR, 1.5 * HOUR, HOUR], HOUR),
            ([HOUR, 10 * HOUR, 20 * HOUR], HOUR),
            ([4 * HOUR, 15.0, 4 * HOUR - 15], 4 * HOUR),
            ([12 * HOUR, HOUR], 12 * HOUR),
            ([20 * MINUTE, 20 * MINUTE], 20 * MINUTE),
        ],
    )
    def test_longest_time_counts(self, repeats: RepeatPolicy, reason: str, gaps: list[float], interval: float) -> None:
        """Whether Alertmanager says that it repeats or time does, but for a time in which a repeat was missed."""
        life = life_of(repeat=repeats)
        for gap in gaps:
            wait(life, gap)
            life.notify(alert("a"), reason=reason)
        assert life.thread.repeat_interval == interval
        assert ages_at(life.thread, life.policy) == life.thread.seen_at + 1.5 * interval

    def test_time_in_which_the_service_was_stopped_is_none(self) -> None:
        """It was not there to mark the thread, nor to hear a repeat."""
        life = life_of()
        repeat(life, HOUR)
        life.now += 5 * HOUR
        life.notify(alert("a"), **REPEATS)
        assert life.thread.repeat_interval == HOUR

    @pytest.mark.parametrize("back", [1.0, HOUR, 5 * HOUR])
    def test_clock_that_is_set_back_teaches_nothing(self, back: float) -> None:
        """Between two repeats, or before the first."""
        life = life_of()
        life.now -= back
        life.notify(alert("a"), **REPEATS)
        assert life.thread.repeat_interval == 0
        life.now += HOUR
        life.notify(alert("a"), **REPEATS)
        assert life.thread.repeat_interval == HOUR
        life.now -= back
        life.notify(alert("a"), **REPEATS)
        assert (life.thread.repeat_interval, life.thread.seen_at) == (HOUR, life.now)

    def test_clock_that_is_set_back_while_marked_teaches_nothing(self, marked: Life) -> None:
        """Between the repeats before and after the mark lies a missed one, however short the time looks."""
        marked.now = marked.thread.seen_at + 5 * HOUR
        marked.notify(alert("a"), **REPEATS)
        assert (marked.thread.repeat_interval, mark(marked.thread)) == (4 * HOUR, "")

    @pytest.mark.parametrize("early", [1.0, 20.0])
    def test_copy_of_a_peer_is_no_repeat(self, early: float) -> None:
        """The first peer's repeat comes just before half an hour has passed, the second's just after."""
        life = life_of()
        wait(life, REPEAT_AFTER - early)
        life.notify(alert("a"))
        wait(life, early)
        life.notify(alert("a"))
        assert life.thread.repeat_interval == 0
        wait(life, REPEAT_AFTER)
        life.notify(alert("a"))
        assert life.thread.repeat_interval >= REPEAT_AFTER

    def test_alerts_that_are_repeated_one_by_one_teach_nothing(self) -> None:
        """With ``group_by: [...]`` each alert has its own time: what lies between them says nothing of it."""
        life = life_of()
        wait(life, 3 * HOUR)
        life.notify(alert("b"))
        for _ in range(5):
            repeat(life, HOUR, "a")
            repeat(life, 3 * HOUR, "b")
        assert (life.thread.repeat_interval, life.thread.unconfirmed_since) == (0, None)

    def test_end_of_another_groups_alert_is_no_repeat(self) -> None:
        """It was heard of half an hour before the others are repeated, by chance."""
        life = life_of()
        wait(life, 3 * HOUR)
        life.notify(alert("b"))
        life.notify(alert("b", "resolved"))
        repeat(life, 40 * MINUTE)
        assert life.thread.repeat_interval == 0
        repeat(life, 4 * HOUR)
        assert life.thread.repeat_interval == 4 * HOUR

    def test_group_that_grew_repeats_as_a_whole(self) -> None:
        """Its first repeat after that counts already."""
        life = life_of()
        wait(life, 5 * MINUTE)
        life.notify(alert("a"), alert("b"))
        repeat(life, 4 * HOUR, "a", "b")
        assert life.thread.repeat_interval == 4 * HOUR

    def test_grafanas_test_is_no_repeat(self) -> None:
        """Whoever presses the button again does so when they like."""
        pressed = alert("t", labels={"alertname": "TestAlert", "instance": "Grafana"})
        life = Life(MARKS)
        life.notify(pressed)
        for _ in range(3):
            wait(life, HOUR)
            life.notify(pressed)
        assert life.thread.repeat_interval == 0

    @given(st.lists(st.floats(1, 3 * DAY), max_size=20), st.sampled_from(RepeatPolicy))
    def test_thread_is_marked_exactly_while_a_repeat_is_overdue(self, gaps: list[float], repeats: RepeatPolicy) -> None:
        """Whatever the times between the repeats: by one and a half of the longest before."""
        life = life_of(repeat=repeats)
        for gap in gaps:
            seen_at, interval = life.thread.seen_at, life.thread.repeat_interval
            overdue_at = seen_at + 1.5 * interval if interval else seen_at + 4 * DAY
            life.now += gap
            life.age()
            assert bool(mark(life.thread)) is (life.now >= overdue_at)
            life.notify(alert("a"), **REPEATS)
            assert mark(life.thread) == ""
            learned = life.thread.repeat_interval
            assert learned in (interval, life.now - seen_at)
            assert learned >= interval
            assert not interval or learned < 1.5 * interval


class TestOff:
    """Without the setting nothing changes, not a byte."""

    @pytest.mark.parametrize(
        ("environ", "marks"),
        [
            ({}, False),
            ({"UNCONFIRMED": "off"}, False),
            ({"UNCONFIRMED": "mark"}, True),
            ({"UNCONFIRMED": "mark", "ALERTMANAGER_URL": "http://am.test:9093"}, False),
        ],
    )
    def test_only_where_alertmanager_cannot_be_asked(self, environ: dict[str, str], marks: bool) -> None:
        """With its address, what fires is confirmed by Alertmanager itself."""
        settings = Settings.from_environ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_CHANNEL": CHANNEL, **environ})
        assert make_service(settings).policy.marks_unconfirmed is marks

    def test_nothing_is_learned_or_written(self) -> None:
        """The record is the same as that of a policy which marks, but for what is learned."""
        marks, off = life_of(), life_of(marks_unconfirmed=False)
        for gap in (4 * HOUR, 10.0, 70.0, 3 * HOUR, 5.0):
            written = []
            for life in (marks, off):
                life.now += gap
                before = life.thread
                life.notify(alert("a"))
                written.append(life.thread is not before)
                life.deliver()
            assert written[0] is written[1]
            assert encode(msgspec.structs.replace(marks.thread, repeat_interval=0)) == encode(off.thread)
        assert (marks.thread.repeat_interval, b"repeat_interval" in encode(off.thread)) == (4 * HOUR, False)
        assert wait(off, 7 * DAY - 1) is off.thread

    def test_interval_that_was_learned_marks_nothing(self) -> None:
        """It stays in the record, for when the setting is on again."""
        life = life_of()
        repeat(life, 4 * HOUR)
        assert ages_at(life.thread, Policy()) == life.thread.seen_at + 7 * DAY
        assert age(life.thread, life.now + DAY, Policy()) is life.thread
