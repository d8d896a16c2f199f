"""What the look at Alertmanager puts right."""

import time
from pathlib import Path

from alert_threader.alertmanager.model import AlertmanagerError, KnownSilence, MemberState, SilenceState
from alert_threader.delivery.poller import Poller
from alert_threader.store import SqliteStore, Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import Gone, Policy, Silence
from tests.build import CHANNEL, HOUR, NOW, thread


class Cluster:
    """An Alertmanager in memory."""

    name = "am"

    def __init__(self, *silences: KnownSilence) -> None:
        self.held = {silence.id: silence for silence in silences}
        self.expired: list[str] = []

    def look(self) -> list[MemberState | AlertmanagerError]:
        """One member without alerts, with all silences."""
        return [MemberState(host="am", cluster_status="disabled", started_at=1, alerts={}, silences=self.held)]

    def expire(self, silence_id: str) -> None:
        """End one."""
        self.expired.append(silence_id)


def silence(name: str, tag: str, state: SilenceState = SilenceState.ACTIVE) -> KnownSilence:
    """A silence with a tag."""
    comment = f"disk swap [alert-threader {tag}]"
    return KnownSilence(id=name, state=state, matchers=(), starts_at="", ends_at=NOW + HOUR, comment=comment)


def test_a_silence_that_was_made_twice(tmp_path: Path) -> None:
    """The one that a thread does not know is ended; never one of a press that is under way, or somebody else's."""
    cluster = Cluster(
        silence("ours", "op1"),
        silence("copy", "op1"),
        silence("over", "op1", SilenceState.EXPIRED),
        silence("new", "op2"),
        silence("newer", "op2"),
        KnownSilence(id="theirs", state=SilenceState.ACTIVE, matchers=(), starts_at="", ends_at=NOW + HOUR),
    )
    store = SqliteStore(tmp_path / "threads.json", Policy(), CHANNEL, time.time())
    try:
        threads = Threads(store, Policy())
        known = Silence(id="ours", ours=True, cluster="am", ends_at=NOW + HOUR)
        threads.insert([thread(silences=(known,))], replace=False)
        Poller([cluster], threads, lambda _: None, Metrics(causes=Gone).alertmanager).poll()
    finally:
        store.close()
    assert cluster.expired == ["copy"]


def test_looks_for_a_thread_are_counted_apart(tmp_path: Path) -> None:
    """Only regular polls count as such: without them nobody may miss a complete view."""
    store = SqliteStore(tmp_path / "threads.json", Policy(), CHANNEL, time.time())
    metrics = Metrics(causes=Gone)
    try:
        poller = Poller([Cluster()], Threads(store, Policy()), lambda _: None, metrics.alertmanager)
        poller.poll(["api"])
        poller.poll(["db"])
        poller.poll()
    finally:
        store.close()
    counted = metrics.totals()["alertmanager_calls"]
    assert isinstance(counted, dict)
    assert {name: outcomes["ok"] for name, outcomes in counted.items() if outcomes["ok"]} == {"locate": 2, "poll": 1}
