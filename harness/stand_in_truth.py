"""What a stand-in cluster of Alertmanagers holds, in the JSON form of the real one: its alerts and its silences."""

import re
import threading
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alert_threader.alertmanager.webhook import fingerprint

#: Prometheus names an end that it moves with each of its pushes.
_UNTIL = timedelta(minutes=4)
#: The order in which Alertmanager lists silences.
_STATES = ("active", "pending", "expired")


@dataclass
class _Alert:
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    receivers: tuple[str, ...]
    started: datetime
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()


@dataclass
class _Silence:
    matchers: list[dict[str, Any]]
    created_by: str
    comment: str
    starts: datetime
    ends: datetime
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    def state(self, now: datetime) -> str:
        if now >= self.ends:
            return "expired"
        return "active" if now >= self.starts else "pending"

    def covers(self, labels: Mapping[str, str]) -> bool:
        return all(_matches(each, labels) for each in self.matchers)


class Truth:
    """The alerts and silences of a cluster. Safe to use from several threads.

    With ``newer`` it is told as versions from 0.28 on do: an alert's status has ``mutedBy``. In the list of alerts it
    stays empty there; only the list of groups names the time intervals.
    """

    def __init__(self, *, newer: bool = False) -> None:
        self.newer = newer
        self._guard = threading.Lock()
        self._alerts: dict[str, _Alert] = {}
        self._silences: dict[str, _Silence] = {}

    # -- what happens --------------------------------------------------------------------------------------------

    def fire(
        self,
        labels: Mapping[str, str],
        *,
        receivers: Collection[str] = ("slack",),
        started: datetime | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Let an alert fire, if it does not; return its fingerprint."""
        name = fingerprint(labels)
        with self._guard:
            started = started or datetime.now(UTC)
            self._alerts.setdefault(name, _Alert(dict(labels), annotations or {}, tuple(receivers), started))
        return name

    def end(self, name: str) -> None:
        """End the alert with this fingerprint: it is listed no more from now on."""
        with self._guard:
            self._alerts.pop(name, None)

    def inhibit(self, name: str, *by: str) -> None:
        """Let other alerts, by fingerprint, inhibit one; none lifts it."""
        with self._guard:
            self._alerts[name].inhibited_by = by

    def mute(self, name: str, *intervals: str) -> None:
        """Let time intervals mute an alert; none lifts it."""
        with self._guard:
            self._alerts[name].muted_by = intervals

    def silence(
        self, wanted: Mapping[str, str], *, by: str = "kim", comment: str = "disk swap", seconds: float = 3600
    ) -> str:
        """Silence the alerts that have these labels, as somebody else does; return the silence's id."""
        now = datetime.now(UTC)
        matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in wanted.items()]
        return self._add(_Silence(matchers, by, comment, now, now + timedelta(seconds=seconds)))

    def post(self, silence: Mapping[str, Any]) -> str | None:
        """Make or change a silence as the API does; return its id, None if the one to be changed is not there."""
        now = datetime.now(UTC)
        former = str(silence.get("id") or "")
        with self._guard:
            if former and former not in self._silences:
                return None
            if former and self._silences[former].state(now) == "expired":
                former = ""
        starts = max(_read(silence["startsAt"]), self._silences[former].starts if former else now)
        matchers = [{"isEqual": True, **each} for each in silence["matchers"]]
        made = _Silence(matchers, silence["createdBy"], silence["comment"], starts, _read(silence["endsAt"]))
        return self._add(made, former)

    def expire(self, silence: str) -> bool:
        """End a silence; return whether it held."""
        now = datetime.now(UTC)
        with self._guard:
            found = self._silences.get(silence)
            if found is None or found.state(now) == "expired":
                return False
            found.ends = found.updated = now
            return True

    # -- what is told ---------------------------------------------------------------------------------------------

    @property
    def names(self) -> set[str]:
        """The fingerprints of the alerts that fire."""
        with self._guard:
            return set(self._alerts)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire, as ``GET /alerts`` lists them: by fingerprint."""
        now = datetime.now(UTC)
        with self._guard:
            return [self._told(name, alert, now) for name, alert in sorted(self._alerts.items())]

    def groups(self) -> list[dict[str, Any]]:
        """The alerts by receiver and alertname, as ``GET /alerts/groups`` lists them."""
        now = datetime.now(UTC)
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        with self._guard:
            for name, alert in sorted(self._alerts.items()):
                for receiver in alert.receivers:
                    told = self._told(name, alert, now, alert.muted_by)
                    groups.setdefault((alert.labels.get("alertname", ""), receiver), []).append(told)
        return [
            {"alerts": alerts, "labels": {"alertname": name}, "receiver": {"name": receiver}}
            for (name, receiver), alerts in sorted(groups.items())
        ]

    def silences(self) -> list[dict[str, Any]]:
        """All silences, those that hold first."""
        now = datetime.now(UTC)
        with self._guard:
            told = [_told_silence(name, silence, now) for name, silence in self._silences.items()]
        return sorted(told, key=lambda each: _STATES.index(each["status"]["state"]))

    def _add(self, silence: _Silence, name: str = "") -> str:
        with self._guard:
            name = name or str(uuid.uuid4())
            self._silences[name] = silence
        return name

    def _told(self, name: str, alert: _Alert, now: datetime, muted_by: Iterable[str] = ()) -> dict[str, Any]:
        silenced_by = [
            number
            for number, each in self._silences.items()
            if each.state(now) == "active" and each.covers(alert.labels)
        ]
        status: dict[str, Any] = {"inhibitedBy": list(alert.inhibited_by), "silencedBy": silenced_by}
        if self.newer:
            status["mutedBy"] = list(muted_by)
        return {
            "annotations": dict(alert.annotations),
            "endsAt": moment(now + _UNTIL),
            "fingerprint": name,
            "receivers": [{"name": receiver} for receiver in alert.receivers],
            "startsAt": moment(alert.started),
            "status": {**status, "state": "suppressed" if any(status.values()) else "active"},
            "updatedAt": moment(now),
            "generatorURL": "http://prometheus.example.test:9090/graph",
            "labels": dict(alert.labels),
        }


def moment(at: datetime) -> str:
    """A time as Alertmanager writes it: in milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told_silence(name: str, silence: _Silence, now: datetime) -> dict[str, Any]:
    return {
        "id": name,
        "status": {"state": silence.state(now)},
        "updatedAt": moment(silence.updated),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": moment(silence.ends),
        "matchers": silence.matchers,
        "startsAt": moment(silence.starts),
    }


def _matches(matcher: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher["name"], "")
    is_hit = re.fullmatch(matcher["value"], value) is not None if matcher["isRegex"] else value == matcher["value"]
    return bool(is_hit == matcher["isEqual"])


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
