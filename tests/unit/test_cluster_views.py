"""When a view of an Alertmanager cluster is complete, and what it shows."""

from typing import Any

import pytest

from alert_threader.alertmanager.model import AlertmanagerError, AlertmanagerFailure, Configuration, MemberState
from alert_threader.delivery.cluster_views import ClusterViews, Looked
from tests.build import HOUR, NOW, held, known_silence

EVERY = 30.0
PEERS = {"am-0": "10.0.0.1:9094", "am-1": "10.0.0.2:9094"}


def member(host: str = "am-0", **fields: Any) -> MemberState:
    """A member of a cluster of two, which has run for an hour and holds an alert."""
    values: dict[str, Any] = {
        "name": host,
        "cluster_status": "ready",
        "peers": PEERS,
        "started_at": NOW - HOUR,
        "now": NOW,
        "alerts": held("a"),
        "silences": {},
    }
    return MemberState(host=host, **{**values, **fields})


def looked(*states: MemberState | AlertmanagerError, at: float = NOW, gone_after: float | None = None) -> Looked:
    """What a first look makes of what the members said."""
    return ClusterViews("am", gone_after, EVERY).view(states, at, {"am"})


def failed(text: str = "am-1 cannot be reached") -> AlertmanagerError:
    """A member that did not answer."""
    return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, text)


def test_both_answer() -> None:
    """It is complete, and nothing is to be said."""
    found = looked(member(), member("am-1"))
    assert found.view is not None
    assert (found.view.complete, found.problems, found.notices) == (True, (), ())
    alone = looked(member(name="", cluster_status="disabled", peers={}))
    assert alone.view is not None
    assert alone.view.complete


@pytest.mark.parametrize(
    ("states", "problem", "notice"),
    [
        ([member(), failed()], "am-1 cannot be reached; nothing is closed meanwhile", ""),
        ([member()], "peer 10.0.0.2:9094 is not in ALERTMANAGER_URL: nothing is closed", ""),
        (
            [member(), member("new", peers={**PEERS, "new": PEERS["am-1"]})],
            "",
            "the member at 10.0.0.2:9094 has just started: nothing is closed meanwhile",
        ),
        (
            [member(), member("am-1", started_at=NOW - 599)],
            "",
            "am-1 started less than 10 minutes ago: nothing is closed meanwhile",
        ),
        ([member(), member("am-1", cluster_status="settling")], "", "am-1 is settling: nothing is closed meanwhile"),
        (
            [member(alerts={}), member("am-1", alerts={})],
            "",
            "am holds no alerts: nothing is closed until it has held none for 10 minutes",
        ),
    ],
)
def test_not_complete(states: list[MemberState | AlertmanagerError], problem: str, notice: str) -> None:
    """It says which member, and why; what is there is there all the same."""
    found = looked(*states)
    assert found.view is not None
    assert (found.view.complete, "".join(found.problems), "".join(found.notices)) == (False, problem, notice)
    assert (set(found.view.alerts) == {"a"}) is ("holds no alerts" not in notice)


def test_nobody_answers() -> None:
    """Then there is no view."""
    assert looked(failed(), failed("am-0 answers 401")).view is None


def test_a_clock_that_is_wrong() -> None:
    """How long a member has run is known by its own clock."""
    ahead = member(started_at=NOW + 5 * HOUR - 60, now=NOW + 5 * HOUR)
    assert "started less than 10 minutes ago" in looked(ahead, member("am-1")).notices[0]
    behind = member(started_at=NOW - 5 * HOUR - 700, now=NOW - 5 * HOUR)
    assert looked(behind, member("am-1")).notices == ()


def test_members_differ() -> None:
    """What one of them has is there; what one of them does not mute, it notifies; the latest silence counts."""
    older = known_silence(ends_at=NOW + HOUR, updated_at=NOW - 10)
    newer = known_silence(ends_at=NOW + 60, updated_at=NOW - 5)
    one = member(alerts=held("a", "b", silenced_by=("s1",)), silences={"s1": older})
    other = member("am-1", alerts=held("b", "c"), silences={"s1": newer})
    for states in ((one, other), (other, one)):
        view = looked(*states).view
        assert view is not None
        assert {name: alert.is_muted for name, alert in view.alerts.items()} == {"a": True, "b": False, "c": False}
        assert view.silences == {"s1": newer}


class TestEmptied:
    """A list that is empty all at once may only be one that has not been filled yet."""

    def test_for_ten_minutes(self) -> None:
        """Then it is believed."""
        views = ClusterViews("am", None, EVERY)
        both = (member(), member("am-1"))
        empty = (member(alerts={}), member("am-1", alerts={}))
        found = [views.view(empty if number else both, NOW + 30 * number, ()).view for number in range(25)]
        complete = [view.complete for view in found if view is not None]
        assert complete == [True, *[False] * 19, *[True] * 5]
        # When each alert was there last is known all the while.
        assert found[-1] is not None
        assert found[-1].last_seen == {"a": NOW}

    def test_after_a_pause(self) -> None:
        """Another process may have seen it filled meanwhile: the ten minutes begin anew, and nothing is remembered."""
        views = ClusterViews("am", None, EVERY)
        empty = (member(alerts={}), member("am-1", alerts={}))
        views.view((member(), member("am-1")), NOW, ())
        found = views.view(empty, NOW + 2 * HOUR, ()).view
        assert found is not None
        assert (found.complete, found.last_seen) == (False, {})


@pytest.mark.parametrize(
    ("group_interval", "given", "gone_after"),
    [(10, None, 300), (300, None, 660), (600, None, 1260), (600, 60.0, 60), (10, 900.0, 900)],
)
def test_how_long_until_it_is_gone(group_interval: float, given: float | None, gone_after: float) -> None:
    """As long as a resolution can be under way; what is given holds."""
    slow = Configuration(group_interval=group_interval)
    found = looked(member(configuration=slow), member("am-1", configuration=slow), gone_after=given)
    assert found.view is not None
    assert (found.view.gone_after, found.least_gone_after) == (gone_after, 2 * group_interval + 60)


def test_who_pressed() -> None:
    """Silences of ours are found by the press that made them."""
    ours = known_silence("s1", comment="x [alert-threader op1/a]")
    over = known_silence("s2", holds=False, comment="x [alert-threader op1]")
    view = looked(member(silences={"s1": ours, "s2": over}), member("am-1")).view
    assert view is not None
    assert view.by_press == {"op1": ("s1",)}
