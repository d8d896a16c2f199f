"""Delivery as a whole, on the file store, with a Slack that takes everything."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.delivery import deliverer as delivery
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.retry import Verdict
from alert_threader.store import FileStore
from alert_threader.store.base import Lease
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import Action, AlertThread, Change, Failed, Policy, Step
from tests.e2e.harness import wait_for
from tests.taker import Taker

NOW = 1_800_000_000.0
CHANNEL = "C0000001"
POLICY = Policy()


class Clock:
    """The time of day, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


def fired(key: str) -> Change:
    """An alert fires."""
    alert = Alert(
        status=Status.FIRING,
        fingerprint=key,
        labels={"alertname": key, "severity": "critical"},
        annotations={},
        starts_at=NOW,
        ends_at=None,
        links={},
        values="",
    )
    return Change(key=key, channel=CHANNEL, alerts=(alert,))


def senders() -> set[threading.Thread]:
    """The threads that speak to a channel."""
    return {each for each in threading.enumerate() if each.name == f"delivery-{CHANNEL}"}


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def slack() -> Taker:
    """Where everything goes."""
    return Taker()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    """An empty store."""
    store = FileStore(tmp_path / "threads.json", POLICY, CHANNEL, NOW)
    yield store
    store.close()


@pytest.fixture
def deliverer(store: FileStore, slack: Taker, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliverer]:
    """A delivery that runs, and lets time pass for threads at each of its looks."""
    monkeypatch.setattr(delivery, "_EXPIRE_EVERY", 0.0)
    running = Deliverer(store, slack, Metrics(), rate=100, burst=100, clock=clock)  # type: ignore[arg-type]
    running.start()
    yield running
    assert running.stop(5)


def tell(store: FileStore, deliverer: Deliverer, slack: Taker, key: str) -> None:
    """Let a thread open, and wait until it is told."""
    store.update([fired(key)], NOW)
    deliverer.wake([CHANNEL])
    wait_for(lambda: (key, Step.POST_ROOT) in slack.steps, 10)


def test_sender_stays_where_nobody_else_sends(store: FileStore, deliverer: Deliverer, slack: Taker) -> None:
    """The next webhook finds the channel's sender ready, and need not wait for another one to start."""
    tell(store, deliverer, slack, "a")
    first = senders()
    tell(store, deliverer, slack, "b")
    assert len(first) == 1
    assert senders() == first


def test_time_is_told_by_a_sender_that_stays(
    store: FileStore, deliverer: Deliverer, slack: Taker, clock: Clock
) -> None:
    """What nobody announces, as that a thread has become stale, is found by one that waits for webhooks."""
    tell(store, deliverer, slack, "a")
    clock.now += POLICY.stale_after
    wait_for(lambda: ("a", Step.UPDATE_ROOT) in slack.steps, 10)


def test_long_limit_is_waited_out(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where other processes may want the channel: they would only be limited as well."""
    claims: list[str] = []
    claim = store.claim

    def counted(channel: str) -> Lease | None:
        claims.append(channel)
        return claim(channel)

    monkeypatch.setattr(store, "shared", True)
    monkeypatch.setattr(store, "claim", counted)

    class Limited:
        """A Slack that asks to wait."""

        def call(self, thread: AlertThread, action: Action) -> Verdict:  # noqa: ARG002
            """Take nothing."""
            return Verdict(outcome=Failed(error="ratelimited", retry_at=NOW), limit=3600)

    running = Deliverer(store, Limited(), Metrics(), rate=100, burst=100, clock=Clock())  # type: ignore[arg-type]
    running.start()
    store.update([fired("a")], NOW)
    running.wake([CHANNEL])
    wait_for(lambda: bool(claims), 10)
    time.sleep(1)
    assert running.stop(5)
    assert claims == [CHANNEL]


def test_sender_leaves_at_last(
    store: FileStore, deliverer: Deliverer, slack: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel that is used once does not hold a thread for ever; used again, it is told as well."""
    monkeypatch.setattr(delivery, "_STAY", 0.0)
    tell(store, deliverer, slack, "a")
    wait_for(lambda: not senders(), 10)
    tell(store, deliverer, slack, "b")
