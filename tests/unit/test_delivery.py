"""Delivery as a whole, on the file store, with a Slack that takes everything."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest

from alert_threader.delivery import deliverer as watching
from alert_threader.delivery import sender as sending
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.pacing import Pacing
from alert_threader.delivery.retry import Verdict
from alert_threader.delivery.slack_calls import KIND, SlackCalls
from alert_threader.errors import StoreError
from alert_threader.slack.search import Sent
from alert_threader.store import SqliteStore, Threads
from alert_threader.store.base import Decide, Due, Lease
from alert_threader.store.tokens import Budget
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import AlertThread, Change, Failed, Policy, Step, Wait, is_pending, slack_lane
from alert_threader.threads.plan import DEBOUNCE, TEXT_DEBOUNCE
from harness.service import Background, wait_for
from tests.build import CHANNEL, NOW, alert, change
from tests.taker import Taker

T = TypeVar("T")

LANE = slack_lane(CHANNEL)
POLICY = Policy()
#: How long a request would wait for Slack, in seconds: longer than any test may take.
_PATIENCE = 30.0


class Clock:
    """The time of day, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


class Slack:
    """A chat that takes everything, and keeps the method and the ``ts`` of each call."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.calls: list[tuple[str, str]] = []

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:  # noqa: ARG002
        """Take a message."""
        self.calls.append(("post", thread_ts or ""))
        return Sent(f"{len(self.calls)}.0", thread_ts is not None)

    def update(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take an edit."""
        self.calls.append(("update", ts))

    def find(
        self,
        channel: str,  # noqa: ARG002
        attempt_ids: Collection[str],  # noqa: ARG002
        since: float,  # noqa: ARG002
        thread_ts: str | None,
    ) -> dict[str, Sent]:
        """Find nothing."""
        self.calls.append(("find", thread_ts or ""))
        return {}

    def find_last(self, channel: str, key: str, since: float, thread_ts: str | None) -> Sent | None:
        """The same, by key."""
        return self.find(channel, [key], since, thread_ts).get(key)

    def delete(self, channel: str, ts: str) -> None:  # noqa: ARG002
        """Delete a message."""
        self.calls.append(("delete", ts))

    def link(self, channel: str, ts: str) -> str:
        """Where a message is."""
        return f"https://example.slack.com/archives/{channel}/{ts}"


class Refusing(Taker):
    """Fails the first calls, each to be made again after ``wait`` seconds; ``limit`` holds back its method."""

    def __init__(self, clock: Clock, failures: int, *, wait: float = 0, limit: float = 0) -> None:
        """Fail so many times."""
        super().__init__()
        self._clock = clock
        self._left = failures
        self._wait = wait
        self._limit = limit

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Refuse, or take it."""
        taken = super().call(thread, step)
        if self._left == 0:
            return taken
        self._left -= 1
        retry = Wait(self._clock() + self._wait, self._wait)
        return Verdict(outcome=Failed(error="refused", retry=retry), limit=self._limit)


class Budgets(Taker):
    """Keeps which calls asked for a token."""

    def __init__(self, calls: SlackCalls) -> None:
        """Take who makes the calls."""
        super().__init__()
        self.asked: list[Step] = []
        self._calls = calls

    def budget(self, step: Step, lane: str, *, answers_press: bool = False) -> tuple[str, Budget]:  # noqa: ARG002
        """The budget of a step's call."""
        self.asked.append(step)
        return self._calls.budget(step, lane)

    def is_unchanged(self, thread: AlertThread) -> bool:
        """Whether the root shows this already."""
        return self._calls.is_unchanged(thread)

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Make it."""
        self.steps.append((thread.key, step))
        return self._calls.call(thread, step)


def fired(key: str, fingerprint: str = "") -> Change:
    """An alert fires."""
    said = alert(fingerprint or key, labels={"alertname": key, "severity": "critical"}, starts_at=NOW)
    return change(said, key=key, channel=CHANNEL)


def senders() -> set[threading.Thread]:
    """The threads that work the lane."""
    return {each for each in threading.enumerate() if each.name == f"delivery-{LANE}"}


class Parts(NamedTuple):
    """A delivery that runs, and what it works on."""

    threads: Threads
    deliverer: Deliverer

    def fire(self, key: str, fingerprint: str = "") -> list[AlertThread]:
        """An alert of a thread fires; return the thread."""
        applied = self.threads.notify([fired(key, fingerprint)], NOW)
        self.deliverer.wake([LANE])
        return [each.thread for each in applied]

    def read(self, key: str) -> AlertThread:
        """A thread that is there."""
        thread = self.threads.store.read(key)
        assert thread is not None
        return thread

    def wait_until_delivered(self, key: str) -> None:
        """Wait until nothing of a thread is pending."""
        wait_for(lambda: not is_pending(self.read(key)), 10)

    def change_receiver(self, key: str, receiver: str) -> None:
        """Change what no root shows."""

        def change(thread: AlertThread | None) -> tuple[AlertThread | None, None]:
            assert thread is not None
            return msgspec.structs.replace(thread, revision=thread.revision + 1, receiver=receiver), None

        self.threads.store.transact(key, change)

    def deliver(self, key: str) -> None:
        """Let a thread open, and wait until it is delivered."""
        self.fire(key)
        self.wait_until_delivered(key)


Run = Callable[[Taker], Parts]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    store = SqliteStore(tmp_path / "threads.json", POLICY, CHANNEL, NOW)
    yield store
    store.close()


@pytest.fixture
def run(store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Start a delivery to somebody, which lets threads age at each of its looks."""
    monkeypatch.setattr(watching, "_AGE_EVERY", 0.0)
    running: list[Deliverer] = []

    def start(calls: Taker) -> Parts:
        threads = Threads(store, POLICY)
        deliverer = Deliverer(threads, {KIND: calls}, Metrics(), burst=100, clock=clock)
        running.append(deliverer)
        deliverer.start()
        return Parts(threads, deliverer)

    yield start
    for each in running:
        assert each.stop(5)


@pytest.fixture
def slack() -> Slack:
    """A chat that takes everything."""
    return Slack()


@pytest.fixture
def slack_calls(slack: Slack, clock: Clock) -> SlackCalls:
    """The real calls, to that chat."""
    return SlackCalls(slack, POLICY, Pacing(100, 100), Metrics(), environment="production", clock=clock)


def test_sender_stays_where_nobody_else_sends(run: Run) -> None:
    """The next webhook finds the channel's sender ready, and need not wait for another one to start."""
    parts = run(Taker())
    parts.deliver("a")
    first = senders()
    parts.deliver("b")
    assert len(first) == 1
    assert senders() == first


def test_time_is_delivered_by_a_sender_that_stays(run: Run, clock: Clock) -> None:
    """What nobody announces, as that a thread has become stale, is found by one that waits for webhooks."""
    taker = Taker()
    run(taker).deliver("a")
    clock.now += POLICY.stale_after
    wait_for(lambda: ("a", Step.UPDATE_ROOT) in taker.steps, 10)


def test_long_limit_is_waited_out(run: Run, store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where other processes may want the lane: they would only be limited as well."""
    claims: list[str] = []
    looks: list[str] = []
    claim, due = store.claim, store.due

    def counted_claim(lane: str) -> Lease | None:
        claims.append(lane)
        return claim(lane)

    def counted_due(lane: str, now: float) -> list[Due]:
        looks.append(lane)
        return due(lane, now)

    monkeypatch.setattr(store, "shared", True)
    monkeypatch.setattr(store, "claim", counted_claim)
    monkeypatch.setattr(store, "due", counted_due)
    taker = Refusing(clock, 1, limit=3600)
    run(taker).fire("a")
    wait_for(lambda: bool(taker.steps), 10)
    seen = len(looks)
    wait_for(lambda: len(looks) > seen + 5, 10)
    assert claims == [LANE]
    assert taker.steps == [("a", Step.POST_ROOT)]


def test_sender_leaves_at_last(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is used once does not hold a thread for ever; used again, it is delivered to as well."""
    monkeypatch.setattr(sending, "_STAY", 0.0)
    parts = run(Taker())
    parts.deliver("a")
    wait_for(lambda: not senders(), 10)
    parts.deliver("b")


@pytest.mark.parametrize("shared", [False, True])
def test_slow_store_delivers_where_nobody_else_sends(
    run: Run, store: SqliteStore, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes longer than a lease would live costs time, and no call; in a shared store another may send."""
    monkeypatch.setattr(sending, "LEASE_TTL", 0.02)
    monkeypatch.setattr(store, "shared", shared)
    transact = store.transact

    def slow(key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        changed = transact(key, decide, lease)
        time.sleep(0.05)
        return changed

    monkeypatch.setattr(store, "transact", slow)
    taker = Taker()
    parts = run(taker)
    parts.fire("a")
    if shared:
        wait_for(lambda: parts.read("a").attempt is not None, 10)
        wait_for(lambda: not senders(), 10)
        assert taker.steps == []
    else:
        parts.wait_until_delivered("a")
        assert taker.steps == [("a", Step.POST_ROOT)]


def test_edit_that_shows_nothing_new_is_not_made(run: Run, slack: Slack, slack_calls: SlackCalls, clock: Clock) -> None:
    """A change that a root does not show costs neither a call nor a token, and leaves nothing pending."""
    calls = Budgets(slack_calls)
    parts = run(calls)
    parts.deliver("a")
    parts.change_receiver("a", "team")
    assert is_pending(parts.read("a"))
    clock.now += TEXT_DEBOUNCE
    parts.deliverer.wake([LANE])
    parts.wait_until_delivered("a")
    assert slack.calls == [("post", "")]
    assert set(calls.asked) == {Step.POST_ROOT}
    assert parts.read("a").receiver == "team"


def test_edit_that_shows_something_new_is_made(run: Run, slack: Slack, slack_calls: SlackCalls, clock: Clock) -> None:
    """A second alert is in a reply and in the root."""
    parts = run(Budgets(slack_calls))
    parts.deliver("a")
    parts.fire("a", "another")
    wait_for(lambda: ("post", "1.0") in slack.calls, 10)
    clock.now += DEBOUNCE
    parts.wait_until_delivered("a")
    assert slack.calls == [("post", ""), ("post", "1.0"), ("update", "1.0")]


def test_request_need_not_wait_for_an_edit_that_is_not_made(
    run: Run, store: SqliteStore, slack_calls: SlackCalls, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered as soon as it is known that the root shows everything."""
    looking, go_on = threading.Event(), threading.Event()
    parts = run(Budgets(slack_calls))
    parts.deliver("a")
    waiting, is_unchanged, read = parts.deliverer.waiting, slack_calls.is_unchanged, store.read
    readers: set[threading.Thread] = set()

    def slowly(thread: AlertThread) -> bool:
        looking.set()
        return go_on.wait(10) and is_unchanged(thread)

    def noted(key: str) -> AlertThread | None:
        readers.add(threading.current_thread())
        return read(key)

    monkeypatch.setattr(slack_calls, "is_unchanged", slowly)
    parts.change_receiver("a", "team")
    clock.now += TEXT_DEBOUNCE
    thread = parts.read("a")
    parts.deliverer.wake([LANE])
    assert looking.wait(10)
    monkeypatch.setattr(store, "read", noted)
    began = time.monotonic()
    request = Background(lambda: waiting.wait_until_delivered([thread], _PATIENCE))
    wait_for(lambda: bool(readers), 10)
    go_on.set()
    (answered,) = request.finish()
    assert waiting.is_delivered(answered)
    assert time.monotonic() - began < _PATIENCE


def test_wait_is_a_length_where_the_clock_is_set_back(run: Run, clock: Clock) -> None:
    """A retry that was to come after a second comes after a second, not when the clock is where it was."""
    taker = Refusing(clock, 1, wait=1)
    parts = run(taker)
    parts.fire("a")
    wait_for(lambda: parts.read("a").failures == 1, 10)
    clock.now -= 300
    wait_for(lambda: parts.read("a").retry_at == clock.now + 1, 10)
    assert len(taker.steps) == 1, "it waits for its second"
    clock.now += 1
    parts.wait_until_delivered("a")
    assert len(taker.steps) == 2


class Gated(Taker):
    """Takes every call, once the gate is open."""

    def __init__(self) -> None:
        """Begin with a closed gate."""
        super().__init__()
        self.gate = threading.Event()

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Wait for the gate."""
        assert self.gate.wait(_PATIENCE)
        return super().call(thread, step)


class Outage(Taker):
    """The first call of each channel fails. After it one channel would wait for an hour, the other for a moment."""

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Fail, or take it."""
        is_first = all(key != thread.key for key, _ in self.steps)
        taken = super().call(thread, step)
        if not is_first:
            return Verdict(outcome=taken.outcome, works=(self.method(step),))
        hold = 3600 if thread.channel == CHANNEL else 0.5
        return Verdict(outcome=Failed(error="503", retry=Wait()), hold=hold)


def test_what_works_in_one_channel_is_tried_in_all_at_once(run: Run) -> None:
    """After an outage: its reason was no channel's own."""
    calls = Outage()
    parts = run(calls)
    parts.fire("a")
    wait_for(lambda: bool(calls.steps), 10)
    other = msgspec.structs.replace(fired("b"), channel="C0OTHER0001")
    parts.threads.notify([other], NOW)
    parts.deliverer.wake([slack_lane(other.channel)])
    for key in ("b", "a"):
        parts.wait_until_delivered(key)


class Paused(Taker):
    """Fails, and lets all calls of the lane pause for an hour."""

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Refuse."""
        super().call(thread, step)
        return Verdict(outcome=Failed(error="down", retry=Wait()), pause=3600)


def failing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch, *calls: int, stored: bool) -> None:
    """Let these calls of senders to the store fail, counted from 0; ``stored`` is whether it had done its work."""
    monkeypatch.setattr(sending, "RETRY_STORE", 0.01)
    transact = store.transact
    count = iter(range(100))

    def fails(key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        fault = lease is not None and next(count) in calls
        if fault and not stored:
            raise StoreError("away")
        word = transact(key, decide, lease)
        if fault:
            raise StoreError("away")
        return word

    monkeypatch.setattr(store, "transact", fails)


def test_waiting_sender_is_woken_by_a_webhook(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not look by itself: on a quiet day the answer to the webhook waits for it."""
    monkeypatch.setattr(sending, "_LOOK_ALONE", 2 * _PATIENCE)
    parts = run(Taker())
    parts.deliver("a")
    parts.deliver("b")


def test_request_is_answered_as_soon_as_its_alert_is_delivered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for its time to be over."""
    taker = Gated()
    parts = run(taker)
    waiting, asks = parts.deliverer.waiting, threading.Event()
    is_delivered = waiting.is_delivered

    def noted(thread: AlertThread) -> bool:
        asks.set()
        return is_delivered(thread)

    monkeypatch.setattr(waiting, "is_delivered", noted)
    began = time.monotonic()
    threads = parts.fire("a")
    request = Background(lambda: waiting.wait_until_delivered(threads, _PATIENCE))
    assert asks.wait(10)
    taker.gate.set()
    (answered,) = request.finish()
    assert answered.ts == "1.0"
    assert time.monotonic() - began < _PATIENCE


def test_attempt_that_may_be_stored_without_a_call_is_not_looked_up(
    run: Run, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails while an attempt is stored costs a moment, not the time that Slack might need for a call."""
    failing(store, monkeypatch, 0, stored=True)
    taker = Taker()
    run(taker).deliver("a")
    assert taker.steps == [("a", Step.POST_ROOT)]


def test_outcome_is_recorded_when_the_store_is_back(
    run: Run, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is away: Slack is neither asked for the message, nor sent it again."""
    failing(store, monkeypatch, 1, 2, 3, stored=False)
    taker = Taker()
    run(taker).deliver("a")
    assert taker.steps == [("a", Step.POST_ROOT)]


@pytest.mark.parametrize("shared", [False, True])
def test_lane_in_trouble_is_left_to_others_where_there_are_any(
    run: Run, store: SqliteStore, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this process cannot reach Slack, another may."""
    monkeypatch.setattr(store, "shared", shared)
    looks: list[str] = []
    due = store.due

    def look(lane: str, now: float) -> list[Due]:
        looks.append(lane)
        return due(lane, now)

    monkeypatch.setattr(store, "due", look)
    monkeypatch.setattr(sending, "_LOOK_ALONE", 0.02)
    taker = Paused()
    run(taker).fire("a")
    wait_for(lambda: bool(taker.steps), 10)
    if shared:
        wait_for(lambda: not senders(), 10)
    else:
        seen = len(looks)
        wait_for(lambda: len(looks) > seen + 5, 10)
        assert senders()
    assert len(taker.steps) == 1
