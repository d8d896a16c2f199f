"""Alertmanager's webhook, from bytes to typed values. The only module that knows the payload's JSON keys.

The format is https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version 4, with what
Grafana adds (https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/
integrations/webhook-notifier/). It is read leniently, because senders differ: only ``alerts`` must be readable, and
of an alert only its labels and a status. Null is absent, unknown keys are ignored, labels and annotations become text,
and whatever else has the wrong type is treated as absent. One unreadable alert never costs the others.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

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
    """One webhook: some alerts of one Alertmanager group.

    ``ignored`` are its unreadable alerts, a line each: ``alerts[3].labels: expected object, got str``.
    """

    receiver: str
    alerts: tuple[Alert, ...]
    group_key: str
    group_labels: dict[str, str]
    external_url: str
    truncated: int
    reason: str
    ignored: tuple[str, ...] = ()

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
    value_string: str | None = None


class _RawNotification(msgspec.Struct, rename="camel"):
    alerts: list[_RawAlert]
    status: str | None = None
    receiver: str | None = None
    group_key: str | None = None
    group_labels: dict[str, str] | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")
    truncated_alerts: int | None = None
    notification_reason: str | None = msgspec.field(default=None, name="notification_reason")


Raw = TypeVar("Raw", _RawAlert, _RawNotification)

#: What msgspec raises for bytes that are no JSON, or not of the right types, or nested too deeply.
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decoder = msgspec.json.Decoder(_RawNotification)
_loose_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])

#: No time is longer, in characters; nor is more looked at of Grafana's older form of values.
_MAX_TIME = 64
_MAX_VALUE_STRING = 4000
#: Where Grafana before 9 puts measured values: ``[ var='B' metric='up' labels={…} value=17 ]``, one after the other
#: (https://grafana.com/docs/grafana/v8.5/alerting/fundamentals/annotation-label/variables-label-annotation/).
_VALUE = re.compile(r"\[ var='([^']*)' .*? value=(\S+) \]")


def parse(body: bytes) -> Notification:
    """Read one webhook.

    Raises PayloadError with the JSON path of the fault (``alerts[3].labels: …``) for anything that is not a
    notification with at least one alert.
    """
    if not body.strip():
        raise PayloadError("the body is empty: send Alertmanager's webhook as JSON")
    raw, entries = _decoded(body.removeprefix(_BYTE_ORDER_MARK))
    if not entries:
        raise PayloadError("alerts: is empty, expected at least one alert")
    truncated = max(raw.truncated_alerts or 0, 0)
    # A truncated group's top-level status speaks of alerts that are not here; a firing is the safe reading.
    top_status = Status.FIRING if truncated else raw.status
    alerts, ignored = [], []
    for number, entry in enumerate(entries):
        try:
            alerts.append(_alert(entry, top_status, f"alerts[{number}]"))
        except PayloadError as error:
            ignored.append(str(error))
    if not alerts:
        raise PayloadError(ignored[0])
    return Notification(
        # Alertmanager up to 0.27 escapes dots: the receiver "web.hook" arrives as "web\.hook".
        receiver=(raw.receiver or "").replace("\\.", "."),
        alerts=tuple(alerts),
        group_key=raw.group_key or "",
        group_labels=raw.group_labels or {},
        external_url=raw.external_url or "",
        truncated=truncated,
        reason=raw.notification_reason or "",
        ignored=tuple(ignored),
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


def _decoded(body: bytes) -> tuple[_RawNotification, Sequence[_RawAlert | msgspec.Raw]]:
    """The webhook and its alerts, still encoded where not all of it is as it should be."""
    try:
        raw = _decoder.decode(body)
    except _NOT_JSON as error:
        return _loosely_decoded(body, error)
    return raw, raw.alerts


def _loosely_decoded(body: bytes, fault: Exception) -> tuple[_RawNotification, list[msgspec.Raw]]:
    """The same where the exact reading failed with ``fault``. Raises PayloadError if there is no list of alerts."""
    try:
        fields = _loose_decoder.decode(body)
        entries = _list_decoder.decode(fields.pop("alerts"))
    except (*_NOT_JSON, KeyError) as error:
        if isinstance(fault, msgspec.ValidationError) and isinstance(error, msgspec.ValidationError | KeyError):
            raise PayloadError(_with_path(str(fault))) from fault
        raise PayloadError(f"the body is not valid JSON: {fault}") from fault
    given: dict[str, Any] = {"alerts": []}
    for name, value in fields.items():
        with suppress(PayloadError):
            given[name] = _any(value, name)
    given["groupLabels"] = _texts(given.get("groupLabels"))
    return _rightly_typed(_RawNotification, given), entries


def _any(value: msgspec.Raw, path: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except _NOT_JSON as error:
        raise PayloadError(f"{path}: is not valid JSON: {error}") from error


def _rightly_typed(kind: type[Raw], given: Mapping[str, Any]) -> Raw:
    """The fields whose types are right; the others are absent."""
    found = {}
    for field in msgspec.structs.fields(kind):
        try:
            found[field.name] = msgspec.convert(given.get(field.encode_name), field.type)
        except msgspec.ValidationError:
            continue
    return kind(**found)


def _loosely(entry: msgspec.Raw, path: str) -> _RawAlert:
    given = _any(entry, path)
    if not isinstance(given, dict):
        raise PayloadError(f"{path}: expected object, got {_type_name(given)}")
    labels = _texts(given.get("labels"))
    if labels is None and given.get("labels") is not None:
        raise PayloadError(f"{path}.labels: expected object, got {_type_name(given['labels'])}")
    return _rightly_typed(_RawAlert, {**given, "labels": labels, "annotations": _texts(given.get("annotations"))})


def _texts(given: Any) -> dict[str, str] | None:
    """Labels or annotations as text; None for what is no object."""
    if not isinstance(given, dict):
        return None
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _type_name(value: Any) -> str:
    """What JSON calls a value's type."""
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _alert(entry: _RawAlert | msgspec.Raw, top_status: str | None, path: str) -> Alert:
    raw = _loosely(entry, path) if isinstance(entry, msgspec.Raw) else entry
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
        starts_at=_time(raw.starts_at),
        ends_at=_time(raw.ends_at),
        links={name: url for name, url in links if url},
        values=_values(raw.values, raw.value_string),
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


def _time(value: str | None) -> float | None:
    """Seconds since the epoch; None for a time that is missing, cannot be read, or is Go's zero."""
    return _seconds(value) if value and len(value) <= _MAX_TIME else None


@lru_cache(maxsize=1024)  # the alerts of a group began together, and each webhook repeats their times
def _seconds(value: str) -> float | None:
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    if moment.year <= _ZERO_TIME_YEAR:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _values(raw: Any, text: str | None) -> str:
    """Grafana's measured values on one line, by expression: from its map, or from its older text."""
    if isinstance(raw, dict) and raw:
        return ", ".join(f"{name}={value}" for name, value in raw.items() if isinstance(value, int | float | str))
    return ", ".join(f"{name}={value}" for name, value in _VALUE.findall(text[:_MAX_VALUE_STRING])) if text else ""


def _with_path(message: str) -> str:
    """Turn msgspec's "Expected `str`, got `int` - at `$.alerts[0].labels[...]`" into "path: what is wrong"."""
    what, _, path = message.partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "the body"
    return f"{where}: {what[:1].lower()}{what[1:]}".replace("`", "").replace(" | null", "")
