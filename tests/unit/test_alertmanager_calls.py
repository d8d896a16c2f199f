"""What a call to Alertmanager becomes, with a cluster that keeps its silences in memory."""

from collections.abc import Sequence

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    HeldAlert,
    KnownSilence,
    Matcher,
    SilenceState,
)
from alert_threader.delivery.alertmanager_calls import AlertmanagerCalls
from alert_threader.formatter import ENGLISH
from alert_threader.telemetry.alertmanager_metrics import AlertmanagerMetrics
from alert_threader.threads import AlertThread, Silence, Silenced, Step, start_command
from tests.build import HOUR, NOW
from tests.unit.test_press import IDENTITY, after, opened, told


class Memory:
    """A cluster; see Cluster."""

    name = "am"

    def __init__(self) -> None:
        self.known: dict[str, KnownSilence] = {}
        #: Whether its answers are lost.
        self.is_cut = False

    def alerts(self, matchers: Sequence[Matcher] = ()) -> Sequence[HeldAlert]:
        """None."""
        del matchers
        return []

    def silence(self, silence_id: str) -> KnownSilence | None:
        """See Cluster."""
        return self.known.get(silence_id)

    def tagged(self, tag: str) -> KnownSilence | None:
        """See Cluster."""
        marked = f"[alert-threader {tag}]"
        return next((each for each in self.known.values() if each.holds and marked in each.comment), None)

    def create(self, matchers: Sequence[Matcher], ends_at: float, created_by: str, comment: str) -> str:
        """See Cluster."""
        name = f"s{len(self.known) + 1}"
        self.known[name] = KnownSilence(
            id=name,
            state=SilenceState.ACTIVE,
            matchers=tuple(matchers),
            starts_at="",
            ends_at=ends_at,
            created_by=created_by,
            comment=comment,
        )
        return self._answered(name)

    def extend(self, silence: KnownSilence, ends_at: float, comment: str) -> str:
        """See Cluster."""
        self.known[silence.id] = msgspec.structs.replace(silence, ends_at=ends_at, comment=comment)
        return self._answered(silence.id)

    def expire(self, silence_id: str) -> None:
        """See Cluster."""
        self.known[silence_id] = msgspec.structs.replace(self.known[silence_id], state=SilenceState.EXPIRED)

    def _answered(self, name: str) -> str:
        if self.is_cut:
            raise AlertmanagerError(AlertmanagerFailure.UNREACHABLE, "cut off", outcome_unknown=True)
        return name


@pytest.fixture
def cluster() -> Memory:
    """One without silences."""
    return Memory()


def called(cluster: Memory, thread: AlertThread) -> object:
    """What becomes of the thread's first command."""
    calls = AlertmanagerCalls(
        {"am": cluster}, lambda *_: "", ENGLISH, AlertmanagerMetrics(CollectorRegistry(), ()), lambda: NOW
    )
    return calls.call(thread, Step.COMMAND).outcome


def silenced(cluster: Memory) -> AlertThread:
    """A thread that was silenced for an hour."""
    matchers = [Matcher(name, value) for name, value in IDENTITY.items()]
    name = cluster.create(matchers, NOW + HOUR, "Kim", "[alert-threader first]")
    return told(opened(silences=(Silence(id=name, ours=True, cluster="am", ends_at=NOW + HOUR),)))


def extending(thread: AlertThread, now: float = NOW) -> AlertThread:
    """With the call under way that makes its silence an hour longer."""
    pressed = after(thread, "extend", seconds=HOUR, op="again") if not thread.commands else thread
    started = start_command(pressed, "call", now)
    assert started is not None
    return started


def test_never_shorter(cluster: Memory) -> None:
    """Somebody has made it longer in Alertmanager a moment ago."""
    thread = silenced(cluster)
    cluster.extend(cluster.known["s1"], NOW + 5 * HOUR, "")
    outcome = called(cluster, extending(thread))
    assert isinstance(outcome, Silenced)
    assert outcome.silence.ends_at == cluster.known["s1"].ends_at == NOW + 5 * HOUR


def test_it_has_just_ended(cluster: Memory) -> None:
    """A new one is made in its place, which a look finds by its press and for all of the thread; and only one."""
    thread = silenced(cluster)
    cluster.expire("s1")
    cluster.is_cut = True
    cut_off = extending(thread)
    assert not isinstance(called(cluster, cut_off), Silenced)
    assert cluster.known["s2"].tag == "again"
    cluster.is_cut = False
    # A call that is under way when the next one starts has lost its answer.
    outcome = called(cluster, extending(cut_off))
    assert isinstance(outcome, Silenced)
    assert (outcome.silence.id, outcome.former, len(cluster.known)) == ("s2", "s1", 2)
