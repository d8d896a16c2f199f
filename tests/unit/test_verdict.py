"""The judge of ``chaos`` sees each kind of fault."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.balancer import Handed
from chaos.history import Transition
from chaos.verdict import Verdict, judge_messages, judge_sent, judge_webhooks, merged
from harness.story import Said

STORED = {"a": [Transition(1.0, "fired"), Transition(2.0, "resolved"), Transition(3.0, "fired")]}
ROOT = ("1.0", None, "x", ["fired:a"])
REPLY = ("2.0", "1.0", "y", ["resolved:a"])
LAST = ("3.0", "1.0", "z", ["fired:a"])
Row = tuple[str, str | None, str, list[str]]


def messages(rows: Sequence[Row], key: str = "k") -> list[Said]:
    """Messages of one thread: ts, the root's ts, attempt, and what is delivered."""
    return [
        Said(
            cast("Any", SimpleNamespace(ts=ts, thread_ts=root, color="#E01E5A")),
            key,
            attempt,
            [told_of(text) for text in delivered],
        )
        for ts, root, attempt, delivered in rows
    ]


def told_of(text: str) -> tuple[str, str]:
    """What, and of which alert."""
    what, _, name = text.partition(":")
    return what, name


def judged(rows: Sequence[Row], attempts: Mapping[str, Mapping[str, int]] | None = None) -> Verdict:
    """The verdict on messages."""
    verdict = Verdict()
    judge_messages(verdict, messages(rows), STORED, attempts or {})
    return verdict


def handed(began: float, ended: float, status: int, *alerts: tuple[str, str]) -> Handed:
    """A webhook."""
    return Handed(began, ended, status, "/alert", alerts)


def test_sound_story() -> None:
    """Each change in a message of its own, or several in one that says how many."""
    assert judged([ROOT, REPLY, LAST]).ok
    assert judged([ROOT, ("3.0", "1.0", "y", ["fired:a"])], {"y": {"a": 2}}).ok


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([ROOT, REPLY], "lost"),
        ([ROOT, LAST], "lost"),
        ([ROOT, REPLY, LAST, ("4.0", "1.0", "w", ["fired:a"])], "twice"),
        ([ROOT, REPLY, ("3.0", "1.0", "y", [])], "twice"),
        ([ROOT, REPLY, ("3.0", None, "z", ["fired:a"])], "twice"),
        ([ROOT, ("2.0", "1.0", "z", ["fired:a"]), ("3.0", "1.0", "y", ["resolved:a"])], "disordered"),
        ([ROOT, REPLY, ("3.0", "9.0", "z", ["fired:a"])], "disordered"),
    ],
)
def test_faulty_story(rows: Sequence[Row], kind: str) -> None:
    """It is named for what it is."""
    verdict = judged(rows)
    assert not verdict.ok
    assert getattr(verdict, kind)


def sent_verdict(rows: Sequence[Row], sent: str, *, firing: bool = True, again: Sequence[str] = ()) -> Verdict:
    """The verdict on messages of one thread, where it is known what was sent of alert "a"."""
    verdict = Verdict()
    judge_sent(verdict, messages(rows), {"a": sent.split()} if sent else {}, {"k": firing}, again)
    return verdict


def test_sound_story_of_what_was_sent() -> None:
    """Each change once and in order, or the last one for several that followed each other."""
    assert sent_verdict([ROOT, REPLY, LAST], "fired resolved fired").ok
    folded = sent_verdict([ROOT], "fired resolved fired")
    assert folded.ok
    assert (folded.sent, folded.delivered) == (3, 1)


@pytest.mark.parametrize(
    ("rows", "sent", "kind"),
    [
        ([ROOT], "fired resolved", "lost"),
        ([], "fired", "lost"),
        ([ROOT, REPLY], "fired resolved fired", "lost"),
        ([ROOT, ("2.0", "1.0", "y", ["fired:a"])], "fired", "twice"),
        ([ROOT, REPLY, ("3.0", "1.0", "z", ["resolved:a"])], "fired resolved", "twice"),
        ([ROOT, ("2.0", None, "y", ["resolved:a"])], "fired resolved", "twice"),
        ([ROOT, ("2.0", "1.0", "x", [])], "fired", "twice"),
        ([("1.0", None, "x", ["resolved:a"]), ("2.0", "1.0", "y", ["fired:a"])], "fired resolved", "disordered"),
        ([ROOT, ("2.0", "9.0", "y", ["resolved:a"])], "fired resolved", "disordered"),
        ([ROOT], "", "invented"),
    ],
)
def test_faulty_story_of_what_was_sent(rows: Sequence[Row], sent: str, kind: str) -> None:
    """It is named for what it is."""
    assert getattr(sent_verdict(rows, sent), kind)


def test_a_root_that_shows_another_state() -> None:
    """A thread that is over must not look as if it burns."""
    assert sent_verdict([ROOT], "fired", firing=False).disordered


def test_a_thread_that_may_begin_anew() -> None:
    """Where a record was destroyed, the thread may be opened again, and tell again; its end must not be missing."""
    rows = [ROOT, ("2.0", None, "y", ["fired:a"]), ("3.0", "2.0", "z", ["resolved:a"])]
    assert sent_verdict(rows, "fired resolved", again=["k"]).ok
    assert not sent_verdict(rows, "fired resolved").ok
    assert sent_verdict(rows[:2], "fired resolved", again=["k"]).lost


def test_merged() -> None:
    """The faults, counts and figures of several installations are one account."""
    verdict = merged([judged([ROOT]), judged([ROOT, REPLY, LAST]), Verdict(pending=2, figures={"kills": 3})])
    assert (verdict.sent, verdict.delivered, verdict.pending, len(verdict.lost)) == (6, 4, 2, 1)
    assert not verdict.ok
    assert "kills" in str(verdict)


def test_webhooks() -> None:
    """What was accepted is stored by then, a repeat changes nothing, what was cut off may be stored or not."""
    verdict = Verdict()
    fired, resolved = ("a", "firing"), ("a", "resolved")
    account = [
        handed(0.9, 1.1, 200, fired),
        handed(1.2, 1.3, 202, fired),
        handed(1.9, 1.95, 0, resolved),
        handed(2.1, 2.2, 503, fired),
        handed(2.9, 3.1, 200, fired),
    ]
    judge_webhooks(verdict, account, STORED)
    assert verdict.ok, verdict
    judge_webhooks(verdict, [*account, handed(2.2, 2.8, 200, fired)], STORED)
    assert verdict.lost
    assert not verdict.invented
    judge_webhooks(verdict, account[:-1], STORED)
    assert verdict.invented
