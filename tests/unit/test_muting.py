"""What Alertmanager mutes, as a thread shows it and says it."""

from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.model import Matcher
from alert_threader.threads import (
    Acknowledgement,
    AlertThread,
    Command,
    CommandKind,
    Inhibitor,
    Mute,
    NoteKind,
    Policy,
    Silence,
    View,
    age,
    apply,
    observe,
    plan,
)
from tests.build import HOUR, NOW, alert, change, held, known_silence, view
from tests.unit.test_press import IDENTITY, kinds, opened, told

POLICY = Policy()
KIM = known_silence(created_by="kim", comment="disk swap")


def seen(thread: AlertThread, *views: View) -> AlertThread:
    """The thread after these views, one after another."""
    for each in views:
        thread = observe(thread, each, each.at, POLICY)
    return thread


def mutes(thread: AlertThread) -> dict[str, Mute | None]:
    """What mutes each alert."""
    return {name: each.mute for name, each in thread.alerts.items()}


class TestSilencedElsewhere:
    """Somebody silences a thread in Alertmanager."""

    def test_it_is_said_once(self) -> None:
        """With who, until when and why; the root changes; the next views change nothing."""
        muted = view(held("a", silenced_by=("s1",)), KIM)
        thread = seen(told(opened()), muted)
        (note,) = thread.pending.notes
        assert (note.kind, note.who, note.until) == (NoteKind.SILENCED_ELSEWHERE, "kim", NOW + HOUR)
        assert (note.text, note.count) == ("disk swap", 0)
        assert mutes(thread)["a"] == Mute(silenced_by=("s1",), since=NOW + 100, until=NOW + HOUR)
        assert thread.revision > thread.shown.revision
        assert thread.firing == 1
        again = msgspec.structs.replace(muted, at=NOW + 130)
        assert observe(thread, again, NOW + 130, POLICY) is thread

    def test_of_some(self) -> None:
        """The note says how many of those that fire it covers."""
        both = {**held("a", silenced_by=("s1",)), **held("b")}
        thread = seen(told(opened(alert("a"), alert("b"))), view(both, KIM))
        assert [note.count for note in thread.pending.notes] == [1]
        # The other one is silenced too: that is the same silence, and no news.
        all_of_them = view(held("a", "b", silenced_by=("s1",)), KIM, at=NOW + 130)
        assert kinds(seen(thread, all_of_them)) == [NoteKind.SILENCED_ELSEWHERE]

    def test_a_second_one(self) -> None:
        """Somebody else's is news again."""
        muted = view(held("a", silenced_by=("s1", "s2")), KIM, known_silence("s2"), at=NOW + 130)
        thread = seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM), muted)
        assert [note.who for note in thread.pending.notes] == ["kim", "lee"]

    def test_its_end_is_moved(self) -> None:
        """The root shows the new end, and nothing is said."""
        longer = known_silence(created_by="kim", ends_at=NOW + 2 * HOUR)
        thread = told(seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM)))
        moved = seen(thread, view(held("a", silenced_by=("s1",)), longer, at=NOW + 130))
        assert moved.silences[0].ends_at == NOW + 2 * HOUR
        assert (kinds(moved), moved.revision > thread.revision) == ([], True)

    def test_it_is_ended(self) -> None:
        """That is said, and the alert is loud."""
        thread = told(seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM)))
        over = view(held("a"), known_silence(holds=False, created_by="kim"), at=NOW + 130)
        loud = seen(thread, over)
        assert (kinds(loud), loud.silences, mutes(loud)) == ([NoteKind.EXPIRED_ELSEWHERE], (), {"a": None})

    def test_it_ends_by_the_clock(self) -> None:
        """At once, whatever the next poll says: and then nothing more is said."""
        thread = told(seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM)))
        loud = age(thread, NOW + HOUR, POLICY)
        assert loud is not None
        assert (kinds(loud), mutes(loud)) == ([NoteKind.SILENCE_ENDED], {"a": None})
        later = view(held("a"), known_silence(holds=False), at=NOW + HOUR + 30)
        assert kinds(seen(loud, later)) == [NoteKind.SILENCE_ENDED]

    def test_one_of_ours(self) -> None:
        """A press made it: it is told already, and its own thread never calls it somebody else's."""
        matchers = tuple(Matcher(name, value) for name, value in IDENTITY.items())
        ours = known_silence(created_by="kim", comment="x [alert-threader op1]", matchers=matchers)
        thread = told(
            opened(presses=("op1",), silences=(Silence(id="s1", ours=True, cluster="am", ends_at=NOW + HOUR),))
        )
        assert kinds(seen(thread, view(held("a", silenced_by=("s1",)), ours))) == []
        lost = told(opened(presses=("op1",)))
        assert kinds(seen(lost, view(held("a", silenced_by=("s1",)), ours))) == []

    def test_one_of_ours_that_was_edited(self) -> None:
        """With other matchers it is another silence: it is shown, with who and until when, without our tag."""
        edited = known_silence(
            created_by="kim",
            comment="x https://x.slack.com/archives/C1/p1 [alert-threader op1]",
            matchers=(Matcher("alertname", ".*", is_regex=True),),
        )
        thread = seen(told(opened(presses=("op1",))), view(held("a", silenced_by=("s1",)), edited))
        assert [(note.who, note.text) for note in thread.pending.notes] == [("kim", "x")]

    def test_the_problem_ends_first(self) -> None:
        """Then the silence is nobody's concern: the thread does not wait for its end."""
        thread = told(seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM)))
        over = apply(thread, change(alert("a", "resolved"), identity=IDENTITY), NOW + 200, POLICY).thread
        assert mutes(over) == {"a": None}
        gone = seen(told(over), view({}, KIM, at=NOW + 300))
        assert (kinds(gone), gone.firing) == ([], 0)
        aged = age(gone, NOW + 200 + POLICY.reopen_window, POLICY)
        assert aged is not None
        assert (aged.silences, kinds(aged)) == ((), [])
        assert age(told(aged), NOW + 200 + POLICY.reopen_window, POLICY) is None

    def test_it_covers_one_that_comes_and_goes(self) -> None:
        """It is the same silence: neither it nor its end is said again."""
        thread = seen(told(opened(alert("a"), alert("b"))), view({**held("a", silenced_by=("s1",)), **held("b")}, KIM))
        gone = [view(held("b"), KIM, at=NOW + 130 + 30 * number) for number in range(20)]
        back = view({**held("a", silenced_by=("s1",)), **held("b")}, KIM, at=NOW + 1000)
        assert kinds(seen(thread, *gone, back)) == [NoteKind.SILENCED_ELSEWHERE]
        over = view(held("b"), known_silence(holds=False), at=NOW + 1000)
        assert kinds(seen(thread, *gone, over)) == [NoteKind.SILENCED_ELSEWHERE]

    def test_many(self) -> None:
        """Only some are kept, and their texts are cut."""
        many = [known_silence(f"s{n:02}", created_by="k" * 5000, comment="c" * 5000) for n in range(30)]
        names = tuple(each.id for each in many)
        thread = seen(told(opened()), view(held("a", silenced_by=names), *many))
        assert len(thread.silences) == len(thread.pending.notes) == 10
        assert len(thread.silences[0].name + thread.silences[0].comment) <= 1000


class TestInhibited:
    """Another alert makes Alertmanager quiet."""

    BY = Inhibitor(name="Node Down", url="https://x.slack.com/archives/C1/p1")

    def test_and_lifted(self) -> None:
        """It points to the other thread; that it is loud again is said, too."""
        inhibited = view(held("a", inhibited_by=("n",)), inhibitors={"n": self.BY})
        thread = seen(told(opened()), inhibited)
        (note,) = thread.pending.notes
        assert (note.kind, note.text, note.url) == (NoteKind.INHIBITED, self.BY.name, self.BY.url)
        assert thread.inhibitors == (self.BY,)
        loud = seen(told(thread), view(held("a"), at=NOW + 130))
        assert (kinds(loud), loud.inhibitors, mutes(loud)) == ([NoteKind.LOUD_AGAIN], (), {"a": None})

    def test_of_some(self) -> None:
        """The root shows it; nothing is said, for the thread is loud."""
        both = {**held("a", inhibited_by=("n",)), **held("b")}
        thread = seen(told(opened(alert("a"), alert("b"))), view(both, inhibitors={"n": self.BY}))
        assert (kinds(thread), thread.revision > thread.shown.revision) == ([], True)
        assert kinds(seen(thread, view(held("a", "b"), at=NOW + 130))) == []

    def test_a_loud_one_joins(self) -> None:
        """Its own message says so: the mute of the others is not said to have ended."""
        thread = told(seen(told(opened()), view(held("a", inhibited_by=("n",)), inhibitors={"n": self.BY})))
        joined = told(apply(thread, change(alert("b"), identity=IDENTITY), NOW + 200, POLICY).thread)
        both = {**held("a", inhibited_by=("n",)), **held("b")}
        assert kinds(seen(joined, view(both, inhibitors={"n": self.BY}, at=NOW + 300))) == []

    def test_its_thread_opens_later(self) -> None:
        """Until then the other alert is named; then the root has the link."""
        named = Inhibitor(name="NodeDown")
        first = view(held("a", inhibited_by=("n",)), inhibitors={"n": named})
        then = view(held("a", inhibited_by=("n",)), inhibitors={"n": self.BY}, at=NOW + 130)
        thread = told(seen(told(opened()), first))
        linked = seen(thread, then)
        assert (linked.inhibitors, kinds(linked), linked.revision > thread.revision) == ((self.BY,), [], True)


def test_a_time_interval() -> None:
    """It is said by its name."""
    thread = seen(told(opened()), view(held("a", muted_by=("weekends",))))
    assert [(note.kind, note.text) for note in thread.pending.notes] == [(NoteKind.MUTED, "weekends")]
    assert kinds(seen(told(thread), view(held("a"), at=NOW + 130))) == [NoteKind.LOUD_AGAIN]


def test_a_webhook_says_that_it_is_loud() -> None:
    """Alertmanager names no muted alerts; just after the mute, the webhook may be from before it."""
    thread = told(seen(told(opened()), view(held("a", inhibited_by=("n",)))))
    for at, is_muted in ((NOW + 130, True), (NOW + 3600, False)):
        heard = apply(thread, change(alert("a"), identity=IDENTITY), at, POLICY).thread
        assert (heard.alerts["a"].mute is not None) is is_muted


def test_hundreds_are_silenced() -> None:
    """What is said of that goes out after everything else: a new alert does not wait for it."""
    quiet = seen(told(opened()), view(held("a", silenced_by=("s1",)), KIM))
    new = apply(None, change(alert("b", labels={"severity": "info"}), key="b"), NOW + 100, POLICY).thread
    lanes = [next(iter(plan(each, POLICY).actions.values())).rank for each in (new, quiet)]
    assert lanes == sorted(lanes)


class TestWhatIsLeftAlone:
    """A view is not always the last word."""

    MUTED = held("a", silenced_by=("s1",))

    def test_an_incomplete_one_lifts_nothing(self) -> None:
        """A member that does not mute it may just not know the silence yet."""
        thread = told(seen(told(opened()), view(self.MUTED, KIM)))
        assert seen(thread, view(held("a"), at=NOW + 130, complete=False, settled=False)) is thread
        assert seen(thread, view({}, at=NOW + 130, complete=False)) is thread

    def test_a_member_that_has_settled(self) -> None:
        """It notifies of what it does not mute, whatever another member that does not answer would say."""
        thread = told(seen(told(opened()), view(self.MUTED, KIM)))
        ended = known_silence(holds=False)
        loud = seen(thread, view(held("a"), ended, at=NOW + 130, complete=False))
        assert (mutes(loud), kinds(loud)) == ({"a": None}, [NoteKind.EXPIRED_ELSEWHERE])

    def test_its_silence_is_known_to_have_ended(self) -> None:
        """Then what a member shows to be active is, however young it is; what it does not show stays as it was."""
        thread = told(seen(told(opened()), view(self.MUTED, KIM)))
        ended = known_silence(holds=False)
        young = {"at": NOW + 130, "complete": False, "settled": False}
        assert mutes(seen(thread, view(held("a"), ended, **young))) == {"a": None}
        assert mutes(seen(thread, view({}, ended, **young)))["a"] is not None

    def test_an_incomplete_one_mutes(self) -> None:
        """What a member says of a silence is so."""
        assert mutes(seen(told(opened()), view(self.MUTED, KIM, complete=False)))["a"] is not None

    @pytest.mark.parametrize("field", ["changed_at", "notified_at", "silences_changed_at"])
    def test_what_happened_since(self, field: str) -> None:
        """A webhook or a press wins over a view from before it."""
        thread = msgspec.structs.replace(told(opened()), **{field: NOW + 100})
        assert seen(thread, view(self.MUTED, KIM)) is thread

    def test_another_cluster(self) -> None:
        """Its alert with the same labels is another alert."""
        thread = told(opened())
        assert seen(thread, view(self.MUTED, KIM, cluster="eu")) is thread

    def test_while_a_command_is_under_way(self) -> None:
        """The silence that is seen may be the one that the command makes."""
        command = Command(op="op1", kind=CommandKind.SILENCE, targets=("",), cluster="am")
        thread = told(opened(commands=(command,)))
        assert kinds(seen(thread, view(self.MUTED, KIM))) == []


class TestSaidToBeOver:
    """Newer Alertmanagers can send *resolved* for what they only mute (``mute_action``)."""

    @staticmethod
    def over(**fields: Any) -> AlertThread:
        """A thread whose only alert was said to be over."""
        resolved = apply(told(opened()), change(alert("a", "resolved"), identity=IDENTITY), NOW + 10, POLICY).thread
        return msgspec.structs.replace(told(resolved), **fields)

    def test_it_is_muted(self) -> None:
        """Grey, not green: it fires, and who silenced it is said."""
        thread = seen(self.over(), view(held("a", silenced_by=("s1",)), KIM))
        assert (thread.firing, thread.resolved_at, kinds(thread)) == (1, None, [NoteKind.SILENCED_ELSEWHERE])
        assert thread.flaps == 0

    def test_it_was_acknowledged(self) -> None:
        """What people answered holds no longer than it would by a webhook."""
        acknowledged = Acknowledgement(by="U0KIM", name="kim", severity="critical")
        late = view(held("a", silenced_by=("s1",)), KIM, at=NOW + 10 + 20 * 60)
        thread = seen(self.over(acknowledgement=acknowledged), late)
        assert thread.acknowledgement is None
        assert kinds(thread) == [NoteKind.ENDED_REOPENED, NoteKind.SILENCED_ELSEWHERE]

    def test_a_member_is_late(self) -> None:
        """Just after the notification, a member may not have heard of the end yet."""
        thread = self.over()
        assert seen(thread, view(held("a", silenced_by=("s1",)), KIM, at=NOW + 60)) is thread

    def test_it_is_active(self) -> None:
        """No poll makes an alert fire."""
        assert self.over().firing == seen(self.over(), view(held("a"))).firing == 0

    def test_long_ago(self) -> None:
        """A thread that is over stays so; the alert's next firing opens another."""
        thread = self.over()
        assert seen(thread, view(held("a", silenced_by=("s1",)), KIM, at=NOW + 2 * HOUR)).firing == 0
        closed = self.over(closed_at=NOW + 20)
        assert seen(closed, view(held("a", silenced_by=("s1",)), KIM)).firing == 0
