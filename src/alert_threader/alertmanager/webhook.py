"""Alertmanager's webhook, from bytes to typed values. The only module that knows the payload's JSON keys.

The format is https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version 4, with what
Grafana adds (https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/
integrations/webhook-notifier/). It is read leniently where senders differ: only ``status`` and ``alerts`` are
needed, null stands for absent, unknown keys are passed over.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from alert_threader.errors import PayloadError

#: Go's zero time, which Alertmanager sends as ``endsAt`` of an alert that has not ended, lies in this year.
_ZERO_TIME_YEAR = 1

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Alertmanager's have 16 digits. A fingerprint is stored, so a long one is computed anew.
_MAX_FINGERPRINT = 64

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211
_FNV_SEPARATOR = b"\xff"


class Status(StrEnum):
    """Whether an alert, or all of a thread, is burning."""

    FIRING = "firing"
    RESOLVED = "resolved"


_STATUSES = {status.value: status for status in Status}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a notification. Times are seconds since the epoch; None where the sender gave none."""

    status: Status
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float | None
    ends_at: float | None
    links: dict[str, str]
    values: str


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook: some alerts of one Alertmanager group."""

    receiver: str
    alerts: tuple[Alert, ...]
    group_key: str
    group_labels: dict[str, str]
    external_url: str
    truncated: int
    reason: str

    @property
    def status(self) -> Status:
        """Firing while one of the alerts fires: the payload's own top-level status may be missing or truncated."""
        return Status.FIRING if any(a.status is Status.FIRING for a in self.alerts) else Status.RESOLVED


class _RawAlert(msgspec.Struct, rename="camel"):
    status: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    fingerprint: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    dashboard_url: str | None = msgspec.field(default=None, name="dashboardURL")
    panel_url: str | None = msgspec.field(default=None, name="panelURL")
    silence_url: str | None = msgspec.field(default=None, name="silenceURL")
    values: Any = None


class _RawNotification(msgspec.Struct, rename="camel"):
    alerts: list[_RawAlert]
    status: str | None = None
    receiver: str | None = None
    group_key: str | None = None
    group_labels: dict[str, str] | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")
    truncated_alerts: int | None = None
    notification_reason: str | None = msgspec.field(default=None, name="notification_reason")


_decoder = msgspec.json.Decoder(_RawNotification)


def parse(body: bytes) -> Notification:
    """Read one webhook.

    Raises PayloadError with the JSON path of the fault (``alerts[3].labels: …``) for anything that is not a
    notification with at least one alert.
    """
    if not body.strip():
        raise PayloadError("the body is empty: send Alertmanager's webhook as JSON")
    try:
        raw = _decoder.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except msgspec.ValidationError as error:
        raise PayloadError(_with_path(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"the body is not valid JSON: {error}") from error
    if not raw.alerts:
        raise PayloadError("alerts: is empty, expected at least one alert")
    truncated = max(raw.truncated_alerts or 0, 0)
    # A truncated group's top-level status speaks of alerts that are not here; a firing is the safe reading.
    top_status = Status.FIRING if truncated else raw.status
    return Notification(
        # Alertmanager up to 0.27 escapes dots: the receiver "web.hook" arrives as "web\.hook".
        receiver=(raw.receiver or "").replace("\\.", "."),
        alerts=tuple(_alert(alert, top_status, f"alerts[{i}]") for i, alert in enumerate(raw.alerts)),
        group_key=raw.group_key or "",
        group_labels=raw.group_labels or {},
        external_url=raw.external_url or "",
        truncated=truncated,
        reason=raw.notification_reason or "",
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """Compute an alert's fingerprint exactly as Alertmanager does: FNV-1a over the sorted labels, 16 hex digits.

    Source: ``LabelSet.Fingerprint`` of github.com/prometheus/common, model/fnv.go and model/signature.go.
    """
    digest = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _FNV_SEPARATOR + labels[name].encode() + _FNV_SEPARATOR:
            digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _alert(raw: _RawAlert, top_status: str | None, path: str) -> Alert:
    labels = raw.labels or {}
    given = raw.fingerprint or ""
    links = (
        ("graph", raw.generator_url),
        ("dashboard", raw.dashboard_url),
        ("panel", raw.panel_url),
        ("silence", raw.silence_url),
    )
    return Alert(
        status=_status(raw.status or top_status, f"{path}.status"),
        fingerprint=given if 0 < len(given) <= _MAX_FINGERPRINT else fingerprint(labels),
        labels=labels,
        annotations=raw.annotations or {},
        starts_at=_time(raw.starts_at, f"{path}.startsAt"),
        ends_at=_time(raw.ends_at, f"{path}.endsAt"),
        links={name: url for name, url in links if url},
        values=_values(raw.values),
    )


def _status(value: str | None, path: str) -> Status:
    if value in _STATUSES:
        return _STATUSES[value]
    if not value:
        raise PayloadError(f"{path}: is missing, expected firing or resolved")
    try:
        return Status(value.lower())
    except ValueError:
        raise PayloadError(f"{path}: is {value[:40]!r}, expected firing or resolved") from None


def _time(value: str | None, path: str) -> float | None:
    if not value:
        return None
    try:
        return _seconds(value)
    except msgspec.ValidationError:
        raise PayloadError(f"{path}: is {value[:40]!r}, expected a time like 2026-01-31T12:00:00Z") from None


@lru_cache(maxsize=1024)  # the alerts of a group began together, and each webhook says again when
def _seconds(value: str) -> float | None:
    moment = msgspec.convert(value, datetime)
    if moment.year <= _ZERO_TIME_YEAR:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _values(raw: Any) -> str:
    """Grafana's map of expression to measured value, as one line; anything else says nothing."""
    if not isinstance(raw, dict):
        return ""
    return ", ".join(f"{name}={value}" for name, value in raw.items() if isinstance(value, int | float | str))


def _with_path(message: str) -> str:
    """Turn msgspec's "Expected `str`, got `int` - at `$.alerts[0].labels[...]`" into "path: what is wrong"."""
    what, _, path = message.partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "the body"
    return f"{where}: {what[:1].lower()}{what[1:]}".replace("`", "").replace(" | null", "")
