"""What polling Alertmanager puts right, on a store, with a clock of its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    Configuration,
    KnownSilence,
    MemberState,
    SilenceState,
)
from alert_threader.delivery.reconciler import Polling, Reconciler
from alert_threader.store import SqliteStore, Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.telemetry.snapshot import Snapshot
from alert_threader.threads import Gone, Policy, Silence
from tests.build import CHANNEL, HOUR, NOW, alert, change, held, known_silence, thread

#: The address that the webhooks come from.
FROM = "http://am.test"


class Member:
    """A member of a cluster, which has run for an hour; ``fields`` are what it says otherwise."""

    def __init__(self, name: str, cluster: "Cluster") -> None:
        self.name = name
        self._cluster = cluster
        self.started_at = NOW - HOUR
        self.is_down = False
        self.fields: dict[str, Any] = {}

    def state(self) -> MemberState | AlertmanagerError:
        """What it says now."""
        if self.is_down:
            return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, f"{self.name} cannot be reached")
        values: dict[str, Any] = {
            "cluster_status": "ready",
            "peers": {each.name: f"{each.name}:9094" for each in self._cluster.members},
            "started_at": self.started_at,
            "now": self._cluster.clock(),
            "alerts": self._cluster.alerts,
            "silences": self._cluster.held,
            "configuration": Configuration(group_interval=60),
        }
        return MemberState(host=self.name, name=self.name, **{**values, **self.fields})


class Cluster:
    """A cluster of Alertmanagers in memory."""

    name = "am"

    def __init__(self, clock: Callable[[], float], *silences: KnownSilence, members: int = 1) -> None:
        self.clock = clock
        self.alerts = held("watchdog")
        self.held = {silence.id: silence for silence in silences}
        self.members = [Member(f"am-{number}", self) for number in range(members)]
        #: How many of them are in ALERTMANAGER_URL.
        self.configured = members
        self.expired: list[str] = []

    def look(self) -> list[MemberState | AlertmanagerError]:
        """What those that are asked say."""
        return [member.state() for member in self.members[: self.configured]]

    def expire(self, silence_id: str) -> None:
        """End one."""
        self.expired.append(silence_id)


class Trial:
    """A store and a poller; time passes when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.cluster = Cluster(self.clock, members=2)
        self.store = SqliteStore(folder / "threads.json", Policy(), CHANNEL, time.time())
        self.threads = Threads(self.store, Policy())
        self.woken: set[str] = set()
        self.metrics = Metrics(causes=Gone)
        self.reconciler = self.restarted()

    def clock(self) -> float:
        """What time it is."""
        return self.now

    def restarted(self, **settings: float) -> Reconciler:
        """A poller that knows nothing yet."""
        self.reconciler = Reconciler(
            [self.cluster],
            self.threads,
            self.woken.update,
            self.metrics.alertmanager,
            Polling(**settings),
            link=lambda channel, ts: f"https://x.slack.com/archives/{channel}/p{ts}",
            clock=self.clock,
        )
        return self.reconciler

    def fires(self, *names: str, status: str = "firing") -> None:
        """A webhook for each, of a thread of its own."""
        identity = {"alertname": "Down"}
        self.threads.notify(
            [
                change(alert(name, status), key=name, external_url=FROM, receiver="slack", identity=identity)
                for name in names
            ],
            self.now,
        )

    def passes(self, seconds: float) -> None:
        """Poll every 30 s for so long."""
        for _ in range(int(seconds // 30)):
            self.now += 30
            self.reconciler.poll()
            self.threads.age(self.now)

    def states(self) -> dict[str, str]:
        """How each thread is."""
        return {each.key: each.status.value for each in self.store.threads()}


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """One, closed at the end."""
    made = Trial(tmp_path)
    yield made
    made.store.close()


def test_a_restart_with_a_thousand_open_threads(trial: Trial) -> None:
    """Alertmanager starts empty, and Prometheus is back after 90 s: nothing is closed, then or later."""
    names = [f"a{number}" for number in range(1000)]
    trial.cluster.alerts = held(*names)
    trial.fires(*names)
    trial.passes(60)
    for member in trial.cluster.members:
        member.started_at = trial.now
    trial.cluster.alerts = {}
    trial.passes(90)
    trial.cluster.alerts = held(*names)
    trial.passes(HOUR / 4)
    assert set(trial.states().values()) == {"firing"}
    assert trial.reconciler.states == {"am": "ok"}


def test_prometheus_is_away(trial: Trial) -> None:
    """Alertmanager, which runs on, lets all of its alerts end: it sends their resolutions, and we close nothing."""
    trial.cluster.alerts = held("a", "b")
    trial.fires("a", "b")
    trial.passes(60)
    trial.cluster.alerts = {}
    trial.passes(9 * 60)
    assert trial.states() == {"a": "firing", "b": "firing"}


def test_one_of_two_members_is_down(trial: Trial) -> None:
    """What the other one has not may still be there: nothing is closed, and who is down is said."""
    trial.fires("a")
    trial.cluster.alerts = held("watchdog", "a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.cluster.members[1].is_down = True
    trial.passes(HOUR / 2)
    assert trial.states() == {"a": "firing"}
    assert trial.reconciler.problems == ["am-1 cannot be reached; nothing is closed meanwhile"]
    trial.cluster.members[1].is_down = False
    trial.passes(90)
    assert (trial.states(), trial.reconciler.problems) == ({"a": "resolved"}, [])


def test_one_of_two_members_is_not_configured(trial: Trial) -> None:
    """Nothing is closed: it may have what the other lacks."""
    trial.cluster.configured = 1
    trial.cluster.alerts = held("watchdog", "a")
    trial.fires("a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.passes(HOUR)
    assert trial.states() == {"a": "firing"}
    assert trial.reconciler.problems == ["peer am-1:9094 is not in ALERTMANAGER_URL: nothing is closed"]


def test_a_resolution_that_is_ten_minutes_late(trial: Trial) -> None:
    """With a group_interval of 10 minutes that is as it should be: it is told as resolved, not as gone."""
    slow = Configuration(group_interval=600)
    for member in trial.cluster.members:
        member.fields = {"configuration": slow}
    trial.cluster.alerts = held("watchdog", "a")
    trial.fires("a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.passes(600)
    assert trial.states() == {"a": "firing"}
    trial.fires("a", status="resolved")
    found = trial.store.read("a")
    assert found is not None
    assert (found.status, found.alerts["a"].gone) == ("resolved", "")


def test_a_thread_from_before_it_was_polled(trial: Trial) -> None:
    """Nobody knows whose it was: another cluster can send with the same address. It is left alone."""
    old, new = "0123456789abcdef", "fedcba9876543210"
    trial.fires(old, new)
    trial.cluster.alerts = held(new)
    trial.passes(HOUR)
    assert trial.states() == {old: "firing", new: "firing"}


def test_the_service_starts_again(trial: Trial) -> None:
    """The time counts anew: nobody knows what was there meanwhile."""
    trial.cluster.alerts = held("watchdog", "a")
    trial.fires("a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.passes(120)
    trial.restarted()
    trial.passes(300)
    assert trial.states() == {"a": "firing"}
    trial.passes(30)
    assert trial.states() == {"a": "resolved"}


def test_the_clock_jumps(trial: Trial) -> None:
    """By an hour, while an alert is missing: that hour was not watched."""
    trial.cluster.alerts = held("watchdog", "a")
    trial.fires("a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.passes(60)
    trial.now += HOUR
    trial.passes(120)
    assert trial.states() == {"a": "firing"}


def test_it_fires_again_and_nobody_is_told(trial: Trial) -> None:
    """Alertmanager remembers the firing before its silent end, and sends nothing: the thread is red all the same."""
    trial.cluster.alerts = held("watchdog", "a", silenced_by=("s1",))
    trial.cluster.held = {"s1": known_silence(ends_at=NOW + 2 * HOUR)}
    trial.fires("a")
    trial.passes(60)
    trial.cluster.alerts = held("watchdog")
    trial.passes(600)
    assert trial.states() == {"a": "resolved"}
    trial.cluster.alerts = held("watchdog", "a")
    trial.passes(90)
    found = trial.store.read("a")
    assert found is not None
    assert (found.status, found.flaps, found.pending.reopened) == ("firing", 1, True)


def test_without_polling(trial: Trial) -> None:
    """RECONCILE_EVERY=0: it is looked where an alert is, and nothing else is made of that."""
    trial.restarted(every=0)
    trial.cluster.alerts = held("a", silenced_by=("s1",))
    trial.fires("a")
    trial.now += 1
    trial.reconciler.poll(["a"])
    found = trial.store.read("a")
    assert found is not None
    assert (found.alerts["a"].cluster, found.alerts["a"].mute, found.pending.notes) == ("am", None, ())


def test_inhibited_by_another_thread(trial: Trial) -> None:
    """The thread knows the other's title, and its address once it has one."""
    trial.fires("a", "n")
    trial.cluster.alerts = held("n") | held("a", inhibited_by=("n",))
    trial.passes(30)
    found = trial.store.read("a")
    assert found is not None
    assert [(each.name, each.url) for each in found.inhibitors] == [("Down", "")]


def test_numbers(trial: Trial) -> None:
    """What was seen is counted for Prometheus."""
    trial.fires("a", "b")
    trial.cluster.alerts = held("watchdog", "b") | held("a", silenced_by=("s1",))
    trial.cluster.held = {"s1": known_silence()}
    trial.passes(60)
    assert shown(trial, "muted_threads", "alerts_undelivered") == [1, 0]
    assert shown(trial, "alertmanager_complete_view_timestamp_seconds") == [trial.now]
    trial.cluster.alerts = held("watchdog", "b")
    trial.passes(400)
    assert shown(trial, 'gone_alerts_total{cause="silenced"}', "muted_threads") == [1, 0]


def shown(trial: Trial, *names: str) -> list[float]:
    """What Prometheus is told."""
    lines = trial.metrics.exposition(Snapshot(), "", "").decode().splitlines()
    found = dict(line.removeprefix("alert_threader_").rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return [float(found[name]) for name in names]


def test_looks_for_a_thread_are_counted_apart(trial: Trial) -> None:
    """Only regular polls count as such: without them nobody may miss a complete view."""
    for keys in (["api"], ["db"], None):
        trial.reconciler.poll(keys)
    counted = trial.metrics.totals()["alertmanager_calls"]
    assert isinstance(counted, dict)
    # Each of them asks two members.
    assert {name: outcomes["ok"] for name, outcomes in counted.items() if outcomes["ok"]} == {"locate": 4, "poll": 2}


def silence(name: str, tag: str, state: SilenceState = SilenceState.ACTIVE) -> KnownSilence:
    """A silence with a tag."""
    comment = f"disk swap [alert-threader {tag}]"
    return KnownSilence(id=name, state=state, matchers=(), starts_at="", ends_at=NOW + HOUR, comment=comment)


def test_a_silence_that_was_made_twice(trial: Trial) -> None:
    """The one that a thread does not know is ended; never one of a press that is under way, or somebody else's."""
    silences = (
        silence("ours", "op1"),
        silence("copy", "op1"),
        silence("over", "op1", SilenceState.EXPIRED),
        silence("new", "op2"),
        silence("newer", "op2"),
        # A copy of ours that somebody made longer is his.
        KnownSilence(
            id="longer",
            state=SilenceState.ACTIVE,
            matchers=(),
            starts_at="",
            ends_at=NOW + 2 * HOUR,
            comment="disk swap [alert-threader op1]",
        ),
        KnownSilence(id="theirs", state=SilenceState.ACTIVE, matchers=(), starts_at="", ends_at=NOW + HOUR),
    )
    trial.cluster.held = {each.id: each for each in silences}
    known = Silence(id="ours", ours=True, cluster="am", ends_at=NOW + HOUR)
    trial.threads.insert([thread(silences=(known,))], replace=False)
    trial.reconciler.poll()
    assert trial.cluster.expired == ["copy"]
