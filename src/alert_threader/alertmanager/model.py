"""Typed values for Alertmanager's API: alerts, silences, matchers and errors."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import chain

import msgspec

from alert_threader.errors import AlertThreaderError

#: What is in the comment of a silence of ours.
_TAG = re.compile(r"\[alert-threader ([^\]]+)\]")


class AlertmanagerFailure(StrEnum):
    """What kind of failure it is, which decides what the caller does."""

    #: The request is not accepted; sent again, it would fail again.
    REFUSED = "refused"
    #: There is no such silence, or it has ended.
    GONE = "gone"
    AUTH = "auth"
    UNREACHABLE = "unreachable"


class AlertmanagerError(AlertThreaderError):
    """A request that failed, or whose outcome is unknown.

    The text is for a person; it names the member and never holds a password or a token. ``outcome_unknown`` says that
    it may have been carried out nevertheless.
    """

    def __init__(self, kind: AlertmanagerFailure, text: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.outcome_unknown = outcome_unknown


class SilenceState(StrEnum):
    """The state of a silence."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


class Matcher(msgspec.Struct, frozen=True, rename="camel"):
    """One matcher of a silence."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    @property
    def text(self) -> str:
        """The matcher as a filter writes it: ``name="value"``."""
        sign = ("=~" if self.is_equal else "!~") if self.is_regex else ("=" if self.is_equal else "!=")
        # Not JSON's escapes: Alertmanager knows only these three, and takes every other character literally.
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{sign}"{value}"'

    def may_match(self, value: str) -> bool:
        """Whether it can match a value; true where that is not known."""
        if not self.is_regex:
            return (self.value == value) is self.is_equal
        try:
            return bool(re.fullmatch(self.value, value)) is self.is_equal
        except (re.error, RecursionError, OverflowError):
            return True


class KnownSilence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence in Alertmanager. ``starts_at`` is as it was received: an extension must send it back unchanged."""

    id: str
    state: SilenceState
    matchers: tuple[Matcher, ...]
    starts_at: str
    #: In seconds since the epoch.
    ends_at: float
    updated_at: float = 0
    created_by: str = ""
    comment: str = ""

    @property
    def tag(self) -> str:
        """The tag of a silence that we made: the press and, if it covers one alert, which. Empty for others."""
        found = _TAG.search(self.comment)
        return found[1] if found else ""

    @property
    def plain_matchers(self) -> dict[str, str] | None:
        """The labels that it matches, if all of its matchers compare for equality; else None."""
        is_plain = all(matcher.is_equal and not matcher.is_regex for matcher in self.matchers)
        return {matcher.name: matcher.value for matcher in self.matchers} if is_plain else None

    def may_match(self, labels: Mapping[str, str]) -> bool:
        """Whether it can match an alert with these labels; true where that is not known.

        Alertmanager's regular expressions are RE2's.
        """
        return all(matcher.may_match(labels.get(matcher.name, "")) for matcher in self.matchers)

    @property
    def holds(self) -> bool:
        """Whether it has not ended."""
        return self.state is not SilenceState.EXPIRED


def latest(lists: Iterable[Iterable[KnownSilence]]) -> dict[str, KnownSilence]:
    """The silences that any member has, by id, each in its latest version."""
    found: dict[str, KnownSilence] = {}
    for silence in chain.from_iterable(lists):
        if silence.id not in found or found[silence.id].updated_at < silence.updated_at:
            found[silence.id] = silence
    return found


class HeldAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in Alertmanager. ``state`` is active, suppressed or unprocessed.

    ``silenced_by`` are ids of silences, ``inhibited_by`` fingerprints of alerts, ``muted_by`` names of time intervals,
    None where Alertmanager does not say (before 0.28). ``receivers`` are those that it is sent to; those for which time
    intervals mute it are left out if it is sent to others. ``starts_at`` is in seconds since the epoch, 0 for unknown.
    """

    fingerprint: str
    labels: dict[str, str]
    state: str
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] | None = None
    starts_at: float = 0
    receivers: tuple[str, ...] = ()

    @property
    def is_muted(self) -> bool:
        """Whether Alertmanager sends no notifications for it."""
        return self.state == "suppressed"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of Alertmanager's configuration.

    The largest ``group_interval`` and ``group_wait`` of all routes, in seconds, and the receivers with a route that a
    time interval mutes.
    """

    #: Alertmanager's own defaults.
    group_interval: float = 5 * 60.0
    group_wait: float = 30.0
    timed_receivers: frozenset[str] = frozenset()

    @property
    def slowest_resolution(self) -> float:
        """How long after the end of an alert its *resolved* can arrive, in seconds.

        It comes with a flush of its group, the next one if the first fails, and takes some time to get here.
        """
        return 2 * self.group_interval + 60.0


#: Of an Alertmanager whose configuration says nothing.
DEFAULTS = Configuration()


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """All that one member of a cluster holds, and how it is.

    ``name`` is what its peers call it, empty in a cluster of one; ``peers`` are the addresses of all members that it
    knows, itself too, by name. ``started_at`` and ``now`` are in seconds since the epoch on its own clock; ``now`` is
    None where it did not say.
    """

    host: str
    name: str = ""
    version: str = ""
    cluster_status: str
    peers: Mapping[str, str] = {}
    started_at: float
    now: float | None = None
    configuration: Configuration = DEFAULTS
    alerts: Mapping[str, HeldAlert]
    silences: Mapping[str, KnownSilence]

    @property
    def knows_its_peers(self) -> bool:
        """Whether it has settled in its cluster, or is in none."""
        return self.cluster_status in ("ready", "disabled")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """How to log in: not at all, with a bearer token, or with user and password; ``ca`` is the path of a PEM file."""

    token: str = ""
    user: str = ""
    password: str = ""
    ca: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Login([redacted])"
