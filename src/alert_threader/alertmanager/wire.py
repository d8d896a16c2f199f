"""The JSON of Alertmanager's API v2, as far as it is read, and what is made of it.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, from version 0.25 on. What is not named
here is passed over; what an older version lacks has its default.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    HeldAlert,
    KnownSilence,
    Matcher,
    SilenceState,
)
from alert_threader.alertmanager.transport import Member

T = TypeVar("T")


class _Status(msgspec.Struct, rename="camel"):
    state: str = ""
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    #: From 0.28 on.
    muted_by: tuple[str, ...] | None = None


class Receiver(msgspec.Struct):
    """A receiver of notifications."""

    name: str = ""


class Alert(msgspec.Struct, rename="camel"):
    """An alert."""

    fingerprint: str
    labels: dict[str, str] = {}
    starts_at: str = ""
    receivers: tuple[Receiver, ...] = ()
    status: _Status = msgspec.field(default_factory=_Status)


class Silence(msgspec.Struct, rename="camel"):
    """A silence."""

    id: str
    starts_at: str
    ends_at: str
    updated_at: str = ""
    matchers: list[Matcher] = []
    created_by: str = ""
    comment: str = ""
    status: _Status = msgspec.field(default_factory=_Status)


class _Peer(msgspec.Struct):
    name: str = ""
    address: str = ""


class _Cluster(msgspec.Struct):
    status: str
    name: str = ""
    peers: tuple[_Peer, ...] = ()


class _Config(msgspec.Struct):
    original: str = ""


class _Version(msgspec.Struct):
    version: str = ""


class MemberStatus(msgspec.Struct, rename="camel"):
    """The status of a member."""

    cluster: _Cluster
    uptime: str
    config: _Config = msgspec.field(default_factory=_Config)
    version_info: _Version = msgspec.field(default_factory=_Version)


class Group(msgspec.Struct):
    """A group of alerts, as it is sent to a receiver."""

    receiver: Receiver = msgspec.field(default_factory=Receiver)
    alerts: tuple[Alert, ...] = ()


class Created(msgspec.Struct):
    """The answer to a new silence."""

    silence_id: str = msgspec.field(name="silenceID")


def decoded(member: Member, text: bytes, kind: type[T]) -> T:
    """Read an answer. Raises AlertmanagerError if it is none of Alertmanager's."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise not_alertmanager(member) from error


def not_alertmanager(member: Member) -> AlertmanagerError:
    """The error of a member that does not answer as Alertmanager does."""
    said = f"{member.host} does not answer as Alertmanager does: check ALERTMANAGER_URL"
    return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, said, outcome_unknown=True)


def muted_for(alert: HeldAlert, muted: Mapping[str, tuple[str, ...]]) -> HeldAlert:
    """The alert, which time intervals mute for these receivers."""
    left = tuple(name for name in alert.receivers if name not in muted)
    if left:
        return msgspec.structs.replace(alert, receivers=left)
    names = sorted({name for names in muted.values() for name in names})
    return msgspec.structs.replace(alert, state="suppressed", muted_by=tuple(names))


def held(alert: Alert) -> HeldAlert:
    """An alert, as it is held."""
    status = alert.status
    return HeldAlert(
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        state=status.state,
        silenced_by=status.silenced_by,
        inhibited_by=status.inhibited_by,
        muted_by=status.muted_by,
        starts_at=seconds(alert.starts_at),
        receivers=tuple(receiver.name for receiver in alert.receivers),
    )


def known(silence: Silence) -> KnownSilence:
    """A silence, with its times in seconds since the epoch."""
    state = silence.status.state
    return KnownSilence(
        id=silence.id,
        state=SilenceState(state) if state in list(SilenceState) else SilenceState.EXPIRED,
        matchers=tuple(silence.matchers),
        starts_at=silence.starts_at,
        ends_at=seconds(silence.ends_at),
        updated_at=seconds(silence.updated_at),
        created_by=silence.created_by,
        comment=silence.comment,
    )


def moment(at: float) -> str:
    """A time, in seconds since the epoch, as the API takes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """A time as seconds since the epoch; 0 where it is none."""
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z")[:6] if rest.endswith("Z") else ""
    try:
        return datetime.fromisoformat(f"{whole}.{digits.ljust(6, '0')}+00:00" if digits else text).timestamp()
    except ValueError:
        return 0.0
