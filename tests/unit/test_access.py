"""Who may press, also while Slack does not say who is in a user group."""

from alert_threader.delivery.access import Access
from alert_threader.slack.failures import FailureKind, SlackError
from tests.build import DAY, NOW


class Groups:
    """User groups as Slack tells them, unless it is away."""

    def __init__(self, **members: set[str]) -> None:
        self.members = members
        self.is_away = False
        self.now = NOW

    def __call__(self, group: str) -> frozenset[str]:
        """The members of a group."""
        if self.is_away:
            raise SlackError(FailureKind.TRANSIENT, "http_503", "Slack answers 503: wait for Slack")
        return frozenset(self.members[group])

    def clock(self) -> float:
        """The time of day."""
        return self.now


def test_everybody() -> None:
    """Without a list whoever sees the message may press."""
    assert Access((), Groups()).allows("U0ANYBODY")


def test_a_list() -> None:
    """Users by their ids, and the members of groups once they are known."""
    groups = Groups(S0ONCALL={"U0LEE"})
    access = Access(("U0KIM", "S0ONCALL"), groups, groups.clock)
    assert (access.allows("U0KIM"), access.allows("U0LEE"), access.allows("U0EVE")) == (True, False, False)
    access.check()
    assert (access.allows("U0KIM"), access.allows("U0LEE"), access.allows("U0EVE")) == (True, True, False)
    groups.members = {"S0ONCALL": {"U0EVE"}}
    access.check()
    assert (access.allows("U0LEE"), access.allows("U0EVE")) == (False, True)


def test_slack_is_away() -> None:
    """The last list counts for a day, then nobody gets in; it is said why, and asked again soon."""
    groups = Groups(S0ONCALL={"U0LEE"})
    access = Access(("S0ONCALL",), groups, groups.clock)
    usual = access.check()
    groups.is_away = True
    groups.now += DAY - 1
    assert access.check() < usual
    assert access.problem is not None
    assert "the members of S0ONCALL cannot be read" in access.problem
    assert access.allows("U0LEE")
    groups.now += 2
    assert not access.allows("U0LEE")
    groups.is_away = False
    access.check()
    assert access.allows("U0LEE")
    assert not access.problem
