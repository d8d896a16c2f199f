"""What all members of a cluster hold, each asked by itself and all at the same time."""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from alert_threader.alertmanager.configuration import read_configuration
from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    Configuration,
    HeldAlert,
    MemberState,
)
from alert_threader.alertmanager.transport import Member, Transport, members_at
from alert_threader.alertmanager.wire import (
    Alert,
    Group,
    MemberStatus,
    Silence,
    decoded,
    held,
    known,
    muted_for,
    not_alertmanager,
    seconds,
)

T = TypeVar("T")

#: The time limits of a poll, in seconds: for one answer, and for all answers of all members.
_LOOKING = 10.0
_LOOKING_IN_ALL = 30.0
#: How many configurations are kept.
_KEPT = 9
#: All alerts, whatever mutes them.
EVERY_ALERT = (("active", "true"), ("silenced", "true"), ("inhibited", "true"))


class MemberStates:
    """Asks the members of one cluster. For one thread at a time."""

    def __init__(self, members: Sequence[str], transport: Transport) -> None:
        """Take the members' URLs, and how they are reached."""
        self._members = members
        self._transport = transport
        #: What is used of the members' configurations, by a hash of their text. The text can hold passwords.
        self._configurations: dict[bytes, Configuration] = {}
        self._guard = threading.Lock()
        #: Members that have not finished answering an earlier poll: they are not asked again until they have.
        self._late: dict[Member, threading.Thread] = {}

    def look(self) -> list[MemberState | AlertmanagerError]:
        """Ask each member for all that it holds, all at the same time: its state, or why it did not say.

        A name that has several addresses is several members.
        """
        members = [member for url in self._members for member in members_at(url)]
        # What holds until a member has answered.
        states: list[MemberState | AlertmanagerError] = [_late(member) for member in members]

        def ask(place: int, member: Member) -> None:
            try:
                states[place] = self._state(member)
            except AlertmanagerError as error:
                states[place] = error

        # They end with the process: one that waits for an answer must not keep it.
        threads = {
            member: threading.Thread(target=ask, args=(place, member), daemon=True)
            for place, member in enumerate(members)
            if member not in self._late or not self._late[member].is_alive()
        }
        until = time.monotonic() + _LOOKING_IN_ALL
        for thread in threads.values():
            thread.start()
        for thread in threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        late = {**self._late, **threads}
        self._late = {member: thread for member, thread in late.items() if thread.is_alive()}
        return [*states]

    def _state(self, member: Member) -> MemberState:
        answer = self._transport.ask(member, "GET", "status", timeout=_LOOKING)
        status = decoded(member, answer.body, MemberStatus)
        started_at = seconds(status.uptime)
        if not started_at:
            raise not_alertmanager(member)
        configuration = self._configuration(status.config.original)
        alerts = self._get(member, "alerts", list[Alert], EVERY_ALERT)
        silences = self._get(member, "silences", list[Silence])
        return MemberState(
            host=member.host,
            name=status.cluster.name,
            version=status.version_info.version,
            cluster_status=status.cluster.status,
            peers={peer.name: peer.address for peer in status.cluster.peers},
            started_at=started_at,
            now=answer.at,
            configuration=configuration,
            alerts=self._with_intervals(member, {each.fingerprint: held(each) for each in alerts}, configuration),
            silences={each.id: known(each) for each in silences},
        )

    def _with_intervals(
        self, member: Member, alerts: dict[str, HeldAlert], configuration: Configuration
    ) -> dict[str, HeldAlert]:
        """The alerts with the time intervals that mute them. Only groups have these, from 0.28 on.

        One that is muted for some of its receivers is held for the others alone.
        """
        can_say = any(alert.muted_by is not None for alert in alerts.values())
        if not configuration.timed_receivers or not can_say:
            return alerts
        groups: defaultdict[str, defaultdict[str, list[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(list))
        for group in self._get(member, "alerts/groups", list[Group], EVERY_ALERT):
            for each in group.alerts:
                groups[each.fingerprint][group.receiver.name].append(each.status.muted_by or ())
        # A receiver can have it by several routes.
        muted = {
            name: {receiver: max(by) for receiver, by in receivers.items() if all(by)}
            for name, receivers in groups.items()
            if name in alerts
        }
        return alerts | {name: muted_for(alerts[name], by) for name, by in muted.items() if by}

    def _configuration(self, text: str) -> Configuration:
        key = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        # Members of one cluster have the same one, and are read at the same time.
        with self._guard:
            found = self._configurations.get(key) or read_configuration(text)
            self._configurations = {**dict([*self._configurations.items()][-_KEPT:]), key: found}
        return found

    def _get(self, member: Member, path: str, kind: type[T], parameters: Sequence[tuple[str, str]] = ()) -> T:
        return decoded(member, self._transport.ask(member, "GET", path, parameters, timeout=_LOOKING).body, kind)


def _late(member: Member) -> AlertmanagerError:
    said = f"{member.host} does not answer in time: check ALERTMANAGER_URL and the network"
    return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, said)
