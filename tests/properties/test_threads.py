"""Any interleaving of webhooks, duplicates, failures, crashes and deletions ends with every change told once, in order.

A small model of Slack keeps what it accepted. The store is a real one; a crash closes it and opens what it kept. An
edit whose answer is lost may still be carried out, as long as the service's own time-out after that.
"""

import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import fakeredis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.store import FileStore, RedisStore, Store
from alert_threader.threads import (
    AlertThread,
    Batch,
    Change,
    Failed,
    NotFound,
    Outcome,
    Policy,
    Posted,
    Reason,
    RootGone,
    Shown,
    Step,
    Unknown,
    Updated,
)
from alert_threader.threads.plan import root_digest

HOUR = 3600.0
DAY = 24 * HOUR
KEYS = ("a", "b")
NAMES = ("1", "2", "3")
CHANNEL = "C0000001"
STATES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Status), min_size=1)


@dataclass
class Message:
    """A message that Slack accepted."""

    ts: str
    attempt: str
    root: str | None
    told: Batch
    deleted: bool = False
    shows: str = ""


@dataclass
class Channel:
    """A channel of Slack."""

    messages: dict[str, Message] = field(default_factory=dict)

    def post(self, attempt: str, told: Batch, root: str | None, shows: str) -> Message:
        """Accept a message. Under a deleted root, a reply stands in the channel."""
        threaded = root if root is not None and not self.messages[root].deleted else None
        message = Message(f"{len(self.messages) + 1}.0", attempt, threaded, told, shows=shows)
        self.messages[message.ts] = message
        return message

    def find(self, attempt: str) -> Message | None:
        """Look a message up as the service does. A deleted one is not there."""
        return next((m for m in self.messages.values() if m.attempt == attempt and not m.deleted), None)


def alerts(states: dict[str, Status]) -> tuple[Alert, ...]:
    """The alerts of a webhook, by name."""
    return tuple(
        Alert(
            status=status,
            fingerprint=name,
            labels={"instance": name},
            annotations={},
            starts_at=None,
            ends_at=None,
            links={},
            values="",
        )
        for name, status in states.items()
    )


class Threads(RuleBasedStateMachine):
    """The service's decisions, driven by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.policy = Policy()
        self.now = 1_800_000_000.0
        self.slack = Channel()
        #: Edits that Slack is still at work on: until when at most, the message, and what it will show.
        self.late: list[tuple[float, str, str]] = []
        self.attempts = 0
        self.keys: dict[str, str] = {}
        #: What each alert did, and how much of it Slack shows: the truth to compare with.
        self.transitions: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.status: dict[str, dict[str, Status]] = defaultdict(dict)
        self.store: Store = self.open()

    def open(self) -> Store:
        """Open the store as a new process does."""
        return FileStore(self.folder / "threads.json", self.policy, CHANNEL, self.now)

    def crash(self) -> None:
        """The process ends; nothing but what the store kept is left."""
        self.store.close()
        self.store = self.open()

    @initialize()
    def opening(self) -> None:
        """Every story begins with an alert."""
        self.webhook("a", {"1": Status.FIRING})

    @rule(key=st.sampled_from(KEYS), states=STATES)
    def webhook(self, key: str, states: dict[str, Status]) -> None:
        """A webhook with any alerts in any states, and then its duplicate."""
        change = Change(key=key, channel=CHANNEL, alerts=alerts(states))
        applied = self.store.update([change], self.now)[0]
        if applied.reason in (Reason.OPENED, Reason.OPENED_RESOLVED):
            self.status[key] = {}
        for name, status in states.items():
            if self.status[key].get(name) is not status:
                self.status[key][name] = status
                kind = "fired" if status is Status.FIRING else "resolved"
                self.transitions[key, name].append(kind)
        again = self.store.update([change], self.now)[0]
        assert again.reason is Reason.DUPLICATE
        assert (again.fired, again.resolved) == (0, 0)

    @rule(seconds=st.sampled_from([1.0, 5.0, 15.0, 40.0, 1800.0, HOUR, 2 * HOUR, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        """Windows close, retries fall due, threads grow stale."""
        self.wait(seconds)
        self.store.expire(self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass. What Slack is late with happens at the last moment."""
        self.now += seconds
        self.land([late for late in self.late if late[0] <= self.now])

    def land(self, edits: list[tuple[float, str, str]]) -> None:
        """Slack carries these edits out."""
        for late in edits:
            self.late.remove(late)
            self.slack.messages[late[1]].shows = late[2]

    @precondition(lambda self: self.late)
    @rule()
    def late_edits_land(self) -> None:
        """Slack is done with what nobody waits for any more."""
        self.land(list(self.late))

    @rule()
    def crash_between_calls(self) -> None:
        """Kill -9 while nothing is under way."""
        self.crash()

    @precondition(lambda self: self.slack.messages)
    @rule(chance=st.integers(0, 1000))
    def person_deletes_a_root(self, chance: int) -> None:
        """Somebody tidies the channel. What the message told was seen."""
        roots = [m for m in self.slack.messages.values() if m.root is None and not m.deleted]
        known = {t.ts for t in self.store.threads() if t.attempt is None}
        mine = [m for m in roots if m.ts in known]
        if mine:
            mine[chance % len(mine)].deleted = True

    @rule(
        fate=st.sampled_from(["ok", "ok", "lost answer", "lost call", "refused", "crash before", "crash after"]),
        during=st.none() | STATES,
    )
    def deliver(self, fate: str, during: dict[str, Status] | None) -> None:
        """The most pressing action is done, with any luck; a webhook may come during the call."""
        lease = self.store.claim(CHANNEL)
        assert lease is not None
        due = self.store.due(CHANNEL, self.now)
        self.attempts += 1
        begun = self.store.begin(lease, due[0].key, f"id{self.attempts}", self.now) if due else None
        if begun is None:
            self.store.release(lease)
            return
        thread, action = begun
        attempt = thread.under_way
        self.keys[attempt] = thread.key
        if fate == "crash before":
            if action.step is Step.UPDATE_ROOT:
                self.edit_late(thread)
            self.crash()
            return
        outcome = self.call(thread, action.step, fate)
        if during is not None:
            self.webhook(due[0].key, during)
        if fate == "crash after":
            self.crash()
            return
        settled = self.store.settle(lease, due[0].key, attempt, outcome, self.now)
        assert settled is not None
        self.store.release(lease)

    @rule()
    def some_are_told(self) -> None:
        """A few actions in a row go well."""
        for _ in range(3):
            self.deliver("ok", None)

    @rule(states=STATES, fate=st.sampled_from(["lost call", "lost answer", "crash before", "crash after"]), then=STATES)
    def an_edit_is_lost(self, states: dict[str, Status], fate: str, then: dict[str, Status]) -> None:
        """Mostly, for chance alone seldom comes to it; and the next one is due soon."""
        self.some_are_told()
        self.webhook("a", states)
        self.deliver("ok", None)
        self.deliver(fate, None)
        self.webhook("a", then)
        self.some_are_told()

    def call(self, thread: AlertThread, step: Step, fate: str) -> Outcome:
        """What Slack does, and what the service hears of it."""
        if step is Step.UPDATE_ROOT:
            return self.edit(thread, fate)
        assert thread.attempt is not None
        lost = Unknown(error="lost", retry_at=self.now + 5)
        if step is Step.FIND_ATTEMPT:
            found = self.slack.find(thread.attempt.id)
            outcome: Outcome = Posted(ts=found.ts, threaded=found.root is not None) if found else NotFound()
            return outcome if fate == "ok" else lost
        if fate == "refused":
            return Failed(error="no", retry_at=self.now + 5)
        if fate == "lost call":
            return lost
        root = thread.ts if step is Step.POST_REPLY else None
        shows = root_digest(thread) if root is None else ""
        message = self.slack.post(thread.attempt.id, thread.attempt.batch, root, shows)
        return lost if fate == "lost answer" else Posted(ts=message.ts, threaded=message.root is not None)

    def edit(self, thread: AlertThread, fate: str) -> Outcome:
        """An edit of the root."""
        if fate == "refused":
            return Failed(error="no", retry_at=self.now + 5)
        if fate == "lost call":
            self.edit_late(thread)
            self.wait(self.policy.find_after)
        lost = Unknown(error="lost", retry_at=self.now + self.policy.find_after)
        if fate == "lost call":
            return lost
        assert thread.ts is not None
        if self.slack.messages[thread.ts].deleted:
            return RootGone(ts=thread.ts)
        self.slack.messages[thread.ts].shows = root_digest(thread)
        updated = Updated(ts=thread.ts, shown=Shown(digest=root_digest(thread), status=thread.state))
        return lost if fate == "lost answer" else updated

    def edit_late(self, thread: AlertThread) -> None:
        """Slack takes its time for an edit, or never saw it."""
        assert thread.ts is not None
        # Its sender waited for so long, and Slack goes on for as long.
        self.late.append((self.now + 2 * self.policy.find_after, thread.ts, root_digest(thread)))

    @invariant()
    def nothing_is_told_twice_or_out_of_order(self) -> None:
        """What Slack shows of each alert is the beginning of what it did, each message going on from the last."""
        told: dict[tuple[str, str], int] = defaultdict(int)
        for message in self.slack.messages.values():
            for name, event in message.told.events.items():
                at = (self.key_of(message), name)
                told[at] += event.changes
                done = self.transitions[at]
                assert told[at] <= len(done)
                assert done[told[at] - 1] == event.kind
        self.told = told

    def key_of(self, message: Message) -> str:
        """The thread that a message was posted for."""
        return self.keys[message.attempt]

    def teardown(self) -> None:
        """In the end Slack answers, and everything is told."""
        try:
            self.drain()
            self.land(list(self.late))
            self.nothing_is_told_twice_or_out_of_order()
            assert {at: n for at, n in self.told.items() if n} == {
                at: len(d) for at, d in self.transitions.items() if d
            }
            assert self.store.counts(self.now).pending == 0
            for thread in self.store.threads():
                assert thread.ts is not None
                assert self.slack.messages[thread.ts].shows == root_digest(thread)
                assert self.slack.messages[thread.ts].root is None
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    def drain(self) -> None:
        """Deliver until nothing is due any more."""
        for _ in range(300):
            self.wait(4)
            if not self.store.waiting():
                return
            self.deliver("ok", None)
        raise AssertionError("the service never comes to rest")


class ThreadsInRedis(Threads):
    """The same on Redis."""

    def open(self) -> Store:
        """Connect as a new process does."""
        if not hasattr(self, "redis"):
            self.redis = fakeredis.FakeServer(version=(7,))
        return RedisStore(fakeredis.FakeRedis(server=self.redis), "threader:ts", self.policy)

    def crash(self) -> None:
        """The process ends, and after a while its lease."""
        super().crash()
        fakeredis.FakeRedis(server=self.redis).delete(f"threader:ts-lease:{CHANNEL}")


Threads.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
ThreadsInRedis.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestThreads = Threads.TestCase
TestThreadsInRedis = ThreadsInRedis.TestCase
