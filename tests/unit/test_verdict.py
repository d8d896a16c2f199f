"""The judge of ``chaos`` sees each kind of fault."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.balancer import Handed
from chaos.history import Transition
from chaos.verdict import Verdict, judge_messages, judge_webhooks
from tests.e2e.story import Said

STORED = {"a": [Transition(1.0, "fired"), Transition(2.0, "resolved"), Transition(3.0, "fired")]}
ROOT = ("1.0", None, "x", ["fired:a"])
REPLY = ("2.0", "1.0", "y", ["resolved:a"])
LAST = ("3.0", "1.0", "z", ["fired:a"])
Row = tuple[str, str | None, str, list[str]]


def messages(rows: Sequence[Row], key: str = "k") -> list[Said]:
    """Messages of one thread: ts, the root's ts, attempt, and what is told."""
    return [
        Said(cast("Any", SimpleNamespace(ts=ts, thread_ts=root)), key, attempt, [told_of(text) for text in told])
        for ts, root, attempt, told in rows
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
