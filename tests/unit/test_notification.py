"""What a notification makes of a thread, by the rules' numbers (see alert_threader/threads/__init__.py)."""

from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.threads import (
    DEFAULT_MAP,
    EventKind,
    Failed,
    Policy,
    Reason,
    RepeatPolicy,
    Severities,
    Step,
    Unknown,
    Wait,
    apply,
)
from alert_threader.threads.events import MAX_TRACED
from alert_threader.threads.notification import REPEAT_AFTER
from alert_threader.threads.plan import DEBOUNCE, TEXT_DEBOUNCE, is_delivered
from alert_threader.threads.record import MAX_ALERTS, MAX_DETAILED, Common
from alert_threader.threads.schema import encode
from tests.build import CHANNEL, DAY, HOUR, NOW, alert, change, described, thread
from tests.life import Life, message, rendered

OTHER_CHANNEL = "C0000002"


class TestRule1And2Events:
    """What is an event."""

    def test_first_firing_opens_the_thread(self, life: Life) -> None:
        """A new alert in no thread is posted as a root."""
        assert life.notify(alert("a")).reason is Reason.OPENED
        assert life.due is Step.POST_ROOT
        assert life.call() == ["a fired"]
        assert life.thread.ts == "1.0"
        assert life.action is None

    def test_mixed_group_takes_each_alert_by_its_own_status(self, delivered: Life) -> None:
        """One alert resolves while another joins: the reply says both, the thread still fires."""
        applied = delivered.notify(alert("a", "resolved"), alert("b"))
        assert (applied.reason, applied.fired, applied.resolved) == (Reason.FIRED, 1, 1)
        assert delivered.call() == ["a resolved", "b fired"]
        assert delivered.thread.status is Status.FIRING
        assert (delivered.thread.firing, delivered.thread.resolved) == (1, 1)

    def test_same_status_again_is_a_duplicate(self, delivered: Life) -> None:
        """A retry or an HA peer's copy changes nothing."""
        before = delivered.thread
        assert delivered.notify(alert("a")).reason is Reason.DUPLICATE
        assert delivered.thread is before

    def test_resolution_is_delivered_once(self, delivered: Life) -> None:
        """The thread turns green with one reply and one edit; the peer's copy adds nothing."""
        assert delivered.notify(alert("a", "resolved")).reason is Reason.RESOLVED
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert delivered.notify(alert("a", "resolved")).reason is Reason.DUPLICATE
        assert delivered.action is None

    def test_alert_named_twice_in_one_notification_is_folded(self, life: Life) -> None:
        """Two states of one alert in a payload leave the later one, counted as two changes."""
        life.notify(alert("a"), alert("a", "resolved"))
        event = life.thread.pending.events["a"]
        assert (event.kind, event.changes) == (EventKind.RESOLVED, 2)

    def test_notification_names_the_alert_it_is_about(self, life: Life) -> None:
        """For the log and the answer."""
        assert life.notify(alert("a")).alertname == "Down"
        assert life.notify(alert("b", labels={})).alertname == "unknown"

    def test_times_that_the_sender_leaves_out_are_those_of_arrival(self, life: Life) -> None:
        """A webhook written by hand."""
        life.notify(alert("a", starts_at=None))
        life.now += 60
        life.notify(alert("a", "resolved"))
        state = life.thread.alerts["a"]
        assert (state.starts_at, state.ends_at) == (NOW, NOW + 60)


class TestRule3StartsAt:
    """startsAt is no identity."""

    def test_refire_with_the_old_start_counts(self, delivered: Life) -> None:
        """A re-fire may carry the startsAt of the firing before it."""
        delivered.notify(alert("a", "resolved"))
        delivered.deliver()
        assert delivered.notify(alert("a", starts_at=NOW)).reason is Reason.REOPENED

    def test_each_press_of_grafanas_test_button_is_told(self) -> None:
        """Whoever presses it waits for a message, whatever the policy says of repeats."""
        pressed = alert("t", labels={"alertname": "TestAlert", "instance": "Grafana"})
        life = Life(Policy(repeat=RepeatPolicy.IGNORE))
        life.notify(pressed)
        assert life.deliver() == [Step.POST_ROOT]
        for _ in range(2):
            life.now += 5
            assert life.notify(pressed).reason is Reason.REPEATED
            assert Step.POST_REPLY in life.deliver()

    def test_repeat_with_a_new_start_is_no_event(self, delivered: Life) -> None:
        """Prometheus restarts give a firing alert a new startsAt."""
        assert delivered.notify(alert("a", starts_at=NOW + 60)).reason is Reason.DUPLICATE

    def test_late_firing_is_never_discarded(self, delivered: Life) -> None:
        """A firing that started before the resolution still fires."""
        delivered.now += 60
        delivered.notify(alert("a", "resolved", ends_at=NOW + 60))
        assert delivered.notify(alert("a", starts_at=NOW - 60)).reason is Reason.REOPENED


class TestRule4Reopening:
    """Resolved threads stay open for a while."""

    def test_refire_within_the_window_reopens(self, delivered: Life) -> None:
        """The same thread goes on, red again at once, its flaps counted."""
        delivered.notify(alert("a", "resolved"))
        delivered.deliver()
        delivered.now += HOUR - 1
        assert delivered.notify(alert("a")).reason is Reason.REOPENED
        assert delivered.thread.pending.reopened
        assert delivered.thread.flaps == 1
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert delivered.thread.ts == "1.0"

    def test_refire_after_the_window_opens_a_new_thread(self, delivered: Life) -> None:
        """Threads do not grow for ever."""
        delivered.notify(alert("a", "resolved"))
        delivered.deliver()
        delivered.now += HOUR
        assert delivered.notify(alert("a")).reason is Reason.OPENED
        assert delivered.thread.ts is None
        assert delivered.thread.flaps == 0

    def test_window_does_not_cut_off_what_is_pending(self, delivered: Life) -> None:
        """An outage longer than the window must not lose the resolution: the old thread goes on."""
        delivered.notify(alert("a", "resolved"))
        delivered.now += 2 * HOUR
        assert delivered.notify(alert("a")).reason is Reason.REOPENED
        assert delivered.call() == ["a fired"]

    def test_resolution_after_the_window_stays_in_its_thread(self, delivered: Life) -> None:
        """Only a firing opens a thread anew."""
        delivered.notify(alert("a", "resolved"))
        delivered.deliver()
        delivered.now += 2 * HOUR
        assert delivered.notify(alert("b", "resolved")).reason is Reason.RESOLVED
        assert delivered.thread.ts == "1.0"


class TestRule5UnknownResolution:
    """Alertmanager can resolve what was never heard of."""

    def test_opens_a_resolved_thread(self, life: Life) -> None:
        """The alert came and went while the service was down: one green root and nothing more."""
        assert life.notify(alert("a", "resolved")).reason is Reason.OPENED_RESOLVED
        assert life.deliver() == [Step.POST_ROOT]
        assert life.thread.shown.status == "resolved"

    def test_joins_a_thread_that_fires(self, delivered: Life) -> None:
        """In a known thread it is delivered like any other resolution."""
        assert delivered.notify(alert("a"), alert("b", "resolved")).reason is Reason.RESOLVED
        assert delivered.call() == ["b resolved"]


class TestRule6LeftOut:
    """Alerts that a notification leaves out."""

    def test_missing_alerts_say_nothing(self, delivered: Life) -> None:
        """An alert that a later notification does not name still fires."""
        delivered.notify(alert("b"))
        delivered.deliver()
        delivered.notify(alert("b", "resolved"))
        assert delivered.thread.alerts["a"].status is Status.FIRING

    def test_number_left_out_is_kept_for_the_root(self, delivered: Life) -> None:
        """max_alerts cut some off: the root will say how many."""
        delivered.notify(alert("b"), truncated=7)
        assert delivered.thread.truncated == 7


class TestRule7Repeats:
    """A repeat of an unchanged thread."""

    def test_is_recognised_by_alertmanagers_reason(self, delivered: Life) -> None:
        """Newer Alertmanagers say that they repeat; the root is edited and counts."""
        delivered.now += 61
        assert delivered.notify(alert("a"), reason="repeat interval elapsed").reason is Reason.REPEATED
        assert delivered.thread.repeats == 1
        assert delivered.deliver() == [Step.UPDATE_ROOT]

    def test_is_recognised_by_time(self, delivered: Life) -> None:
        """Older ones do not: half an hour after the last notification it is a repeat."""
        delivered.now += REPEAT_AFTER - 1
        assert delivered.notify(alert("a")).reason is Reason.DUPLICATE
        delivered.now += 1
        assert delivered.notify(alert("a")).reason is Reason.REPEATED

    def test_of_an_ha_peer_counts_once(self, delivered: Life) -> None:
        """Both Alertmanagers of a pair send the repeat."""
        delivered.now += HOUR
        delivered.notify(alert("a"), reason="repeat interval elapsed")
        delivered.now += 15
        assert delivered.notify(alert("a"), reason="repeat interval elapsed").reason is Reason.DUPLICATE

    def test_can_be_delivered_in_a_reply(self) -> None:
        """REPEAT_POLICY=reply."""
        life = Life(Policy(repeat=RepeatPolicy.REPLY))
        life.notify(alert("a"))
        life.deliver()
        life.now += HOUR
        life.notify(alert("a"), webhook="w2")
        assert life.thread.pending.repeated
        assert life.thread.pending.webhooks == ("w2",)
        assert life.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]

    def test_can_be_ignored(self) -> None:
        """REPEAT_POLICY=ignore."""
        life = Life(Policy(repeat=RepeatPolicy.IGNORE))
        life.notify(alert("a"))
        life.deliver()
        life.now += HOUR
        assert life.notify(alert("a")).reason is Reason.DUPLICATE
        assert life.action is None

    def test_of_a_resolved_thread_is_none(self, delivered: Life) -> None:
        """Only what burns can still burn."""
        delivered.notify(alert("a", "resolved"))
        delivered.deliver()
        delivered.now += HOUR / 2 + 1
        assert delivered.notify(alert("a", "resolved")).reason is Reason.DUPLICATE

    def test_count_begins_anew_after_the_thread_resolved(self, delivered: Life) -> None:
        """How often the root says that it was notified is said of this firing, not of the one before."""
        delivered.now += HOUR
        delivered.notify(alert("a"))
        delivered.notify(alert("a", "resolved"))
        assert delivered.thread.repeats == 0


class TestRule8Outage:
    """Fired and resolved before anything was delivered."""

    def test_is_delivered_once_in_the_final_state(self, life: Life) -> None:
        """One root, green from the start."""
        life.notify(alert("a"))
        life.notify(alert("a", "resolved"))
        assert life.deliver() == [Step.POST_ROOT]
        assert life.thread.shown.status == "resolved"

    def test_many_changes_are_one_reply(self, delivered: Life) -> None:
        """Whatever waited is one message, the newest state of each alert, its changes counted."""
        delivered.notify(alert("a", "resolved"), alert("b"))
        delivered.notify(alert("a"))
        delivered.notify(alert("a", "resolved"), alert("c"))
        event = delivered.thread.pending.events["a"]
        assert (event.kind, event.changes) == (EventKind.RESOLVED, 3)
        assert delivered.call() == ["b fired", "a resolved", "c fired"]
        assert delivered.due is not Step.POST_REPLY

    def test_message_is_traced_to_the_newest_of_many_webhooks(self, life: Life) -> None:
        """An outage of a day does not make a record grow."""
        for number in range(MAX_TRACED + 5):
            life.notify(alert("a", "resolved" if number % 2 else "firing"), webhook=f"w{number}")
        webhooks = life.thread.pending.webhooks
        assert (len(webhooks), webhooks[-1]) == (MAX_TRACED, f"w{MAX_TRACED + 4}")


class TestRule10Once:
    """A notification is applied once however often it arrives."""

    def test_applying_again_changes_nothing(self, life: Life) -> None:
        """A store may run apply again, and Alertmanager sends again."""
        webhook = (alert("a"), alert("b", "resolved"))
        life.notify(*webhook)
        before = life.thread
        life.notify(*webhook)
        assert life.thread is before

    def test_apply_leaves_the_given_record_alone(self, delivered: Life) -> None:
        """On a conflict the store applies to the same record again."""
        encoded = encode(delivered.thread)
        apply(delivered.thread, change(alert("a", "resolved"), alert("b")), NOW + 1, Policy())
        assert encode(delivered.thread) == encoded

    @pytest.mark.parametrize("seconds", [0, 59, 60, 600, -1, -600])
    def test_duplicate_changes_at_most_when_the_thread_was_heard_of(self, delivered: Life, seconds: float) -> None:
        """Whatever else its sender says otherwise: an HA peer has another address, a stale replica another channel."""
        before = delivered.thread
        delivered.now += seconds
        peers = {"external_url": "http://peer.test", "channel": OTHER_CHANNEL, "truncated": 3, "webhook": "w9"}
        assert delivered.notify(alert("a"), **peers).reason is Reason.DUPLICATE
        assert msgspec.structs.replace(delivered.thread, seen_at=before.seen_at) == before
        assert delivered.action is None

    @pytest.mark.parametrize(("seconds", "written"), [(0, False), (59, False), (60, True), (-1, True)])
    def test_most_duplicates_write_nothing(self, delivered: Life, seconds: float, written: bool) -> None:
        """The record itself, which a store need not write, unless it was last heard of a minute ago."""
        before = delivered.thread
        delivered.now += seconds
        delivered.notify(alert("a"))
        assert (delivered.thread is not before) is written
        assert delivered.thread.seen_at == (delivered.now if written else NOW)


class TestRevision:
    """What the root shows is compared with what it would show now, and never listed."""

    def test_refire_with_a_new_description_edits_the_root(self, life: Life) -> None:
        """Each alert of a thread that stays open resolves and fires again with another text.

        Its root said the old one for ever: nothing that it was compared by had changed.
        """
        life.notify(described("2 % free", "a"), described("2 % free", "b"))
        life.deliver()
        before = life.root
        for name in "ab":
            life.notify(alert(name, "resolved"))
            life.notify(described("0 % free", name))
        life.now += DEBOUNCE
        assert life.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert life.root == rendered(life.thread) != before
        assert "0 % free" in str(message(life.thread))

    @pytest.mark.parametrize(
        ("fields", "notified"),
        [
            ({"annotations": {"summary": "Gone"}}, {}),
            ({"annotations": {"runbook_url": "https://wiki.test"}}, {}),
            ({"links": {"dashboard": "https://graph.test"}}, {}),
            ({"values": "A=1"}, {}),
            ({"labels": {"alertname": "Down", "severity": "critical", "team": "x"}}, {}),
            ({}, {"truncated": 3}),
            ({}, {"external_url": "http://am.test"}),
        ],
        ids=["summary", "runbook", "link", "values", "labels", "truncation", "address"],
    )
    def test_whatever_is_new_in_a_refire_edits_the_root(
        self, life: Life, fields: dict[str, Any], notified: dict[str, Any]
    ) -> None:
        """In a thread that is otherwise as it was, before anything of it was delivered."""
        life.notify(alert("a"), alert("b"))
        life.deliver()
        before = life.root
        life.notify(alert("a", "resolved"), alert("b"))
        life.notify(alert("a", **fields))
        life.notify(alert("a", **fields), alert("b", "resolved"))
        life.notify(alert("b", **fields), **notified)
        life.now += DEBOUNCE
        life.deliver()
        assert life.root == rendered(life.thread) != before

    def test_new_text_of_an_alert_that_fires_on_is_shown(self, life: Life) -> None:
        """What is shown is what was last said: a disk that was 91 % full is 99 % full now.

        It is no event, and waits a minute behind all else: two Prometheus replicas never agree on a value.
        """
        life.notify(alert("a", annotations={"summary": "91 % full"}, values="A=91"))
        life.deliver()
        root = life.thread.shown.at
        life.now += 20
        new = alert("a", annotations={"summary": "99 % full"}, values="A=99")
        assert life.notify(new, external_url="http://peer.test").reason is Reason.REFRESHED
        assert (life.thread.title, life.thread.external_url, life.thread.repeats) == ("99 % full", "", 0)
        assert life.action is not None
        assert (life.action.at, life.action.rank[0] > 10) == (root + TEXT_DEBOUNCE, True)
        assert is_delivered(life.thread, life.now)
        life.now = root + TEXT_DEBOUNCE
        assert life.deliver() == [Step.UPDATE_ROOT]
        assert all(text in str(message(life.thread)) for text in ("99 % full", "A=99"))
        assert life.notify(new).reason is Reason.DUPLICATE

    def test_event_does_not_wait_for_the_minute_of_new_texts(self, delivered: Life) -> None:
        """It edits the root as soon as ever, and the texts with it."""
        delivered.notify(described("another text"))
        delivered.notify(alert("b"))
        assert delivered.start() is Step.POST_REPLY
        delivered.end(delivered.succeed(Step.POST_REPLY))
        assert delivered.action is not None
        assert delivered.action.at == delivered.thread.shown.at + DEBOUNCE

    def test_new_texts_are_ignored_where_repeats_are(self) -> None:
        """With REPEAT_POLICY=ignore the root says what the firing said."""
        life = Life(Policy(repeat=RepeatPolicy.IGNORE))
        life.notify(described("2 % free"))
        life.deliver()
        assert life.notify(described("0 % free")).reason is Reason.DUPLICATE
        assert life.action is None

    def test_text_that_is_cut_is_not_new_each_time(self, life: Life) -> None:
        """It is compared as it is kept."""
        life.notify(described("x" * 5000))
        life.deliver()
        assert life.notify(described("x" * 5000)).reason is Reason.DUPLICATE

    def test_words_of_a_resolution_are_kept_beside_those_of_the_firing(self, life: Life) -> None:
        """Rule 11: the root keeps the firing's, the reply can say why it ended."""
        life.notify(alert("a", annotations={"summary": "91 % full", "team": "db"}))
        life.notify(alert("a", "resolved", annotations={"summary": "80 % full", "team": "db", "why": "cleaned"}))
        state = life.thread.alerts["a"]
        assert state.annotations == {"summary": "91 % full", "team": "db"}
        assert state.ended_with == {"summary": "80 % full", "why": "cleaned"}
        life.notify(alert("a", annotations={"summary": "98 % full"}))
        assert (life.thread.title, life.thread.alerts["a"].ended_with) == ("98 % full", {})

    def test_worse_severity_edits_the_root(self) -> None:
        """A second alert of another severity, in a thread of a whole group."""
        life = Life()
        for severity in ("warning", "critical"):
            life.notify(alert(severity, labels={"alertname": "Down", "severity": severity}))
            life.now += DEBOUNCE
            life.deliver()
        assert life.thread.severity == "critical"
        assert life.root == rendered(life.thread)

    def test_root_that_would_look_the_same_is_not_edited(self, delivered: Life) -> None:
        """What came and went between two calls costs no call."""
        delivered.notify(alert("b"))
        delivered.now += DEBOUNCE
        delivered.deliver()
        delivered.notify(alert("b", "resolved"))
        delivered.notify(alert("b"))
        delivered.now += DEBOUNCE
        assert delivered.deliver() == [Step.POST_REPLY]
        assert delivered.action is None


class TestMove:
    """SLACK_CHANNEL has changed."""

    def test_thread_gets_a_root_in_the_new_channel(self, delivered: Life) -> None:
        """With the next word of it, in its state of then."""
        delivered.notify(alert("b"), channel=OTHER_CHANNEL)
        assert delivered.deliver() == [Step.POST_ROOT]
        assert delivered.thread.channel == OTHER_CHANNEL
        assert delivered.thread.firing == 2

    def test_what_the_old_channel_did_not_take_is_delivered_in_the_new_one(self, life: Life) -> None:
        """The old one is archived, say, and that was why."""
        life.notify(alert("a"))
        life.call(Unknown(error="x", retry=Wait(NOW + 60, 60)))
        life.notify(alert("a", "resolved"), channel=OTHER_CHANNEL)
        assert life.call() == ["a resolved"]

    def test_new_channel_is_tried_at_once(self, life: Life) -> None:
        """The wait was for the old one."""
        life.notify(alert("a"))
        life.call(Failed(error="is_archived", retry=Wait(NOW + 60, 60)))
        life.notify(alert("b"), channel=OTHER_CHANNEL)
        assert life.call() == ["a fired", "b fired"]
        assert life.thread.error == ""

    def test_copy_of_another_replica_does_not_move_it(self, delivered: Life) -> None:
        """While replicas are restarted with the new channel, duplicates must not send a thread to and fro."""
        delivered.notify(alert("a"), channel=OTHER_CHANNEL)
        assert delivered.thread.channel == CHANNEL
        assert delivered.action is None


class TestCaps:
    """A thread of any size stays small, and its counts right."""

    def test_details_are_kept_for_some_only(self, life: Life) -> None:
        """All alerts are counted and named; some more are kept whole until a message has told of them."""
        life.notify(*(alert(f"n{i}") for i in range(MAX_DETAILED + 100)))
        assert sum(state.is_detailed for state in life.thread.alerts.values()) == MAX_DETAILED + 20
        life.deliver()
        life.notify(alert("new"))
        states = life.thread.alerts.values()
        assert sum(state.is_detailed for state in states) == MAX_DETAILED
        assert life.thread.alerts["new"].is_detailed
        assert life.thread.firing == MAX_DETAILED + 101
        assert all(state.name for state in states)

    def test_what_the_others_have_in_common_is_kept(self, life: Life) -> None:
        """It is narrowed by each that is kept no longer, and read anew where a notification speaks of all of them."""

        def some(text: str, odd: str) -> list[Alert]:
            return [
                alert(f"n{i}", labels={"alertname": "Down", "i": str(i)}, annotations={"d": odd if i == 99 else text})
                for i in range(100)
            ]

        life.notify(*some("d", "d"))
        shared = Common(labels={"alertname": "Down"}, differing=("i",))
        assert life.thread.common == msgspec.structs.replace(shared, annotations={"d": "d"})
        life.now += REPEAT_AFTER
        life.notify(*some("d", "odd"))
        assert life.thread.common == shared
        life.now += REPEAT_AFTER
        life.notify(*some("e", "e"))
        assert life.thread.common == msgspec.structs.replace(shared, annotations={"d": "e"})

    def test_new_alert_takes_the_place_of_a_resolved_one(self, life: Life) -> None:
        """In a thread that lives long the newest alert can still be described."""
        life.notify(*(alert(f"n{i}") for i in range(MAX_DETAILED)))
        life.notify(alert("n0", "resolved"))
        life.deliver()
        life.notify(alert("new"))
        assert life.thread.alerts["new"].labels
        assert not life.thread.alerts["n0"].labels

    def test_oldest_resolved_alerts_are_only_counted(self, life: Life) -> None:
        """Pods that come and go for weeks do not fill the store; what is pending is kept."""
        life.notify(*(alert(f"n{i}", "resolved") for i in range(MAX_ALERTS)))
        life.deliver()
        life.notify(*(alert(f"m{i}") for i in range(10)))
        assert len(life.thread.alerts) == MAX_ALERTS
        assert life.thread.resolved == MAX_ALERTS
        assert life.thread.firing == 10

    def test_alerts_under_way_are_kept(self, life: Life) -> None:
        """A message that is being delivered can name its alerts, though more of them come than are kept."""
        life.notify(*(alert(f"n{i}", "resolved") for i in range(MAX_ALERTS)))
        life.start()
        life.notify(alert("one-more"))
        assert len(life.thread.alerts) == MAX_ALERTS + 1

    def test_long_texts_are_cut(self, life: Life) -> None:
        """A huge annotation does not make a huge record."""
        life.notify(alert("a", labels={"x": "y" * 100_000}, annotations={"d": "z" * 1_000_000}))
        assert len(encode(life.thread)) < 10_000

    def test_address_too_long_to_keep_is_left_out(self, life: Life) -> None:
        """A cut one leads nowhere."""
        life.notify(alert("a", links={"graph": "https://" + "x" * 3000}), external_url="http://" + "x" * 3000)
        assert life.thread.alerts["a"].links == {}
        assert life.thread.external_url == ""

    def test_values_are_those_of_the_firing(self, delivered: Life) -> None:
        """Alertmanager may send other annotations with the resolution; the root keeps what it said."""
        delivered.notify(alert("a", "resolved", annotations={"summary": "now 3%"}))
        assert delivered.thread.alerts["a"].annotations == {}


class TestTitle:
    """The root's header."""

    def test_is_the_summary_all_alerts_share(self, life: Life) -> None:
        """The most telling text there is."""
        life.notify(alert("a", annotations={"summary": "Disk full"}), alert("b", annotations={"summary": "Disk full"}))
        assert life.thread.title == "Disk full"

    def test_is_the_alerts_name_where_summaries_differ(self, life: Life) -> None:
        """A summary that names one instance is wrong for the others."""
        life.notify(alert("a", annotations={"summary": "a is down"}))
        life.notify(alert("b", annotations={"summary": "b is down"}))
        assert life.thread.title == "Down"

    def test_keeps_the_worst_severity(self, life: Life) -> None:
        """A thread of a whole group is as bad as its worst alert."""
        life.notify(alert("a", labels={"severity": "warning"}), alert("b", labels={"severity": "critical"}))
        assert life.thread.severity == "critical"

    def test_makes_no_severity_up(self, life: Life) -> None:
        """An alert without one leaves the thread without one, unless another is worse than nobody knows."""
        life.notify(alert("a", labels={"alertname": "Down"}))
        assert (life.thread.severity, life.thread.severity_level) == ("", "")
        life.notify(alert("b", labels={"alertname": "Down", "severity": "Info"}))
        assert (life.thread.severity, life.thread.severity_level) == ("", "")
        life.notify(alert("c", labels={"alertname": "Down", "severity": "Warning"}))
        assert (life.thread.severity, life.thread.severity_level) == ("warning", "warning")
        life.notify(alert("d", labels={"alertname": "Down"}))
        assert life.thread.severity == "warning"

    @pytest.mark.parametrize(
        ("word", "level"), [("P1", "critical"), ("Page", "critical"), ("hint", ""), ("Blocker", "critical"), ("xl", "")]
    )
    def test_knows_what_words_mean(self, word: str, level: str) -> None:
        """The words of the setting beside those that everybody uses; the thread keeps the sender's own."""
        known = {**DEFAULT_MAP, "blocker": "critical", "hint": "none"}
        life = Life(Policy(severities=Severities(label="priority", levels=known)))
        life.notify(alert("a", labels={"alertname": "Down", "priority": word, "severity": "debug"}))
        assert (life.thread.severity, life.thread.severity_level) == (word, level)

    def test_record_without_a_level_has_its_severitys(self) -> None:
        """It was written before levels were kept."""
        assert [thread(severity=word).severity_level for word in ("critical", "info", "page", "")] == [
            "critical",
            "info",
            "",
            "",
        ]


def test_word_of_a_thread_keeps_it_alive(delivered: Life) -> None:
    """Rule 9: any notification counts, a duplicate too."""
    delivered.now += 6 * DAY
    delivered.notify(alert("a"))
    delivered.now += 6 * DAY
    assert delivered.age() is delivered.thread
    assert not delivered.thread.stale
