"""Alerts that Alertmanager does not hold any more, and of which no webhook came."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads import (
    AlertThread,
    EventKind,
    Gone,
    NoteKind,
    Policy,
    Reason,
    Silence,
    View,
    age,
    apply,
    next_step,
    observe,
)
from tests.build import DAY, HOUR, NOW, alert, change, held, known_silence, view
from tests.unit.test_press import IDENTITY, opened, told

POLICY = Policy()
GONE_AFTER = 5 * 60.0
SILENCE = known_silence(ends_at=NOW + 2 * DAY)


def polled(thread: AlertThread, views: Iterable[View]) -> AlertThread:
    """The thread after these views."""
    for each in views:
        thread = observe(thread, each, each.at, POLICY)
    return thread


def missing(since: float = NOW + 30, until: float = NOW + 30 + GONE_AFTER, **fields: Any) -> list[View]:
    """Views every 30 s, both ends included, that lack every alert."""
    count = int((until - since) // 30) + 1
    return [view({}, SILENCE, at=since + 30 * number, **fields) for number in range(count)]


class TestGone:
    """It is over once it was missing for long enough."""

    def test_not_before(self) -> None:
        """One view less, and it fires."""
        views = missing()
        almost = polled(told(opened()), views[:-1])
        assert (almost.firing, next_step(almost)) == (1, None)
        over = polled(told(opened()), views)
        assert (over.status, over.alerts["a"].gone) == (Status.RESOLVED, Gone.UNANNOUNCED)
        assert over.pending.events["a"].kind is EventKind.RESOLVED
        assert over.resolved_at == views[-1].at
        # It ended when it was last there, as far as that is known.
        assert over.alerts["a"].ends_at == views[0].at

    def test_at_least_three_views(self) -> None:
        """However far they are apart."""
        views = [view({}, at=NOW + 400 * number) for number in (1, 2, 3)]
        assert polled(told(opened()), views[:2]).firing == 1
        assert polled(told(opened()), views).firing == 0

    def test_from_when_it_was_last_seen(self) -> None:
        """That counts, where it is known."""
        seen = {"a": NOW + 10}
        views = missing(until=NOW + 10 + GONE_AFTER, last_seen=seen)
        assert polled(told(opened()), views).firing == 1
        over = polled(told(opened()), [*views, view({}, at=views[-1].at + 30, last_seen=seen)])
        assert over.alerts["a"].ends_at == NOW + 10

    def test_a_webhook_since_then(self) -> None:
        """What was last seen before it fired says nothing."""
        views = missing(last_seen={"a": NOW - 1000})
        assert polled(told(opened()), views[:-2]).firing == 1

    @pytest.mark.parametrize(
        ("muted_by", "gone"),
        [
            ({"silenced_by": ("s1",)}, Gone.WHILE_SILENCED),
            ({"inhibited_by": ("n",)}, Gone.WHILE_INHIBITED),
            ({"muted_by": ("weekends",)}, Gone.WHILE_MUTED),
        ],
    )
    def test_while_muted(self, muted_by: dict[str, tuple[str, ...]], gone: Gone) -> None:
        """The thread says which mute kept Alertmanager from saying it."""
        views = [view(held("a", **muted_by), SILENCE, at=NOW + 20), *missing()]
        over = polled(told(opened()), views)
        assert (over.alerts["a"].gone, over.alerts["a"].mute, over.inhibitors) == (gone, None, ())

    def test_the_silence_ends_meanwhile(self) -> None:
        """It was over before: nobody is told that it is loud again."""
        ended = known_silence(holds=False)
        views = [view(held("a", silenced_by=("s1",)), known_silence(), at=NOW + 20), *missing()]
        views[3:] = [msgspec.structs.replace(each, silences={"s1": ended}) for each in views[3:]]
        over = polled(told(opened()), views)
        assert [note.kind for note in over.pending.notes] == [NoteKind.SILENCED_ELSEWHERE]
        assert over.alerts["a"].gone == Gone.WHILE_SILENCED

    def test_silenced_from_here(self) -> None:
        """Also before a poll has seen the silence."""
        silence = Silence(id="s1", ours=True, cluster="am", ends_at=NOW + DAY, confirmed_at=NOW + DAY)
        assert polled(told(opened(silences=(silence,))), missing()).alerts["a"].gone == Gone.WHILE_SILENCED

    def test_one_of_two(self) -> None:
        """The other one fires on; the thread stays open."""
        views = [msgspec.structs.replace(each, alerts=held("b")) for each in missing()]
        thread = polled(told(opened(alert("a"), alert("b"))), views)
        assert [name for name, each in thread.alerts.items() if each.gone] == ["a"]
        assert (thread.firing, thread.resolved_at) == (1, None)

    def test_it_fires_again(self) -> None:
        """The same thread re-opens."""
        over = told(polled(told(opened()), missing()))
        again = apply(over, change(alert("a"), identity=IDENTITY), NOW + 600, POLICY)
        assert (again.reason, again.thread.alerts["a"].gone) == (Reason.REOPENED, "")

    def test_a_silence_that_ends_with_the_problem(self) -> None:
        """It ends: the problem is over."""
        silence = Silence(id="s1", ours=True, cluster="am", ends_at=NOW + DAY, ends_with_problem=True)
        assert [each.targets for each in polled(told(opened(silences=(silence,))), missing()).commands] == [("s1",)]


class TestNotGone:
    """What must not close a thread."""

    def test_incomplete_views(self) -> None:
        """However many."""
        thread = told(opened())
        assert polled(thread, missing(until=NOW + DAY, complete=False)) is thread

    def test_it_is_there_in_between(self) -> None:
        """Even in a view that is not complete: the count begins anew."""
        views = missing()
        present = view(held("a"), at=views[-1].at - 1, complete=False)
        thread = polled(told(opened()), [*views[:-1], present, views[-1]])
        assert (thread.firing, thread.alerts["a"].missed) == (1, 1)

    def test_a_webhook_says_that_it_fires(self) -> None:
        """Even a duplicate."""
        views = missing()
        almost = polled(told(opened()), views[:-1])
        heard = apply(almost, change(alert("a"), identity=IDENTITY), views[-1].at - 1, POLICY)
        assert heard.reason is Reason.DUPLICATE
        assert polled(heard.thread, views[-1:]).firing == 1

    def test_grafana(self) -> None:
        """Its alerts are in no Alertmanager."""
        grafanas = alert("a" * 16, labels={"alertname": "Down", "grafana_folder": "x"})
        self._stays(grafanas, addresses=frozenset({"http://am.test"}))

    def test_no_fingerprint_of_alertmanagers(self) -> None:
        """Whoever sent it has its own."""
        self._stays(alert("not-a-fingerprint"), addresses=frozenset({"http://am.test"}))

    def test_another_address(self) -> None:
        """Its webhooks come from a cluster that is not polled."""
        self._stays(alert("a" * 16), addresses=frozenset({"http://other.test"}))

    @staticmethod
    def _stays(of: Any, **fields: Any) -> None:
        applied = apply(None, change(of, external_url="http://am.test", identity=IDENTITY), NOW, POLICY).thread
        assert polled(applied, missing(until=NOW + DAY, **fields)).firing == 1

    def test_it_ended_before_anybody_looked(self) -> None:
        """One that joined and was never seen is over, if the others of its thread are there and so is its address."""
        both = change(alert("a" * 16), alert("b" * 16), external_url="http://am.test", identity=IDENTITY)
        thread = apply(None, both, NOW, POLICY).thread
        views = [
            msgspec.structs.replace(each, alerts=held("b" * 16))
            for each in missing(addresses=frozenset({"http://am.test"}))
        ]
        assert [name for name, each in polled(thread, views).alerts.items() if each.gone] == ["a" * 16]

    def test_nobody_could_look_when_it_fired(self) -> None:
        """It fired and ended while no view was complete: its address says whose it was, if it fired while polled."""
        here = frozenset({"http://am.test"})
        opening = change(alert("a" * 16), external_url="http://am.test", identity=IDENTITY)
        for polls, complete_since, firing in ((True, NOW + 20, 0), (True, NOW - 60, 1), (False, NOW + 20, 1)):
            policy = Policy(polls=polls)
            thread = apply(None, opening, NOW, policy).thread
            views = missing(until=NOW + HOUR, addresses=here, complete_since=complete_since)
            assert polled(thread, views).firing == firing
            shared = [msgspec.structs.replace(each, other_addresses=here) for each in views]
            assert polled(thread, shared).firing == 1

    def test_in_another_cluster(self) -> None:
        """Two clusters get the same alerts: one of them still has it."""
        thread = told(opened())
        clusters = frozenset({"am", "eu"})
        for each in missing(until=NOW + HOUR, clusters=clusters):
            there = view(held("a"), at=each.at, cluster="eu", clusters=clusters)
            thread = polled(thread, [each, there])
        assert (thread.firing, thread.alerts["a"].cluster) == (1, "eu")

    def test_the_clock_is_set_back(self) -> None:
        """The time counts from now on."""
        thread = polled(told(opened()), missing(since=NOW + DAY, until=NOW + DAY))
        assert polled(thread, missing(until=NOW + 30 + GONE_AFTER - 30)).firing == 1


def test_a_resolution_that_comes_late() -> None:
    """It replaces the cause, with its own end and words, as an edit: nothing is told twice."""
    over = told(polled(told(opened()), missing()))
    late = alert("a", "resolved", annotations={"summary": "Disk is fine"}, ends_at=NOW + 25)
    heard = apply(over, change(late, identity=IDENTITY), NOW + 600, POLICY)
    assert (heard.reason, heard.resolved) == (Reason.REFRESHED, 0)
    state = heard.thread.alerts["a"]
    assert (state.gone, state.ends_at, state.ended_with) == (Gone.CONFIRMED, NOW + 25, {"summary": "Disk is fine"})
    assert not heard.thread.pending
    assert heard.thread.revision > over.revision
    again = apply(heard.thread, change(late, identity=IDENTITY), NOW + 601, POLICY)
    assert again.thread is heard.thread
    plain = apply(over, change(alert("a", "resolved"), identity=IDENTITY), NOW + 600, POLICY)
    assert plain.thread.alerts["a"].gone == ""


def test_what_fires_never_becomes_stale() -> None:
    """However long its repeats are apart; and hardly anything is written for it."""
    thread = told(opened())
    written = 0
    for number in range(1, 20 * 24 * 4):
        at = NOW + 900 * number
        observed = observe(thread, view(held("a"), at=at), at, POLICY)
        written += observed is not thread
        aged = age(observed, at, POLICY)
        assert aged is observed
        thread = observed
    assert thread.is_open
    assert written <= 20 * 24
    assert next_step(thread) is None


def test_a_mark_is_lifted() -> None:
    """A thread that was marked as not confirmed is confirmed."""
    thread = told(opened(unconfirmed_since=NOW))
    confirmed = observe(thread, view(held("a")), NOW + 100, POLICY)
    assert (confirmed.unconfirmed_since, confirmed.revision > thread.revision) == (None, True)
