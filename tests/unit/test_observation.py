"""What a look at Alertmanager makes of a thread."""

from typing import Any

import msgspec
import pytest

from alert_threader import threads
from alert_threader.alertmanager.model import KnownSilence, Matcher
from alert_threader.threads import (
    AlertThread,
    NoteKind,
    Silence,
    Step,
    View,
    apply,
    cluster_of,
    covers,
    next_step,
)
from tests.build import HOUR, NOW, alert, change, held, known_silence
from tests.unit.test_press import IDENTITY, POLICY, kinds, opened, told

AT = NOW + 100


def view(*alerts: str, cluster: str = "am", **silences: KnownSilence) -> View:
    """What a whole cluster holds."""
    return View(cluster=cluster, at=AT, alerts=held(*alerts), silences=silences, complete=True, settled=True)


def observe(thread: AlertThread, seen: View, now: float) -> AlertThread:
    """What is made of it with the default settings."""
    return threads.observe(thread, seen, now, POLICY)


def test_where_it_is_held() -> None:
    """The cluster that holds what fires; then the root has a menu to show, soon."""
    thread = opened(alert("a"), alert("b"))
    thread.alerts = {name: msgspec.structs.replace(state, cluster="") for name, state in thread.alerts.items()}
    assert observe(thread, view("other"), AT) is thread
    found = observe(thread, view("b", cluster="eu"), AT)
    assert cluster_of(found) == "eu"
    assert found.revision > thread.revision
    # Nobody pressed: what the alerts do next is told first.
    more = apply(found, change(alert("c"), identity=IDENTITY), AT, POLICY).thread
    assert next_step(more) is Step.POST_REPLY
    assert observe(found, view("a", "b", cluster="us"), AT) is found


def silenced(**fields: Any) -> AlertThread:
    """A thread with a silence of ours."""
    values: dict[str, Any] = {
        "id": "s1",
        "name": "Kim",
        "ours": True,
        "cluster": "am",
        "ends_at": NOW + HOUR,
        "confirmed_at": NOW,
    }
    return told(opened(silences=(Silence(**{**values, **fields}),)))


def test_a_silence_that_holds() -> None:
    """Nothing is new; where somebody has moved its end, that is."""
    thread = silenced(is_exchanged=True)
    same = view("a", s1=known_silence(ends_at=NOW + HOUR + 0.5))
    assert observe(thread, same, AT) is thread
    longer = observe(thread, view("a", s1=known_silence(ends_at=NOW + 2 * HOUR)), AT)
    assert longer.silences[0].ends_at == NOW + 2 * HOUR


def test_a_silence_of_ours_that_has_no_effect() -> None:
    """Once all members have had the time to hear of it, they say what it mutes: what is active is loud."""
    matchers = tuple(IDENTITY.items())
    thread = silenced(matchers=matchers)
    (silence,) = thread.silences
    assert covers(silence, "a", thread.alerts["a"])
    (after,) = observe(thread, view("a", s1=known_silence(ends_at=NOW + HOUR)), AT).silences
    assert not covers(after, "a", thread.alerts["a"])
    newer = silenced(matchers=matchers, confirmed_at=AT - 5)
    assert observe(newer, view("a", s1=known_silence(ends_at=NOW + HOUR)), AT) is newer


def test_a_silence_that_has_ended() -> None:
    """By somebody else: that is told. By the clock: so is that. In an older view than our own: not yet."""
    ended = view("a", s1=known_silence(holds=False, ends_at=AT))
    for thread, kind in ((silenced(), NoteKind.EXPIRED_ELSEWHERE), (silenced(ends_at=AT), NoteKind.SILENCE_ENDED)):
        after = observe(thread, ended, AT)
        assert (after.silences, kinds(after)) == ((), [kind])
    newer = silenced(confirmed_at=AT + 1)
    assert observe(newer, ended, AT + 2) is newer
    elsewhere = silenced(cluster="eu")
    assert observe(elsewhere, ended, AT) is elsewhere


def test_a_cluster_by_another_name() -> None:
    """Its first member was renamed: its threads and silences go on under the new name."""
    renamed = View(
        cluster="new",
        at=AT,
        alerts=held("a"),
        silences={"s1": known_silence(ends_at=NOW + HOUR)},
        clusters=frozenset({"new"}),
    )
    after = observe(silenced(), renamed, AT)
    assert (cluster_of(after), after.silences[0].cluster) == ("new", "new")


def test_a_silence_that_was_given_up() -> None:
    """Alertmanager had made it all the same: it is found by its press, and can be ended from Slack."""
    thread = told(opened(presses=("op1",)))
    made = view_of_press(IDENTITY)
    found = observe(thread, made, AT)
    assert [(each.id, each.name, each.ours) for each in found.silences] == [("s9", "Kim", True)]
    assert observe(found, made, AT) is found
    assert observe(told(opened()), made, AT).silences == ()


def view_of_press(matchers: dict[str, str] | None, tag: str = "op1", name: str = "s9") -> View:
    """What a cluster holds in which a press has made a silence."""
    own = tuple(Matcher(label, value) for label, value in (matchers or {}).items())
    if matchers is None:
        own = (Matcher("alertname", ".*", is_regex=True),)
    seen = known_silence(name, created_by="Kim", comment=f"x [alert-threader {tag}]", matchers=own)
    by_press = {tag.partition("/")[0]: (name,)}
    return View(cluster="am", at=AT, alerts={}, silences={name: seen}, by_press=by_press)


@pytest.mark.parametrize("matchers", [{"alertname": "Other"}, None, {}])
def test_a_silence_with_our_comment_and_other_matchers(matchers: dict[str, str] | None) -> None:
    """Somebody has edited ours in Alertmanager, which makes a new one there: it is theirs."""
    thread = told(opened(presses=("op1",)))
    assert observe(thread, view_of_press(matchers), AT) is thread


def test_a_look_under_way_while_it_is_ended() -> None:
    """The view is older than the end: the silence does not come back."""
    thread = told(opened(presses=("op1",), silences_changed_at=AT + 5))
    assert observe(thread, view_of_press(IDENTITY), AT + 10) is thread


def test_one_that_was_extended_is_one() -> None:
    """Its comment names the presses that made and extended it; the id is the same."""
    thread = silenced(id="s9", alert="a")
    thread.presses = ("op1",)
    assert observe(thread, view_of_press({"alertname": "X"}, tag="op1/s9"), AT).silences == thread.silences


def test_alertmanager_has_lost_its_data() -> None:
    """What it does not know does not hold: the thread is red again, and says so; just after it was made: not yet."""
    thread = silenced()
    assert observe(thread, view("a"), AT).silences == ()
    assert kinds(observe(thread, view("a"), AT)) == [NoteKind.EXPIRED_ELSEWHERE]
    newer = silenced(confirmed_at=AT - 5)
    assert observe(newer, view("a"), AT) is newer


def test_the_one_that_was_found_resolves() -> None:
    """Others fire on in the same Alertmanager: the thread can be silenced all the time."""
    thread = opened(alert("a"))
    thread.alerts = {"a": msgspec.structs.replace(thread.alerts["a"], cluster="")}
    thread = observe(thread, view("a"), AT)
    joined = apply(thread, change(alert("b"), identity=IDENTITY), AT, POLICY).thread
    gone = apply(joined, change(alert("a", status="resolved"), identity=IDENTITY), AT, POLICY).thread
    assert cluster_of(gone) == "am"
    later = msgspec.structs.replace(view("a", "b"), at=AT + 1)
    both = observe(joined, later, AT + 1)
    assert both.revision == joined.revision
    assert both.alerts["b"].cluster == "am"
