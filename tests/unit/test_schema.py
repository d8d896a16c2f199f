"""Records of the first release read here, and ours read there: nothing is lost on the way, nor delivered twice.

Each story is lived by the code of both releases, and ends where a process may be killed.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert
from alert_threader.threads import (
    AlertThread,
    Batch,
    Failed,
    Outcome,
    Policy,
    Posted,
    RootGone,
    Step,
    Unknown,
    Wait,
    forget,
    plan,
)
from alert_threader.threads.schema import decode, encode
from harness import first_release
from tests.build import DAY, HOUR, NOW, alert, described, thread
from tests.life import Life, rendered

#: The first release's code that lives a story: it is given records and stories, and returns records and plans.
THERE = """
import json, sys
import msgspec
from alert_threader.threads import *
from alert_threader.threads.record import AlertThread
from alert_threader.webhook import Alert, Status

NOW, KEY, CHANNEL = 1_800_000_000.0, "k", "C0000001"
POLICY = Policy()
decoder = msgspec.json.Decoder(AlertThread)


def live(record, ops):
    thread = decoder.decode(record) if record else None
    now, action, posts = NOW, None, 0
    for op, *given in ops:
        if op == "wait":
            now += given[0]
        elif op == "notify":
            alerts = tuple(Alert(**{**fields, "status": Status(fields["status"])}) for fields in given[0])
            change = Change(**{"key": KEY, "channel": CHANNEL, **given[1], "alerts": alerts})
            thread = apply(thread, change, now, POLICY).thread
        elif op == "start":
            thread, action = begin(thread, given[0], now, POLICY)
        elif op == "deliver":
            while (begun := begin(thread, f"i{posts}", now, POLICY)) is not None:
                thread, action = begun
                thread, posts = settle(thread, thread.under_way, best(thread, action), now), posts + 1
        elif op == "succeeds":
            thread = settle(thread, thread.under_way, best(thread, action), now)
        elif op == "fails":
            kind, wait, more = given
            kinds = {"unknown": Unknown, "failed": Failed}
            outcome = RootGone(ts=thread.ts) if kind == "gone" else kinds[kind](error="x", retry_at=now + wait, **more)
            thread = settle(thread, thread.under_way, outcome, now)
        elif op == "age":
            thread = expire(thread, now, POLICY)
        elif op == "forget":
            thread = forget(thread, now)
    planned = plan(thread)
    return {
        "record": msgspec.json.encode(thread).decode(),
        "step": planned and planned.step,
        "at": planned and planned.at,
    }


def best(thread, action):
    if action.step is Step.UPDATE_ROOT:
        return Updated(ts=thread.ts, shown=action.shown)
    return Posted(ts="1.0", threaded=action.step is Step.POST_REPLY)


json.dump([live(*each) for each in json.load(sys.stdin)], sys.stdout)
"""

Op = tuple[Any, ...]


class There(NamedTuple):
    """What the first release has at the end of a story: its record, and what it would do next."""

    record: str
    step: str | None
    at: float | None


def notify(*states: str, **fields: Any) -> Op:
    """A notification of alerts by name, "a" one that fires and "-a" one that has resolved; they share a description."""
    said = {"annotations": {"description": fields.pop("says", "2 % free")}}
    alerts = [alert(name.lstrip("-"), "resolved" if name[0] == "-" else "firing", **said) for name in states]
    return ("notify", [msgspec.to_builtins(each) for each in alerts], fields)


def fails(kind: str, wait: float, **more: Any) -> Op:
    """The call that is under way fails."""
    return ("fails", kind, wait, more)


START, SUCCEEDS, DELIVER, AGE, FORGET = (("start", "id"), ("succeeds",), ("deliver",), ("age",), ("forget",))
DELIVERED = [notify("a", "z"), DELIVER]
EDIT_UNDER_WAY = [*DELIVERED, notify("-a", "-z"), START, SUCCEEDS, ("start", "edit")]

STORIES: dict[str, list[Op]] = {
    "nothing delivered": [notify("a")],
    "root under way": [notify("a"), START],
    "root under way, more pending": [notify("a"), START, notify("-a", "b")],
    "root unknown": [notify("a"), START, fails("unknown", 12.5)],
    "root refused": [notify("a"), START, fails("failed", 40)],
    "root refused for its form": [notify("a"), START, fails("failed", 0, simpler=True)],
    "delivered": DELIVERED,
    "resolved and delivered": [*DELIVERED, notify("-a", "-z"), DELIVER],
    "resolved before anything was delivered": [notify("a"), notify("-a"), DELIVER],
    "reply pending": [*DELIVERED, notify("b")],
    "reply under way": [*DELIVERED, notify("b"), START],
    "reply under way, more pending": [*DELIVERED, notify("b"), START, notify("c", "-b")],
    "reply unknown": [*DELIVERED, notify("b"), START, fails("unknown", 12.5)],
    "reply refused": [*DELIVERED, notify("b"), START, fails("failed", 60)],
    "reply found no thread": [*DELIVERED, notify("b"), START, fails("gone", 0)],
    "edit pending": [*DELIVERED, notify("b"), DELIVER],
    "edit under way": EDIT_UNDER_WAY,
    "edit under way, more pending": [*EDIT_UNDER_WAY, notify("a")],
    "edit unknown": [*EDIT_UNDER_WAY, fails("unknown", 12.5)],
    "edit unknown, of the longest time-out": [*EDIT_UNDER_WAY, fails("unknown", 600)],
    "edit refused": [*EDIT_UNDER_WAY, fails("failed", 30)],
    "edit found no root": [*EDIT_UNDER_WAY, fails("gone", 0)],
    "reopened": [*DELIVERED, notify("-a", "-z"), DELIVER, ("wait", 600.0), notify("a")],
    "reopened and delivered": [*DELIVERED, notify("-a", "-z"), DELIVER, ("wait", 600.0), notify("a"), DELIVER],
    "repeated": [*DELIVERED, ("wait", HOUR), notify("a")],
    "repeated and delivered": [*DELIVERED, ("wait", HOUR), notify("a"), DELIVER],
    "stale": [*DELIVERED, ("wait", 8 * DAY), AGE],
    "stale and delivered": [*DELIVERED, ("wait", 8 * DAY), AGE, DELIVER],
    "forgotten": [*DELIVERED, notify("b"), FORGET],
    "many alerts": [notify(*(f"{i}" for i in range(40)), "-x", "-y", truncated=3), DELIVER],
    "one of many changes": [notify(*(f"{i}" for i in range(40))), DELIVER, ("wait", 5.0), notify("-39"), DELIVER],
    "moved": [*DELIVERED, notify("b", channel="C0000002")],
}
#: What the first release does not compare: between two calls an alert comes and goes, and has another text.
NEW_TEXT = [notify("-a"), notify("a", says="0 % free")]
STORIES |= {
    "new text": [*DELIVERED, *NEW_TEXT],
    "new text, reply delivered": [*DELIVERED, *NEW_TEXT, START, SUCCEEDS],
    "new text during the post": [notify("a", "z"), START, *NEW_TEXT, SUCCEEDS, START, SUCCEEDS],
}
#: What of these the first release sees no edit in, when it lives them itself.
OVERLOOKED = {"new text, reply delivered", "new text during the post"}
#: A post whose outcome nobody knows, and that is to be looked up when the first release would.
UNDER_WAY = [name for name in STORIES if ("under way" in name or "unknown" in name) and "edit" not in name]
#: An edit whose outcome nobody knows: the first release makes it again when the one before can land no more, this one
#: at once, and once more then.
UNKNOWN_EDITS = ["edit under way", "edit unknown", "edit unknown, of the longest time-out"]


def live(ops: list[Op], record: AlertThread | None = None) -> Life:
    """Live a story by this release's code."""
    life = Life()
    life.thread = record
    for op in ops:
        match op:
            case ("wait", seconds):
                life.now += seconds
            case ("notify", alerts, fields):
                life.notify(*(msgspec.convert(each, Alert) for each in alerts), **fields)
            case ("start", attempt_id):
                life.start(attempt_id)
            case ("deliver",):
                life.deliver()
            case ("succeeds",):
                attempt = life.thread.attempt
                life.end(life.succeed(attempt.step if attempt else Step.UPDATE_ROOT))
            case ("fails", kind, wait, more):
                life.end(failure(life, kind, wait, **more))
            case ("age",):
                life.age()
            case ("forget",):
                life.thread = forget(life.thread, life.now)
            case _:
                raise AssertionError(op)
    return life


def failure(life: Life, kind: str, wait: float, **more: Any) -> Outcome:
    """The outcome of a call that failed."""
    if kind == "gone":
        return RootGone(ts=life.thread.ts)
    outcome = Unknown if kind == "unknown" else Failed
    return outcome(error="x", retry=Wait(life.now + wait, wait), **more)


def lived_there(stories: Mapping[str, list[Op]], records: Mapping[str, str] | None = None) -> dict[str, There]:
    """Live stories by the first release's code, each from a record where there is one."""
    given = json.dumps([((records or {}).get(name), ops) for name, ops in stories.items()])
    lives = json.loads(first_release.run(["-c", THERE], given.encode()))
    return {name: There(**life) for name, life in zip(stories, lives, strict=True)}


@pytest.fixture(scope="module")
def there() -> dict[str, There]:
    """Each story as the first release lived it, from its beginning."""
    return lived_there(STORIES)


@pytest.fixture(scope="module")
def rewritten() -> dict[str, There]:
    """The record of each story as it is here, read and written by the first release."""
    records = {name: encode(live(ops).thread).decode() for name, ops in STORIES.items()}
    return lived_there({name: [] for name in STORIES}, records)


def planned(record: AlertThread) -> tuple[Step | None, float | None]:
    """What would be done next, and when."""
    action = next(iter(plan(record, Policy()).actions.values()), None)
    return (action.step, action.at) if action else (None, None)


def upgraded(there: There) -> Life:
    """The thread of a record that the first release wrote, at the time when it would do what is next."""
    life = Life()
    life.thread = decode(there.record.encode())
    life.now = max(there.at or 0, NOW)
    return life


def batches(thread: AlertThread) -> list[Batch]:
    """What is pending, and what is under way, without what the first release does not know of events."""
    found = [thread.pending, *([thread.attempt.batch] if thread.attempt else [])]
    for batch in found:
        for event in batch.events.values():
            event.known = False
    return found


@pytest.mark.parametrize("name", STORIES)
class TestUpgrade:
    """A record that the first release wrote."""

    def test_goes_on_where_it_stopped(self, there: dict[str, There], name: str) -> None:
        """The same call is next, at the same time: no edit becomes pending, none that was is lost."""
        at = 0 if name in UNKNOWN_EDITS else there[name].at
        assert planned(decode(there[name].record.encode())) == (there[name].step, at)

    def test_is_the_thread_that_it_is_here(self, there: dict[str, There], name: str) -> None:
        """What is to be said, and what is under way, is as if this release had lived the story."""
        old, new = decode(there[name].record.encode()), live(STORIES[name]).thread
        assert (old.alerts, old.ts, old.under_way) == (new.alerts, new.ts, new.under_way)
        assert batches(old) == batches(new)

    def test_is_made_once(self, there: dict[str, There], name: str) -> None:
        """Written here it is a record of this schema."""
        thread = decode(there[name].record.encode())
        assert (thread.version, thread.revision) == (3, 1)
        assert planned(decode(encode(thread))) == planned(thread)

    def test_comes_to_rest_with_the_right_root(self, there: dict[str, There], name: str) -> None:
        """With the next change at the latest: an edit that the first release overlooked is not made by the upgrade."""
        life = upgraded(there[name])
        life.deliver()
        life.notify(alert("new"))
        life.deliver()
        life.now += HOUR
        life.deliver()
        assert life.action is None
        assert life.root == rendered(life.thread)


@pytest.mark.parametrize("name", UNKNOWN_EDITS)
def test_edit_that_may_still_land_is_made_again_and_once_more(there: dict[str, There], name: str) -> None:
    """Whichever landed last, the root is right in the end."""
    life = upgraded(there[name])
    ends_at, life.now = life.now, NOW
    assert life.deliver() == [Step.UPDATE_ROOT]
    life.now = ends_at
    assert life.deliver() == [Step.UPDATE_ROOT]
    assert life.action is None


@pytest.mark.parametrize("name", UNDER_WAY)
class TestUnderWay:
    """A post of the first release whose outcome nobody knows."""

    def test_nothing_is_done_before_slack_has_surely_ended(self, there: dict[str, There], name: str) -> None:
        """Nothing is posted twice."""
        life = upgraded(there[name])
        life.now -= 0.1
        assert life.due is None
        life.now += 0.1
        assert life.due is Step.LOOK_UP

    @pytest.mark.parametrize("back", [10.0, 300.0, HOUR], ids=["10s", "5min", "1h"])
    def test_clock_set_back_shortens_no_wait(self, there: dict[str, There], name: str, back: float) -> None:
        """A machine that was upgraded may start with a clock that is behind."""
        wait = (there[name].at or 0) - NOW
        life = upgraded(there[name])
        life.now = NOW - back
        assert life.wait >= wait

    def test_post_is_not_repeated_once_it_is_found(self, there: dict[str, There], name: str) -> None:
        """What it carried is delivered, what came since is next."""
        life = upgraded(there[name])
        pending = life.thread.pending
        if life.thread.attempt is not None:
            life.call(Posted(ts="1.0", threaded=life.thread.attempt.step is Step.POST_REPLY))
        assert life.thread.pending == pending
        assert (life.due is Step.POST_REPLY) is bool(pending)


@pytest.mark.parametrize("name", STORIES)
class TestWayBack:
    """A record of this release, that the first release reads, and rewrites."""

    def test_first_release_makes_the_same_call(self, rewritten: dict[str, There], name: str) -> None:
        """At the same time: what is pending here is pending there. It waits for an edit that may still land."""
        step, at = planned(live(STORIES[name]).thread)
        there = rewritten[name]
        assert there.step == step
        assert there.at == at or (name in UNKNOWN_EDITS and (there.at or 0) > (at or 0))

    def test_is_read_here_again(self, rewritten: dict[str, There], name: str) -> None:
        """As it was: nothing that was pending is lost, and nothing becomes so."""
        again, before = decode(rewritten[name].record.encode()), live(STORIES[name]).thread
        assert planned(again) == planned(before)
        assert (again.alerts, again.ts, again.under_way) == (before.alerts, before.ts, before.under_way)
        assert batches(again) == batches(before)


def test_first_release_goes_on_with_a_record_of_this_one_and_this_one_with_its() -> None:
    """There and back, with a call under way each time: each change is delivered once."""
    here = live([*DELIVERED, notify("b"), START, notify("c")])
    record = encode(here.thread).decode()
    story = [("wait", 20.0), START, SUCCEEDS, ("start", "there"), notify("-b")]
    there = lived_there({"on": story}, {"on": record})["on"]
    life = upgraded(there)
    assert life.thread.under_way == "there"
    assert life.call(Posted(ts="3.0", threaded=True)) == ["c fired"]
    assert life.call() == ["b resolved"]
    life.now += HOUR
    assert life.deliver() == [Step.UPDATE_ROOT]
    assert life.root == rendered(life.thread)


def test_what_the_first_release_overlooked_is_not_edited_by_the_upgrade(there: dict[str, There]) -> None:
    """Its root says an old text. An upgrade edits no root; the next change does."""
    overlooked = {name for name, life in there.items() if life.step != planned(live(STORIES[name]).thread)[0]}
    assert overlooked == OVERLOOKED


def test_thread_of_a_flat_file_gets_replies_and_then_its_root(life: Life) -> None:
    """Nobody knows what its root shows; nothing is done before it is heard of."""
    life.thread = decode(encode(thread(revision=0)))
    assert life.action is None
    life.notify(alert("a"))
    assert life.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]


def test_record_is_what_was_written(delivered: Life) -> None:
    """On one line, with its version although it is the usual one."""
    delivered.notify(described("1\n2", "b"))
    data = encode(delivered.thread)
    assert b"\n" not in data
    assert json.loads(data)["version"] == 3
    again = decode(data)
    assert again.shown.digest == ""
    assert msgspec.structs.replace(again, shown=delivered.thread.shown) == delivered.thread


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"key": "k"}', b'{"key": "k", "channel": "\xff"}'])
def test_what_cannot_be_read_says_so(data: bytes) -> None:
    """By one of two errors, which a store turns into its own."""
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode(data)
