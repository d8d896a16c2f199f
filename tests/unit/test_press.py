"""What a press does to a thread, how long an acknowledgement holds, and what becomes of commands and silences."""

from typing import Any

import msgspec
import pytest

from alert_threader.threads import (
    AlertThread,
    CommandKind,
    EventKind,
    Expired,
    NotDone,
    NoteKind,
    Operation,
    Policy,
    Press,
    Silence,
    Silenced,
    Step,
    Verdict,
    Wait,
    age,
    apply,
    covers,
    forget,
    next_step,
    of_target,
    plan,
    press,
    record_outcome,
    start_command,
)
from alert_threader.threads.outcome import Posted, Updated
from alert_threader.threads.plan import shown_now, start_attempt
from alert_threader.threads.press import MAX_PRESSES
from tests.build import CHANNEL, HOUR, NOW, alert, change

POLICY = Policy()
IDENTITY = {"alertname": "Down", "severity": "critical", "service": "", "cluster": ""}
ROOT = "1.0"


def opened(*alerts: Any, **fields: Any) -> AlertThread:
    """A thread whose first message is posted, of alerts that Alertmanager ``am`` holds."""
    applied = apply(None, change(*(alerts or (alert(),)), identity=IDENTITY), NOW, POLICY).thread
    started, _ = start_attempt(applied, "first", NOW, POLICY)
    posted = record_outcome(started, "first", Posted(ts=ROOT, threaded=False), NOW, POLICY)
    states = {name: msgspec.structs.replace(state, cluster="am") for name, state in posted.alerts.items()}
    return msgspec.structs.replace(posted, alerts=states, **fields)


def pressed(operation: str, **fields: Any) -> Press:
    """A press of Kim's on that message."""
    values = {"op": "op1", "user": "U0KIM", "name": "Kim", "channel": CHANNEL, "ts": ROOT, "at": NOW + 60}
    return Press(operation=Operation(operation), **{**values, **fields})


def after(thread: AlertThread, *operations: str, **fields: Any) -> AlertThread:
    """The thread after presses, each of which did something."""
    for number, operation in enumerate(operations):
        result = press(thread, pressed(operation, **{"op": f"op-{operation}-{number}", **fields}), NOW + 60, POLICY)
        assert result.verdict.has_changed
        assert result.thread is not None
        thread = result.thread
    return thread


def kinds(thread: AlertThread) -> list[str]:
    """The notes that are to be told."""
    return [note.kind for note in thread.pending.notes]


def told(thread: AlertThread) -> AlertThread:
    """The thread with nothing left to deliver to Slack."""
    number = 0
    while next_step(thread) is not None:
        number += 1
        # Whatever was done last, this is late enough for the next edit.
        at = max(NOW + 3600, thread.shown.at + 60)
        started, step = start_attempt(thread, f"a{number}", at, POLICY)
        outcome = Updated(ts=ROOT, shown=shown_now(started)) if step is Step.UPDATE_ROOT else Posted("2.0", True)
        thread = record_outcome(started, f"a{number}", outcome, at, POLICY)
    return thread


def commanded(thread: AlertThread, outcome: Any, now: float = NOW + 61) -> AlertThread:
    """The thread after its next call to Alertmanager, with what came of it."""
    started = start_command(thread, "call", now)
    assert started is not None
    return record_outcome(started, "call", outcome, now, POLICY)


def silenced(thread: AlertThread, **fields: Any) -> AlertThread:
    """The thread with a silence of an hour by Kim."""
    asked = after(thread, "silence", seconds=HOUR, comment="disk swap", **fields)
    silence = Silence(id="s1", name="Kim", by="U0KIM", ours=True, cluster="am", ends_at=NOW + 60 + HOUR, **fields)
    return commanded(asked, Silenced(silence))


class TestWhetherItCounts:
    """A press counts on the newest first message of a thread that fires, and once."""

    def test_another_message(self) -> None:
        """An old root, another channel, a thread that is not there: nothing changes."""
        thread = opened()
        for wrong in ({"ts": "0.9"}, {"channel": "C0OTHER"}):
            result = press(thread, pressed("acknowledge", **wrong), NOW, POLICY)
            assert (result.verdict, result.thread) == (Verdict.OUT_OF_DATE, thread)
        assert press(None, pressed("acknowledge"), NOW, POLICY).verdict is Verdict.OUT_OF_DATE

    def test_faster_than_the_record(self) -> None:
        """The message stands in Slack, and its answer is not recorded yet: then it counts."""
        applied = apply(None, change(alert(), identity=IDENTITY), NOW, POLICY).thread
        started, _ = start_attempt(applied, "first", NOW, POLICY)
        assert press(started, pressed("acknowledge"), NOW, POLICY).verdict is Verdict.NOT_YET
        posted = record_outcome(started, "first", Posted(ts=ROOT, threaded=False), NOW, POLICY)
        assert press(posted, pressed("acknowledge"), NOW, POLICY).verdict is Verdict.ACKNOWLEDGED

    def test_it_came_before(self) -> None:
        """The same press changes nothing a second time, also when others came between."""
        thread = after(opened(), "acknowledge")
        thread = after(thread, "unacknowledge")
        again = press(thread, pressed("acknowledge", op="op-acknowledge-0"), NOW, POLICY)
        assert (again.verdict, again.thread) == (Verdict.DUPLICATE, thread)

    def test_presses_are_forgotten(self) -> None:
        """Only the last ones are kept."""
        thread = opened()
        for number in range(MAX_PRESSES + 5):
            thread = after(thread, "acknowledge", user=f"U{number}", op=f"o{number}")
        assert len(thread.presses) == MAX_PRESSES

    def test_a_press_that_races_the_resolve(self) -> None:
        """The thread stays resolved, and nothing is told."""
        thread = opened()
        resolved = apply(thread, change(alert(status="resolved"), identity=IDENTITY), NOW + 30, POLICY).thread
        for operation in Operation:
            result = press(resolved, pressed(operation, seconds=HOUR), NOW + 60, POLICY)
            assert (result.verdict, result.thread) == (Verdict.OVER, resolved)


class TestAcknowledgement:
    """It has an owner, is shown soon, and ends where it no longer holds."""

    def test_it_is_told_and_shown(self) -> None:
        """A reply is pending, and the root's edit goes first, without the wait that gathers other changes."""
        thread = after(opened(), "acknowledge")
        assert thread.acknowledgement is not None
        assert (thread.acknowledgement.name, thread.acknowledgement.at) == ("Kim", NOW + 60)
        assert kinds(thread) == [NoteKind.ACKNOWLEDGED]
        (action,) = plan(thread, POLICY).actions.values()
        assert (action.step, action.answers_press, action.is_due(NOW + 60)) == (Step.UPDATE_ROOT, True, True)
        other = plan(opened(alert("b"), alert("c")), POLICY).actions
        assert all(action.rank < each.rank for each in other.values())

    def test_where_edits_fail_replies_go_on(self) -> None:
        """An edit that cannot be made must not hold up what the thread has to tell."""
        thread = msgspec.structs.replace(after(opened(), "acknowledge"), failures=1)
        assert next_step(thread) is Step.POST_REPLY

    def test_the_same_person_again(self) -> None:
        """Nothing changes."""
        result = press(after(opened(), "acknowledge"), pressed("acknowledge", op="other"), NOW + 90, POLICY)
        assert result.verdict is Verdict.UNCHANGED

    def test_a_second_person_takes_it_over(self) -> None:
        """The owner is another, and it is said who was it before."""
        thread = after(after(opened(), "acknowledge"), "acknowledge", user="U0LEE", name="Lee", op="b")
        assert thread.acknowledgement is not None
        assert thread.acknowledgement.name == "Lee"
        assert (thread.pending.notes[-1].kind, thread.pending.notes[-1].text) == (NoteKind.TAKEN_OVER, "Kim")

    def test_it_is_taken_back(self) -> None:
        """By a press of anybody who may."""
        thread = after(opened(), "acknowledge", "unacknowledge")
        assert thread.acknowledgement is None
        assert kinds(thread)[-1] == NoteKind.UNACKNOWLEDGED
        assert press(thread, pressed("unacknowledge", op="x"), NOW, POLICY).verdict is Verdict.UNCHANGED

    def test_it_covers_new_alerts_that_are_no_worse(self) -> None:
        """Another critical alert is what was acknowledged."""
        thread = after(opened(), "acknowledge")
        more = apply(thread, change(alert("b"), identity=IDENTITY), NOW + 90, POLICY).thread
        assert more.acknowledgement is not None

    def test_it_ends_when_it_becomes_worse(self) -> None:
        """A warning was acknowledged; now it is critical."""
        labels = {"alertname": "Down", "severity": "warning", "instance": "a"}
        thread = after(opened(alert(labels=labels)), "acknowledge")
        worse = apply(thread, change(alert("b"), identity=IDENTITY), NOW + 90, POLICY).thread
        assert worse.acknowledgement is None
        assert kinds(worse)[-1] == NoteKind.ENDED_WORSE

    @pytest.mark.parametrize(("quiet", "kept"), [(14 * 60, True), (16 * 60, False)])
    def test_it_outlives_a_short_quiet(self, quiet: float, kept: bool) -> None:
        """A flapping problem stays acknowledged, and that is said; one that comes back later is not."""
        thread = told(after(opened(), "acknowledge"))
        resolved = apply(thread, change(alert(status="resolved"), identity=IDENTITY), NOW + 100, POLICY).thread
        again = apply(told(resolved), change(alert(), identity=IDENTITY), NOW + 100 + quiet, POLICY).thread
        assert (again.acknowledgement is not None) == kept
        assert kinds(again) == [NoteKind.KEPT if kept else NoteKind.ENDED_REOPENED]

    def test_it_ends_after_a_while(self) -> None:
        """ACK_TIMEOUT lifts it, and says so; without one it stays for ever."""
        thread = told(after(opened(), "acknowledge"))
        policy = Policy(ack_timeout=HOUR)
        assert age(thread, NOW + 60 + HOUR - 1, policy) is thread
        lifted = age(thread, NOW + 60 + HOUR, policy)
        assert lifted is not None
        assert (lifted.acknowledgement, kinds(lifted)) == (None, [NoteKind.ENDED_TIMEOUT])
        assert age(thread, NOW + 60 + HOUR, POLICY) is thread

    def test_it_survives_a_cleared_cache(self) -> None:
        """The next notification opens a new thread, which is still acknowledged."""
        kept = forget(told(after(opened(), "acknowledge")), NOW + 100)
        assert kept is not None
        anew = apply(kept, change(alert("b"), identity=IDENTITY), NOW + 200, POLICY).thread
        assert (anew.ts, anew.acknowledgement is not None) == (None, True)

    def test_a_new_problem_is_not_acknowledged(self) -> None:
        """Once the time to re-open a thread is over, nothing is left of it."""
        thread = told(after(opened(), "acknowledge"))
        resolved = told(apply(thread, change(alert(status="resolved"), identity=IDENTITY), NOW + 100, POLICY).thread)
        anew = apply(resolved, change(alert(), identity=IDENTITY), NOW + 100 + 2 * HOUR, POLICY).thread
        assert (anew.ts, anew.acknowledgement) == (None, None)


class TestSilence:
    """A silence is asked for, done once, and told when Alertmanager has it."""

    def test_it_is_asked_for(self) -> None:
        """The command waits in a lane of its own; nothing is told before it is done."""
        thread = after(opened(), "silence", seconds=HOUR)
        (command,) = thread.commands
        assert (command.kind, command.until, command.targets) == (CommandKind.SILENCE, NOW + 60 + HOUR, ("",))
        assert plan(thread, POLICY).actions["alertmanager:am"].step is Step.COMMAND
        assert kinds(thread) == []

    def test_it_is_done(self) -> None:
        """One silence, one note."""
        thread = silenced(opened())
        assert (thread.commands, [each.id for each in thread.silences]) == ((), ["s1"])
        assert kinds(thread) == [NoteKind.SILENCED]
        assert thread.pending.notes[0].until == NOW + 60 + HOUR

    def test_only_where_alertmanager_holds_it(self) -> None:
        """An alert that no Alertmanager was seen to hold cannot be silenced there."""
        thread = opened()
        thread.alerts = {name: msgspec.structs.replace(state, cluster="") for name, state in thread.alerts.items()}
        assert press(thread, pressed("silence", seconds=HOUR), NOW, POLICY).verdict is Verdict.NOT_HELD

    def test_never_more_than_the_thread(self) -> None:
        """Without its identity, or with nothing but empty matchers, nothing is silenced."""
        for identity in ({}, {"alertname": "", "severity": ""}):
            thread = opened(identity=identity)
            assert press(thread, pressed("silence", seconds=HOUR), NOW, POLICY).verdict is Verdict.NO_MATCHERS

    def test_too_long(self) -> None:
        """SILENCE_MAX holds, whatever a button said."""
        result = press(opened(), pressed("silence", seconds=POLICY.silence_max + 1), NOW, POLICY)
        assert result.verdict is Verdict.TOO_LONG

    def test_a_second_one_makes_it_longer(self) -> None:
        """It is extended, never shortened, and never doubled."""
        thread = silenced(opened())
        shorter = press(thread, pressed("silence", op="x", seconds=HOUR / 2), NOW + 70, POLICY)
        assert shorter.verdict is Verdict.UNCHANGED
        longer = press(thread, pressed("silence", op="x", seconds=4 * HOUR), NOW + 70, POLICY).thread
        assert longer is not None
        (command,) = longer.commands
        assert (command.kind, command.targets, command.until) == (CommandKind.EXTEND, ("s1",), NOW + 70 + 4 * HOUR)

    def test_it_is_extended_by_a_time(self) -> None:
        """From its end on; under the id that Alertmanager gave it then."""
        thread = after(told(silenced(opened())), "extend", seconds=HOUR)
        assert thread.commands[0].until == NOW + 60 + 2 * HOUR
        silence = msgspec.structs.replace(thread.silences[0], id="s2", ends_at=NOW + 60 + 2 * HOUR)
        extended = commanded(thread, Silenced(silence, former="s1"))
        assert [each.id for each in extended.silences] == ["s2"]
        assert kinds(extended) == [NoteKind.EXTENDED]

    def test_it_is_ended(self) -> None:
        """Our own ones only."""
        thread = told(silenced(opened()))
        thread.silences = (*thread.silences, Silence(id="theirs", name="Pat", ends_at=NOW + HOUR))
        asked = after(thread, "unsilence")
        assert asked.commands[0].targets == ("s1",)
        ended = commanded(asked, Expired("s1"))
        assert ([each.id for each in ended.silences], kinds(ended)) == (["theirs"], [NoteKind.UNSILENCED])

    def test_alerts_one_by_one(self) -> None:
        """One call for each alert that fires, one note at the end."""
        thread = after(opened(alert("a"), alert("b")), "silence", seconds=HOUR, each_alert=True)
        assert thread.commands[0].targets == ("a", "b")
        thread = commanded(thread, Silenced(Silence(id="s1", alert="a", ours=True, ends_at=NOW + HOUR)))
        assert (thread.commands[0].targets, kinds(thread)) == (("b",), [])
        thread = commanded(thread, Silenced(Silence(id="s2", alert="b", ours=True, ends_at=NOW + HOUR)))
        assert (thread.commands, kinds(thread)) == ((), [NoteKind.SILENCED])

    def test_one_alert_is_told_from_the_others(self) -> None:
        """What only another one has is matched as empty."""
        plain = {"alertname": "Down", "severity": "critical"}
        thread = opened(alert("a", labels=plain), alert("b", labels={**plain, "device": "sda"}))
        assert of_target(thread, "a") == {**plain, "service": "", "cluster": "", "device": ""}

    def test_too_many_alerts(self) -> None:
        """Eleven alerts are not silenced one by one."""
        thread = opened(*(alert(f"a{n}") for n in range(11)))
        assert press(thread, pressed("silence", seconds=HOUR, each_alert=True), NOW, POLICY).verdict is Verdict.TOO_MANY

    def test_alerts_with_different_labels_in_one_thread(self) -> None:
        """One lacks a label, the other has the value that is taken for it: no silence is for both, nor said to be."""
        other = alert("b", labels={**alert("b").labels, "service": "unknown"})
        mixed = opened(alert("a"), other)
        assert press(mixed, pressed("silence", seconds=HOUR), NOW, POLICY).verdict is Verdict.NO_MATCHERS
        assert after(mixed, "silence", seconds=HOUR, each_alert=True).commands[0].targets == ("a", "b")
        silence = Silence(id="s1", ours=True, matchers=tuple(IDENTITY.items()), ends_at=NOW + HOUR)
        assert [covers(silence, name, mixed.alerts[name]) for name in "ab"] == [True, False]

    def test_one_thing_at_a_time(self) -> None:
        """Whoever presses while Alertmanager is asked tries again: two silences of the same would be made."""
        thread = after(opened(), "silence", seconds=HOUR)
        for operation in ("silence", "extend", "unsilence"):
            result = press(thread, pressed(operation, op="x", user="U0LEE", seconds=4 * HOUR), NOW, POLICY)
            assert (result.verdict, result.thread) == (Verdict.BUSY, thread)
        assert press(thread, pressed("acknowledge", op="x"), NOW, POLICY).verdict is Verdict.ACKNOWLEDGED

    def test_alerts_that_are_silenced_already(self) -> None:
        """Only those that are not get a silence; once all have one, these are made longer."""
        thread = after(opened(alert("a"), alert("b")), "silence", seconds=HOUR, each_alert=True)
        for name in ("a", "b"):
            silence = Silence(id=f"s{name}", alert=name, ours=True, ends_at=NOW + HOUR, cluster="am")
            thread = commanded(thread, Silenced(silence))
        again = after(told(thread), "silence", seconds=2 * HOUR, each_alert=True, op="again")
        assert (again.commands[0].kind, again.commands[0].targets) == (CommandKind.EXTEND, ("sa", "sb"))
        shorter = pressed("silence", seconds=HOUR / 2, each_alert=True, op="shorter")
        assert press(told(thread), shorter, NOW, POLICY).verdict is Verdict.UNCHANGED
        more = apply(told(thread), change(alert("c"), identity=IDENTITY), NOW + 90, POLICY).thread
        more.alerts["c"] = msgspec.structs.replace(more.alerts["c"], cluster="am")
        assert after(more, "silence", seconds=HOUR, each_alert=True, op="again").commands[0].targets == ("c",)


class TestCalls:
    """A call whose outcome is not known is looked up; one that fails is made again, for a while."""

    def test_a_crash_during_the_call(self) -> None:
        """The next process knows that the outcome was lost."""
        first = start_command(after(opened(), "silence", seconds=HOUR), "one", NOW + 61)
        assert first is not None
        assert not first.commands[0].outcome_unknown
        second = start_command(first, "two", NOW + 65)
        assert second is not None
        assert second.commands[0].outcome_unknown

    def test_a_late_answer_changes_nothing(self) -> None:
        """What another process has recorded meanwhile stands."""
        thread = silenced(opened())
        assert record_outcome(thread, "call", NotDone("late"), NOW, POLICY) is thread

    def test_it_waits_before_the_next_try(self) -> None:
        """As long as the outcome says, and it is remembered that it may be done."""
        thread = commanded(
            after(opened(), "silence", seconds=HOUR), NotDone("away", Wait(NOW + 66, 5), outcome_unknown=True)
        )
        assert start_command(thread, "two", NOW + 65) is None
        again = start_command(thread, "two", NOW + 66)
        assert again is not None
        assert again.commands[0].outcome_unknown

    def test_it_is_given_up(self) -> None:
        """After a quarter of an hour, or at once where Alertmanager will not have it: it is said why."""
        asked = after(opened(), "silence", seconds=HOUR)
        for outcome, now in ((NotDone("away"), NOW + 60 + 15 * 60), (NotDone("bad matcher", is_final=True), NOW + 61)):
            thread = commanded(asked, outcome, now)
            assert (thread.commands, kinds(thread)) == ((), [NoteKind.NOT_SILENCED])
            assert thread.pending.notes[0].text == outcome.error

    def test_it_is_pending(self) -> None:
        """A thread is not dropped while Alertmanager has to be asked, though Slack shows all of it."""
        thread = told(after(opened(), "silence", seconds=HOUR))
        resolved = told(apply(thread, change(alert(status="resolved"), identity=IDENTITY), NOW + 100, POLICY).thread)
        assert age(resolved, NOW + 100 * HOUR, POLICY) is resolved

    def test_one_of_several_fails(self) -> None:
        """The others go on; what was done is told, and why the rest was not."""
        thread = after(opened(alert("a"), alert("b"), alert("c")), "silence", seconds=HOUR, each_alert=True)
        thread = commanded(thread, Silenced(Silence(id="s1", alert="a", ours=True, ends_at=NOW + HOUR)))
        thread = commanded(thread, NotDone("its labels are not known", is_final=True))
        assert thread.commands[0].targets == ("c",)
        thread = commanded(thread, Silenced(Silence(id="s3", alert="c", ours=True, ends_at=NOW + HOUR)))
        assert (thread.commands, kinds(thread)) == ((), [NoteKind.SILENCED, NoteKind.NOT_SILENCED])
        assert thread.pending.notes[1].text == "its labels are not known"

    def test_an_end_that_is_being_moved(self) -> None:
        """A silence that is to be longer does not end while Alertmanager is asked."""
        thread = after(told(silenced(opened())), "extend", seconds=HOUR)
        assert age(thread, NOW + 2 * HOUR, POLICY) is thread


class TestEnds:
    """A silence ends by the clock, with the problem, or by a press; its end is told."""

    def test_by_the_clock(self) -> None:
        """It is told while the problem still is one."""
        thread = told(silenced(opened()))
        assert age(thread, NOW + HOUR, POLICY) is thread
        ended = age(thread, NOW + 60 + HOUR, POLICY)
        assert ended is not None
        assert (ended.silences, kinds(ended)) == ((), [NoteKind.SILENCE_ENDED])

    def test_with_the_problem(self) -> None:
        """Its end is asked for once the thread resolves, once."""
        thread = told(silenced(opened(), ends_with_problem=True))
        done = change(alert(status="resolved"), identity=IDENTITY)
        resolved = apply(thread, done, NOW + 100, POLICY).thread
        assert [(each.kind, each.targets) for each in resolved.commands] == [(CommandKind.UNSILENCE, ("s1",))]
        ended = commanded(resolved, Expired("s1"))
        assert (ended.silences, kinds(ended)) == ((), [NoteKind.ENDED_WITH_PROBLEM])

    def test_a_problem_that_resolved_during_the_call(self) -> None:
        """The silence that was to end with it is ended at once."""
        asked = after(opened(), "silence", seconds=HOUR, ends_with_problem=True)
        resolved = apply(asked, change(alert(status="resolved"), identity=IDENTITY), NOW + 61, POLICY).thread
        silence = Silence(id="s1", ours=True, ends_at=NOW + HOUR, ends_with_problem=True, cluster="am")
        assert commanded(resolved, Silenced(silence)).commands[0].kind is CommandKind.UNSILENCE

    def test_it_outlives_its_thread(self) -> None:
        """A new thread of a problem that is silenced still knows the silence."""
        thread = told(silenced(opened()))
        resolved = told(apply(thread, change(alert(status="resolved"), identity=IDENTITY), NOW + 100, POLICY).thread)
        policy = Policy(reopen_window=60)
        anew = apply(resolved, change(alert(), identity=IDENTITY), NOW + 1000, policy).thread
        assert ([each.id for each in anew.silences], anew.ts) == (["s1"], None)

    def test_events_and_notes_go_together(self) -> None:
        """What is pending beside a note is delivered in the same reply."""
        thread = apply(after(opened(), "acknowledge"), change(alert("b"), identity=IDENTITY), NOW + 90, POLICY).thread
        assert [event.kind for event in thread.pending.events.values()] == [EventKind.FIRED]
        assert kinds(thread) == [NoteKind.ACKNOWLEDGED]
