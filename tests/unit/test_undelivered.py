"""The alarm for webhooks that get lost on the way."""

from typing import Any

import pytest

from alert_threader.alertmanager.model import HeldAlert
from alert_threader.delivery.cluster_views import Looked
from alert_threader.delivery.survey import Survey, inhibitors
from alert_threader.delivery.undelivered import Undelivered
from alert_threader.threads import AlertThread, Inhibitor
from tests.build import HOUR, NOW, alert, held, view
from tests.unit.test_press import opened

#: After it, what began a moment before must have arrived.
LATE = 15 * 60.0
BEGAN = NOW + 60


def lost(**fields: Any) -> dict[str, HeldAlert]:
    """An alert in Alertmanager that is in no thread."""
    return held("lost", **{"starts_at": BEGAN, "receivers": ("slack",), **fields})


def counted(
    alerts: dict[str, HeldAlert], *threads: AlertThread, until: float = BEGAN + LATE, **looked: Any
) -> dict[str, int]:
    """What is missing after polls every 30 s from ``BEGAN`` on."""
    undelivered = Undelivered(NOW)
    at = BEGAN
    while at <= until:
        undelivered.compare([Looked(view(alerts, at=at), **looked)], survey(*(threads or (heard(),))), at)
        at += 30
    return undelivered.counts


def survey(*threads: AlertThread) -> Survey:
    """What is read of the threads."""
    found = Survey()
    for thread in threads:
        found.add(thread)
    return found


def heard(**fields: Any) -> AlertThread:
    """A thread of the receiver."""
    return opened(**{"receiver": "slack", "opened_at": NOW, **fields})


def test_it_never_arrived() -> None:
    """A quarter of an hour, and not a poll before."""
    assert counted(lost()) == {"slack": 1}
    assert counted(lost(), until=BEGAN + LATE - 1) == {}


@pytest.mark.parametrize(
    "alerts",
    [
        lost(receivers=("pager",)),
        lost(starts_at=NOW - 1),
        lost(silenced_by=("s1",)),
        held("a", starts_at=BEGAN, receivers=("slack",)),
    ],
    ids=["for somebody else", "before we started", "muted", "in a thread"],
)
def test_what_does_not_count(alerts: dict[str, HeldAlert]) -> None:
    """Nothing is missing."""
    assert counted(alerts) == {}


def test_a_firing_that_was_lost() -> None:
    """The thread says that it resolved, and Alertmanager that it fires again."""
    over = heard()
    over.alerts["a"].status = alert("a", "resolved").status
    assert counted(held("a", starts_at=BEGAN, receivers=("slack",)), over) == {"slack": 1}


def test_a_receiver_that_was_never_heard_from() -> None:
    """Its webhooks may never have been meant for us; before its first one, nothing was."""
    assert counted(lost(), opened(receiver="other")) == {}
    assert counted(lost(), heard(opened_at=BEGAN + 1)) == {}
    assert counted(lost(), heard(closed_at=NOW)) == {}


def test_max_alerts() -> None:
    """Alertmanager itself leaves some out."""
    assert counted(lost(), heard(truncated=3)) == {}


def test_time_intervals() -> None:
    """Where Alertmanager does not say that an alert is muted by the clock, its receiver is left out."""
    timed = frozenset({"slack"})
    assert counted(lost(), timed_receivers=timed) == {}
    assert counted(lost(muted_by=(), state="active"), timed_receivers=timed) == {"slack": 1}


def test_a_long_group_interval() -> None:
    """As long as the webhook can be under way."""
    assert counted(lost(), least_late_after=2 * HOUR) == {}
    assert counted(lost(), least_late_after=2 * HOUR, until=BEGAN + 2 * HOUR) == {"slack": 1}


def test_loud_only_now() -> None:
    """One that was muted until a moment ago has its time."""
    undelivered = Undelivered(NOW)
    for number in range(40):
        at = BEGAN + 30 * number
        alerts = lost(silenced_by=("s1",)) if number < 35 else lost()
        undelivered.compare([Looked(view(alerts, at=at))], survey(heard()), at)
    assert undelivered.counts == {}


def test_delete_cache() -> None:
    """What was forgotten is not missed."""
    undelivered = Undelivered(NOW)
    undelivered.compare([Looked(view(lost(), at=BEGAN))], survey(heard()), BEGAN)
    undelivered.forget(BEGAN + 1)
    undelivered.compare([Looked(view(lost(), at=BEGAN + LATE))], survey(heard()), BEGAN + LATE)
    assert undelivered.counts == {}


def test_another_process_forgets() -> None:
    """What was in a thread once is not missed when its thread is gone."""
    undelivered = Undelivered(NOW)
    of_a = held("a", starts_at=BEGAN, receivers=("slack",))
    undelivered.compare([Looked(view(of_a, at=BEGAN))], survey(heard()), BEGAN)
    forgotten = heard()
    forgotten.alerts = {}
    for number in range(40):
        at = BEGAN + 30 * number
        undelivered.compare([Looked(view(of_a, at=at))], survey(forgotten), at)
    assert undelivered.counts == {}


def test_what_inhibits() -> None:
    """The alert's thread and its address; without one, its name."""
    alerts = {
        **held("a", inhibited_by=("n", "m")),
        **held("m", labels={"alertname": "NodeDown"}),
    }
    node = opened(alert("n"), title="Node Down")

    def link(channel: str, ts: str) -> str:
        return f"https://x.slack.com/archives/{channel}/p{ts}"

    found = inhibitors(alerts, lambda: [opened(), node], link)
    assert found == {
        "n": Inhibitor(name="Node Down", url="https://x.slack.com/archives/C0000001/p1.0"),
        "m": Inhibitor(name="NodeDown"),
    }
    assert inhibitors(held("a"), lambda: pytest.fail("nothing is to be read"), link) == {}
