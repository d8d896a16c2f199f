"""What ``chaos alertmanager`` counts: what happened in truth, with and without a webhook, and what turned green."""

import random
import time
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.faults import alertmanager
from chaos.quiet import QuietTraffic
from chaos.watch import ColourWatch
from harness.stand_in_cluster import Fault
from harness.stand_in_truth import Truth
from harness.story import GREEN, RED
from harness.webhooks import FIRED, RESOLVED, key, labels, print_of


class Taking:
    """A service that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send_until_taken(self, payload: object, _path: str = "/alert") -> Counter[int]:
        """Take a webhook."""
        self.sent.append(payload)
        return Counter({200: 1})


@pytest.fixture
def truth() -> Truth:
    """Where alerts fire."""
    return Truth()


@pytest.fixture
def traffic(truth: Truth) -> QuietTraffic:
    """Traffic to a service that takes everything."""
    truth.fire(labels("Elsewhere"))
    return QuietTraffic(cast("Any", Taking()), truth, seed=1, pause=0.01)


def test_the_truth_follows_the_webhooks_and_goes_on(traffic: QuietTraffic, truth: Truth) -> None:
    """In the end the alerts that fire are those whose last change says so, webhook or not."""
    with traffic:
        until = time.monotonic() + 20
        while len(traffic.courses) < 9 and time.monotonic() < until:
            traffic.go_on(0.05)
    traffic.finish()
    last = {name: story[-1] for name, story in traffic.changes.items()}
    assert len(traffic.courses) == 9
    assert {name for name, state in last.items() if state == FIRED} == truth.names - {print_of("Elsewhere")}
    assert all(a != b for story in traffic.changes.values() for a, b in pairwise(story))
    silent = {each["comment"] for each in truth.silences() if each["status"]["state"] == "active"}
    assert {traffic.comments[group] for group in traffic.kept_silent} < silent
    assert all(traffic.firing[key(group)] for group in traffic.kept_silent)


def test_how_long_a_thread_fired(traffic: QuietTraffic) -> None:
    """One that was over for a moment did not fire throughout, and of one that never fired nothing is known."""
    traffic._follow("A", {"one": FIRED, "two": FIRED})
    began = time.time()
    traffic._follow("A", {"one": RESOLVED})
    assert traffic.fired_throughout(key("A"), began)
    assert not traffic.fired_throughout(key("A"), began - 60)
    traffic._follow("A", {"two": RESOLVED})
    traffic._follow("A", {"two": FIRED})
    assert not traffic.fired_throughout(key("A"), began)
    assert traffic.fired_throughout(key("A"), time.time())
    assert not traffic.fired_throughout(key("B"), began)


def test_what_turns_green_is_seen_once() -> None:
    """Only where the alerts fired all the time, and only as long as it turns."""
    roots: list[Any] = []
    workspace = SimpleNamespace(roots=lambda _channel: roots)
    watch = ColourWatch(cast("Any", workspace), lambda name, _since: name == "burns")
    for colour in (RED, GREEN, GREEN):
        roots[:] = [
            SimpleNamespace(color=colour, metadata={"event_payload": {"key": name}}) for name in ("burns", "is over")
        ]
        watch.look()
    assert [line.split()[0] for line in watch.closed_wrongly] == ["burns"]


def test_notes_are_counted_by_thread_and_text() -> None:
    """The same note twice in a thread is one too many; replies that tell a change are none."""

    def reply(name: str, text: str, *delivered: tuple[str, str]) -> Any:
        message = SimpleNamespace(text=text, blocks=[], attachments=[], thread_ts="1.0")
        return SimpleNamespace(message=message, key=name, delivered=delivered)

    messages = [reply("a", "silenced"), reply("a", "silenced"), reply("b", "silenced"), reply("a", "x", ("fired", "f"))]
    assert alertmanager._notes(messages) == {("a", "silenced"): 2, ("b", "silenced"): 1}


@pytest.mark.parametrize("siege", alertmanager._SIEGES)
def test_a_siege_is_no_complete_view(siege: alertmanager.Siege) -> None:
    """Each of them hides something, and gives it away."""
    members = [
        SimpleNamespace(faults=set(), killed=False, empty=0.0, kill=lambda: None, restart_empty=lambda **_: None)
        for _ in range(3)
    ]
    done: list[str] = []
    for number, member in enumerate(members):
        member.kill = lambda number=number: done.append(f"kill {number}")
        member.restart_empty = lambda number=number, **_: done.append(f"restart {number}")
    siege(cast("Any", members), random.Random(1))
    faults = [member.faults for member in members]
    hides = bool(done) or any(each & {Fault.EMPTY, Fault.HALF_LIST} for each in faults)
    gives_away = bool(done) or any(each - {Fault.HALF_LIST} for each in faults)
    assert hides
    assert gives_away
