"""Merges what the members of an Alertmanager cluster say into one view, and decides whether it is complete.

After a restart, a member has no alerts until Prometheus sends them again; a member that is not asked can have some that
the others lack; one that has just joined does not know all silences. So absence counts only in a complete view.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from alert_threader.alertmanager.model import AlertmanagerError, HeldAlert, KnownSilence, MemberState, latest
from alert_threader.threads import View

#: How long ago each member must have started, and the list must have become empty, in seconds.
_SETTLED_AFTER = 10 * 60.0
#: The least time that an alert must be missing, in seconds, if none is given.
_GONE_AFTER = 5 * 60.0
#: How long it is remembered when an alert was there last, in seconds.
_REMEMBERED = 60 * 60.0


class Looked(NamedTuple):
    """A view of a cluster, None if no member answered, and why it is not complete.

    ``problems`` need somebody to do something, ``notices`` pass. ``least_gone_after`` is how long the resolution of an
    alert that has ended can take to arrive, and ``least_late_after`` any notification, in seconds. ``timed_receivers``
    are those with routes that time intervals mute.
    """

    view: View | None
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    least_gone_after: float = 0
    least_late_after: float = 0
    timed_receivers: frozenset[str] = frozenset()


class ClusterViews:
    """The views of one cluster, one after another."""

    def __init__(self, cluster: str, gone_after: float | None, every: float) -> None:
        """Take the cluster's name, GONE_AFTER if it is given, and how often views are made, both in seconds."""
        self._cluster = cluster
        self._gone_after = gone_after
        #: After a longer gap, nothing is known of the time between. A look takes 30 s at most.
        self._gap = 3 * every + 30
        self._since = self._looked_at = float("-inf")
        self._complete_since: float | None = None
        #: When the list was last not empty.
        self._filled_at = float("-inf")
        self._last_seen: dict[str, float] = {}

    def view(self, states: Sequence[MemberState | AlertmanagerError], at: float, clusters: Collection[str]) -> Looked:
        """Make a view of what the members said ``at`` a time, in seconds since the epoch."""
        members = [state for state in states if isinstance(state, MemberState)]
        errors = [state for state in states if isinstance(state, AlertmanagerError)]
        failed = tuple(f"{error}; nothing is closed meanwhile" for error in errors)
        if not members:
            self._complete_since = None
            return Looked(None, failed)
        missing, former = unknown_peers(members)
        problems = failed or tuple(missing)
        alerts = _merged([member.alerts for member in members])
        self._remember(alerts, at)
        unsettled = _unsettled(members, at)
        notices = (*([] if failed else former), *unsettled, *self._emptied(alerts, at))
        least = max(member.configuration.slowest_resolution for member in members)
        silences = latest(member.silences.values() for member in members)
        is_complete = not problems and not notices
        self._complete_since = (self._complete_since or at) if is_complete else None
        view = View(
            cluster=self._cluster,
            at=at,
            alerts=alerts,
            silences=silences,
            complete=is_complete,
            complete_since=self._complete_since or at,
            settled=not unsettled,
            since=self._since,
            gone_after=max(least, _GONE_AFTER) if self._gone_after is None else self._gone_after,
            last_seen=self._last_seen,
            clusters=frozenset(clusters),
            by_press=_by_press(silences),
        )
        timed = frozenset[str]().union(*(member.configuration.timed_receivers for member in members))
        waits = max(member.configuration.group_wait for member in members)
        return Looked(view, problems, notices, least, waits + least, timed)

    def _remember(self, alerts: Collection[str], at: float) -> None:
        if not 0 <= at - self._looked_at <= self._gap:
            self._last_seen = {}
            self._since, self._complete_since = at, None
            # It may have been filled a moment ago.
            self._filled_at = at
        self._looked_at = at
        self._last_seen.update(dict.fromkeys(alerts, at))
        self._last_seen = {name: seen for name, seen in self._last_seen.items() if at - seen <= _REMEMBERED}
        if alerts:
            self._filled_at = at

    def _emptied(self, alerts: Collection[str], at: float) -> list[str]:
        if alerts or at - self._filled_at >= _SETTLED_AFTER:
            return []
        return [f"{self._cluster} holds no alerts: nothing is closed until it has held none for 10 minutes"]


def unknown_peers(members: Sequence[MemberState]) -> tuple[list[str], list[str]]:
    """The peers that are not asked, a line each: those that somebody must add, and former names of restarted members.

    A cluster remembers the former name of a member that was killed for some seconds, at the same address.
    """
    asked = {member.name for member in members}
    peers = {name: address for member in members for name, address in member.peers.items()}
    addresses = {address for name, address in peers.items() if name in asked}
    unknown = sorted({(address, name) for name, address in peers.items() if name not in asked})
    missing = [
        f"peer {address or name} is not in ALERTMANAGER_URL: nothing is closed"
        for address, name in unknown
        if address not in addresses
    ]
    former = [
        f"the member at {address} has just started: nothing is closed meanwhile"
        for address, _ in unknown
        if address in addresses
    ]
    return missing, former


def _unsettled(members: Sequence[MemberState], at: float) -> list[str]:
    """The members that may not have everything yet."""
    said = []
    for member in members:
        # Both by the member's own clock.
        up = (at if member.now is None else member.now) - member.started_at
        if not member.knows_its_peers:
            said.append(f"{member.host} is {member.cluster_status or 'not ready'}: nothing is closed meanwhile")
        elif up < _SETTLED_AFTER:
            said.append(f"{member.host} started less than 10 minutes ago: nothing is closed meanwhile")
    return said


def _merged(lists: Sequence[Mapping[str, HeldAlert]]) -> dict[str, HeldAlert]:
    """The alerts that any member has; one that a member does not mute is not muted, for that member notifies."""
    found: dict[str, HeldAlert] = dict(lists[0])
    for alerts in lists[1:]:
        for name, alert in alerts.items():
            if name not in found or (found[name].is_muted and not alert.is_muted):
                found[name] = alert
    return found


def _by_press(silences: Mapping[str, KnownSilence]) -> dict[str, tuple[str, ...]]:
    """The ids of silences of ours that hold, by the press that made them."""
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for name, silence in silences.items():
        if silence.holds and silence.tag:
            found[silence.tag.partition("/")[0]] += (name,)
    return dict(found)
