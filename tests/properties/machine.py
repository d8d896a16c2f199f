"""A service and a small model of Slack, driven by chance; the tests of each store run it.

Slack keeps what it accepted. The store is a real one; a crash closes it and opens what it kept. Messages are rendered
as they are sent. A post or an edit whose answer is lost may still be carried out, as long as the service's own time-out
after that, by a clock that nobody sets back; and a look-up need not see what was posted a moment ago.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alert_threader.alertmanager.webhook import Status
from alert_threader.formatter import message_hash, render
from alert_threader.store.base import Lease, Store
from alert_threader.store.verbs import Threads
from alert_threader.threads import (
    AlertThread,
    Applied,
    Batch,
    CopiesRemoved,
    Failed,
    NoteKind,
    NotFound,
    Operation,
    Outcome,
    Policy,
    Posted,
    Press,
    Reason,
    RootGone,
    Step,
    Unknown,
    Updated,
    Verdict,
    Wait,
    shown_now,
    slack_lane,
)
from tests.build import CHANNEL, DAY, HOUR, NOW, alert, change

KEYS = ("a", "b")
NAMES = ("1", "2", "3")
LANE = slack_lane(CHANNEL)
#: What a press is told by.
_OF_PRESSES = frozenset({NoteKind.ACKNOWLEDGED, NoteKind.TAKEN_OVER, NoteKind.UNACKNOWLEDGED})
#: How long the service waits after a failure, in seconds.
RETRY = 5.0


class Said(NamedTuple):
    """What a notification says of one alert."""

    status: Status
    severity: str
    summary: str
    description: str
    values: str

    def of(self, name: str) -> dict[str, Any]:
        """The alert's fields."""
        return {
            "status": self.status,
            "labels": {"alertname": "Down", "instance": name, "severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
            "values": self.values,
        }


FIRES = Said(Status.FIRING, "warning", "a summary", "a description", "A=1")
#: What can be new of an alert, and of the thread as a whole.
NEWS = ({"severity": "critical"}, {"summary": "another"}, {"description": "another"}, {"values": "A=2"})
OTHER_NEWS = ({"truncated": 3}, {"external_url": "http://am.test"}, {"external_url": "http://new.test"})
SAID = st.builds(
    lambda status, news: FIRES._replace(status=status, **news), st.sampled_from(Status), st.sampled_from(NEWS)
)
STATES = st.dictionaries(st.sampled_from(NAMES), SAID, min_size=1)
OTHERWISE = st.sampled_from([{}, *OTHER_NEWS])


@dataclass
class Message:
    """A message that Slack accepted, and what it shows."""

    ts: str
    attempt: str
    root: str | None
    batch: Batch
    shows: dict[str, Any]
    #: How simple it was made (``AlertThread.simple``).
    simple: int
    deleted: bool = False
    #: Whether the service took it away, as a copy: then nobody needs to have seen it.
    removed: bool = False


@dataclass
class Edit:
    """An edit that Slack is still at work on: until when at most, and what it will show."""

    until: float
    ts: str
    shows: dict[str, Any]
    simple: int

    def land(self, slack: "Channel") -> None:
        """Slack carries it out."""
        message = slack.messages[self.ts]
        message.shows, message.simple = self.shows, self.simple


@dataclass
class Post:
    """A post that Slack is still at work on."""

    until: float
    thread: AlertThread
    root: str | None
    shows: dict[str, Any]

    def land(self, slack: "Channel") -> None:
        """Slack carries it out."""
        slack.post(self.thread, self.root, self.shows)


@dataclass
class Channel:
    """A channel of Slack."""

    messages: dict[str, Message] = field(default_factory=dict)

    def post(self, thread: AlertThread, root: str | None, shows: dict[str, Any]) -> Message:
        """Accept a message. Under a deleted root, a reply stands in the channel."""
        assert thread.attempt is not None
        threaded = root if root is not None and not self.messages[root].deleted else None
        ts = f"{len(self.messages) + 1}.0"
        self.messages[ts] = Message(ts, thread.attempt.id, threaded, thread.attempt.batch, shows, thread.simple)
        return self.messages[ts]

    def find(self, attempt: str) -> Message | None:
        """Look a message up as the service does. A deleted one is not there."""
        return next((m for m in self.messages.values() if m.attempt == attempt and not m.deleted), None)


def rendered(thread: AlertThread, step: Step, simple: int) -> dict[str, Any]:
    """The message of a step, with its metadata."""
    batch = thread.attempt.batch if thread.attempt else Batch()
    return render(thread, step, batch, environment="test", attempt_id=thread.under_way, simple=simple)


def seen(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a person sees of a message."""
    return {name: value for name, value in message.items() if name != "metadata"}


class Machine(RuleBasedStateMachine):
    """The service's decisions, driven by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy(marks_unconfirmed=True)
        #: The service's clock, and one that is never set back.
        self.now = NOW
        self.elapsed = 0.0
        self.slack = Channel()
        self.late: list[Edit | Post] = []
        self.attempts = 0
        self.keys: dict[str, str] = {}
        self.presses = 0
        #: How many presses had an effect on each thread.
        self.answers: dict[str, int] = defaultdict(int)
        #: What each alert did, and how much of it Slack shows: the truth to compare with.
        self.transitions: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.status: dict[str, dict[str, Status]] = defaultdict(dict)
        self.store = self.open()

    def open(self) -> Store:
        """Open the store as a new process does."""
        raise NotImplementedError

    @property
    def threads(self) -> Threads:
        """The domain's verbs on the store."""
        return Threads(self.store, self.policy)

    def crash(self) -> None:
        """The process ends; nothing but what the store kept is left."""
        self.store.close()
        self.store = self.open()

    # -- what happens to the service ---------------------------------------------------------------------------

    @initialize()
    def opening(self) -> None:
        """Every story begins with an alert."""
        self.notify("a", {"1": FIRES}, {})

    @rule(key=st.sampled_from(KEYS), states=STATES, otherwise=OTHERWISE)
    def notify(self, key: str, states: dict[str, Said], otherwise: dict[str, Any]) -> None:
        """A notification of any alerts in any states, and then its duplicate, by way of an HA peer."""
        self.apply(key, list(states.items()), otherwise)
        before = self.store.read(key)
        assert before is not None
        peer = {"truncated": 9, "external_url": "http://other.test"}
        again = self.apply(key, list(states.items()), peer)
        assert (again.reason, again.fired, again.resolved) == (Reason.DUPLICATE, 0, 0)
        assert again.thread.revision == before.revision

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(NAMES), said=SAID, otherwise=OTHERWISE, at_once=st.booleans())
    def fires_again(self, key: str, name: str, said: Said, otherwise: dict[str, Any], at_once: bool) -> None:
        """An alert comes and goes between two calls, in one notification or in two, and says something else."""
        states = [(name, said._replace(status=status)) for status in (Status.RESOLVED, Status.FIRING)]
        for each in [states] if at_once else [[state] for state in states]:
            self.apply(key, each, otherwise)

    @rule(key=st.sampled_from(KEYS), news=st.sampled_from([*NEWS, *OTHER_NEWS]), at_once=st.booleans())
    def one_thing_is_new(self, key: str, news: dict[str, Any], at_once: bool) -> None:
        """In a thread that stays open, with all delivered before and after: chance alone seldom comes to it."""
        self.notify(key, dict.fromkeys(NAMES, FIRES._replace(status=Status.RESOLVED)), {})
        self.notify(key, dict.fromkeys(NAMES, FIRES), {})
        self.drain()
        said, otherwise = (FIRES._replace(**news), {}) if news in NEWS else (FIRES, news)
        self.fires_again(key, NAMES[0], said, otherwise, at_once)
        self.drain()

    def apply(self, key: str, states: list[tuple[str, Said]], otherwise: dict[str, Any]) -> Applied:
        """A notification comes; what each alert did is noted."""
        given = change(*(alert(name, **said.of(name)) for name, said in states), key=key, **otherwise)
        applied = self.threads.notify([given], self.now)[0]
        if applied.reason in (Reason.OPENED, Reason.OPENED_RESOLVED):
            self.status[key] = {}
        for name, said in states:
            if self.status[key].get(name) is not said.status:
                self.status[key][name] = said.status
                self.transitions[key, name].append("fired" if said.status is Status.FIRING else "resolved")
        return applied

    @rule(
        key=st.sampled_from(KEYS),
        operation=st.sampled_from([Operation.ACKNOWLEDGE, Operation.UNACKNOWLEDGE]),
        user=st.sampled_from(["U1", "U2"]),
    )
    def press(self, key: str, operation: Operation, user: str) -> None:
        """Somebody presses, and Slack sends it twice."""
        thread = self.store.read(key)
        if thread is None or thread.ts is None:
            return
        self.presses += 1
        pressed = Press(
            op=f"press{self.presses}",
            operation=operation,
            user=user,
            name=user,
            channel=CHANNEL,
            ts=thread.ts,
            at=self.now,
        )
        verdict = self.threads.press(key, pressed, self.now).verdict
        again = self.threads.press(key, pressed, self.now).verdict
        assert again is (Verdict.DUPLICATE if verdict.has_changed else verdict)
        self.answers[key] += verdict.has_changed

    @rule(seconds=st.sampled_from([1.0, 5.0, 15.0, 40.0, 1800.0, HOUR, 2 * HOUR, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        """Windows close, retries fall due, threads grow stale."""
        self.wait(seconds)
        self.threads.age(self.now)

    @rule(key=st.sampled_from(KEYS), delivered=st.booleans())
    def repeats_are_missed(self, key: str, delivered: bool) -> None:
        """All alerts fire, and are repeated once: chance alone seldom comes to it."""
        for _ in range(2):
            self.notify(key, dict.fromkeys(NAMES, FIRES), {})
            self.time_passes(2 * HOUR)
        if delivered:
            self.drain()
        self.time_passes(2 * HOUR)

    @rule(seconds=st.sampled_from([10.0, 300.0, HOUR]))
    def clock_is_set_back(self, seconds: float) -> None:
        """Somebody corrects it."""
        self.now -= seconds

    def wait(self, seconds: float) -> None:
        """Let time pass. What Slack is late with happens at the last moment."""
        self.now += seconds
        self.elapsed += seconds
        self.land([late for late in self.late if late.until <= self.elapsed])

    def land(self, calls: list[Edit | Post]) -> None:
        """Slack carries these out."""
        for late in calls:
            self.late.remove(late)
            late.land(self.slack)

    @precondition(lambda self: self.late)
    @rule()
    def late_calls_land(self) -> None:
        """Slack is done with what nobody waits for any more."""
        self.land(list(self.late))

    @rule()
    def crash_between_calls(self) -> None:
        """Kill -9 while nothing is under way."""
        self.crash()

    @precondition(lambda self: self.slack.messages)
    @rule(chance=st.integers(0, 1000))
    def person_deletes_a_root(self, chance: int) -> None:
        """Somebody tidies the channel. What the message delivered was seen."""
        roots = [m for m in self.slack.messages.values() if m.root is None and not m.deleted]
        known = {t.ts for t in self.store.threads() if t.attempt is None}
        mine = [m for m in roots if m.ts in known]
        if mine:
            self.gone(mine[chance % len(mine)])

    def gone(self, message: Message) -> None:
        """Delete a message. Slack refuses every edit of it from now on, one that it is still at work on as well."""
        message.deleted = True
        self.late = [late for late in self.late if not isinstance(late, Edit) or late.ts != message.ts]

    # -- what the service does ---------------------------------------------------------------------------------

    @rule(
        fate=st.sampled_from(
            ["ok", "ok", "lost answer", "lost call", "late", "refused", "refused form", "crash before", "crash after"]
        ),
        during=st.none() | STATES,
    )
    def deliver(self, fate: str, during: dict[str, Said] | None) -> None:
        """The most pressing action is done, with any luck; a notification may come during the call."""
        lease = self.store.claim(LANE)
        assert lease is not None
        if not self.sends(lease, fate, during):
            self.store.release(lease)

    def sends(self, lease: Lease, fate: str, during: dict[str, Said] | None) -> bool:
        """Make the call that is due; return whether the process has crashed."""
        due = self.store.due(LANE, self.now)
        if not due:
            return False
        key = due[0].key
        if due[0].action.step is Step.UPDATE_ROOT and self.is_unchanged(lease, key):
            return False
        self.attempts += 1
        started = self.threads.start_attempt(lease, key, f"id{self.attempts}", self.now)
        if started is None:
            return False
        thread, step = started.thread, started.step
        self.keys[thread.under_way] = key
        if fate == "crash before":
            if step is Step.UPDATE_ROOT:
                self.edit_late(thread)
            elif step.is_post:
                self.post_late(thread, step)
            self.crash()
            return True
        outcome = self.call(thread, step, fate)
        if during is not None:
            self.notify(key, during, {})
        if fate == "crash after":
            self.crash()
            return True
        self.threads.record_outcome(lease, key, thread.under_way, outcome, self.now)
        return False

    def is_unchanged(self, lease: Lease, key: str) -> bool:
        """Note that the root need not be edited, where it would look the same."""
        thread = self.store.read(key)
        assert thread is not None
        if message_hash(rendered(thread, Step.UPDATE_ROOT, thread.simple)) != thread.shown.hash:
            return False
        return self.threads.record_unchanged(lease, key, thread.revision)

    @rule()
    def some_are_delivered(self) -> None:
        """A few actions in a row go well."""
        for _ in range(3):
            self.deliver("ok", None)

    @rule(
        states=STATES,
        fate=st.sampled_from(["late", "lost answer", "crash before", "crash after"]),
        back=st.sampled_from([0.0, 0.0, 10.0, HOUR]),
        then=STATES,
    )
    def an_edit_is_lost(self, states: dict[str, Said], fate: str, back: float, then: dict[str, Said]) -> None:
        """Mostly, for chance alone seldom comes to it; the next one is due soon, whatever the clock says."""
        self.some_are_delivered()
        self.notify("a", states, {})
        self.deliver("ok", None)
        self.deliver(fate, None)
        self.clock_is_set_back(back)
        self.notify("a", then, {})
        self.drain()

    def call(self, thread: AlertThread, step: Step, fate: str) -> Outcome:
        """What Slack does, and what the service hears of it."""
        if step is Step.UPDATE_ROOT:
            return self.edit(thread, fate)
        if step is Step.REMOVE_COPIES:
            return self.remove_copies(thread, fate)
        assert thread.attempt is not None
        lost = Unknown(error="lost", retry=Wait(self.now + RETRY, RETRY))
        if step is Step.LOOK_UP:
            found = self.slack.find(thread.attempt.id)
            outcome: Outcome = Posted(ts=found.ts, threaded=found.root is not None) if found else NotFound()
            if fate == "late":
                return NotFound()  # the history lags behind
            return outcome if fate == "ok" else lost
        if fate.startswith("refused"):
            return self.refused(fate)
        if fate == "late":
            self.post_late(thread, step)
        if fate in ("late", "lost call"):
            return lost
        message = rendered(thread, step, thread.simple)
        posted = self.slack.post(thread, thread.ts if step is Step.POST_REPLY else None, seen(message))
        if fate == "lost answer":
            return lost
        return Posted(ts=posted.ts, threaded=posted.root is not None, hash=message_hash(message))

    def refused(self, fate: str) -> Outcome:
        """Slack does not take a message, perhaps for its form."""
        return Failed(error="no", retry=Wait(self.now + RETRY, RETRY), simpler=fate == "refused form")

    def edit(self, thread: AlertThread, fate: str) -> Outcome:
        """An edit of the root."""
        if fate.startswith("refused"):
            return self.refused(fate)
        if fate == "late":
            self.edit_late(thread)
            self.wait(self.policy.call_timeout)
        lost = Unknown(error="lost", retry=Wait(self.now, 0))
        if fate in ("late", "lost call"):
            return lost
        assert thread.ts is not None
        root = self.slack.messages[thread.ts]
        if root.deleted:
            return RootGone(ts=thread.ts)
        message = rendered(thread, Step.UPDATE_ROOT, thread.simple)
        root.shows, root.simple = seen(message), thread.simple
        updated = Updated(ts=thread.ts, shown=shown_now(thread, message_hash(message)))
        return lost if fate == "lost answer" else updated

    def edit_late(self, thread: AlertThread) -> None:
        """Slack takes its time for an edit, or never saw it."""
        assert thread.ts is not None
        if self.slack.messages[thread.ts].deleted:
            return
        shows = seen(rendered(thread, Step.UPDATE_ROOT, thread.simple))
        # Its sender waited for so long, and Slack goes on for as long.
        self.late.append(Edit(self.elapsed + 2 * self.policy.call_timeout, thread.ts, shows, thread.simple))

    def post_late(self, thread: AlertThread, step: Step) -> None:
        """Slack takes its time for a post."""
        shows = seen(rendered(thread, step, thread.simple))
        root = thread.ts if step is Step.POST_REPLY else None
        self.late.append(Post(self.elapsed + 2 * self.policy.call_timeout, thread, root, shows))

    def remove_copies(self, thread: AlertThread, fate: str) -> Outcome:
        """The service looks for what arrived late."""
        if fate != "ok":
            return CopiesRemoved(ids=(), retry=Wait(self.now + RETRY, RETRY))
        ids = tuple(post.id for post in thread.uncertain_posts)
        for message in self.slack.messages.values():
            if message.attempt in ids and message.ts != thread.ts and not message.deleted:
                message.removed = True
                self.gone(message)
        return CopiesRemoved(ids=ids)

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_delivered_twice_or_out_of_order(self) -> None:
        """What Slack shows of each alert is the beginning of what it did, each message going on from the last."""
        self.delivered: dict[tuple[str, str], int] = defaultdict(int)
        for message in self.counted():
            for name, event in message.batch.events.items():
                at = (self.keys[message.attempt], name)
                self.delivered[at] += event.changes
                done = self.transitions[at]
                assert self.delivered[at] <= len(done)
                assert done[self.delivered[at] - 1] == event.kind

    def counted(self) -> list[Message]:
        """The messages without copies: those that the service has taken away, or is about to look for."""
        copies = {post.id for thread in self.store.threads() for post in thread.uncertain_posts}
        return [each for each in self.slack.messages.values() if not each.removed and each.attempt not in copies]

    @invariant()
    def root_is_what_would_be_rendered(self) -> None:
        """Wherever nothing is pending, whatever was to be edited, lost or repeated before."""
        pending = {due.key for due in self.store.due(LANE, float("inf"))}
        for thread in self.store.threads():
            if thread.key not in pending and thread.ts is not None:
                root = self.slack.messages[thread.ts]
                # A message that is posted names people, one that is edited links to them.
                steps = (Step.UPDATE_ROOT, Step.POST_ROOT) if thread.acknowledgement else (Step.UPDATE_ROOT,)
                assert root.deleted or root.shows in [seen(rendered(thread, step, root.simple)) for step in steps]

    def teardown(self) -> None:
        """In the end Slack answers, and everything is delivered."""
        try:
            self.drain()
            assert not self.late, "all that Slack was at work on has landed before the service comes to rest"
            self.nothing_is_delivered_twice_or_out_of_order()
            self.root_is_what_would_be_rendered()
            assert {at: n for at, n in self.delivered.items() if n} == {
                at: len(d) for at, d in self.transitions.items() if d
            }
            assert self.told() == {key: count for key, count in self.answers.items() if count}
            assert self.store.counts().pending == 0
            for thread in self.store.threads():
                assert thread.ts is not None
                assert self.slack.messages[thread.ts].root is None
        finally:
            self.store.close()

    def told(self) -> dict[str, int]:
        """How many presses Slack tells of, by thread."""
        told: dict[str, int] = defaultdict(int)
        for message in self.counted():
            for note in message.batch.notes:
                if note.kind in _OF_PRESSES:
                    told[self.keys[message.attempt]] += 1
        return dict(told)

    def drain(self) -> None:
        """Deliver until nothing is due any more."""
        for _ in range(300):
            soonest = min(self.store.pending().values(), default=0.0) - self.now
            self.wait(min(max(soonest, 4), 60))
            if not self.store.pending():
                return
            self.deliver("ok", None)
        raise AssertionError("the service never comes to rest")
