"""Which thread an alert belongs to, and how it is named in one: everything that is identity."""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec

from alert_threader.alertmanager.webhook import Alert, Notification

#: What a missing label reads as in a key.
LABEL_DEFAULTS = {"severity": "info", "cluster": "default"}
_LABEL_DEFAULT = "unknown"

DEFAULT_KEY_LABELS = ("alertname", "severity", "service", "cluster")

#: A key is a name in JSON, in Redis and in Slack's metadata; a longer one keeps its start and ends in a hash.
MAX_KEY = 400

#: The labels that say where a problem is, most telling first.
_PLACE_LABELS = ("instance", "pod", "host", "hostname", "node", "container", "device", "target", "job")
#: Labels that every alert of a thread tends to share, so that they name none of them.
_COMMON_LABELS = frozenset({*DEFAULT_KEY_LABELS, "env", "environment", "monitor", "prometheus", "team"})
_MAX_NAME = 80

#: A name that no person wrote: a blank, or any sign but these, and it is shown as it is.
_IDENTIFIER = re.compile(r"\w+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")


class ThreadBy(StrEnum):
    """What makes two alerts one thread: the same key labels, or the same Alertmanager group."""

    LABELS = "labels"
    GROUP = "group"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one notification says about one thread."""

    key: str
    channel: str
    alerts: tuple[Alert, ...]
    truncated: int = 0
    reason: str = ""
    external_url: str = ""
    #: The id of the webhook, by which a message can be traced back to it.
    webhook: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide a thread's key."""

    environment: str
    channel: str
    by: ThreadBy = ThreadBy.LABELS
    labels: tuple[str, ...] = DEFAULT_KEY_LABELS


def changes(
    notification: Notification, identity: Identity, channel: str | None = None, webhook: str = ""
) -> list[Change]:
    """Sort a notification's alerts by the thread they belong to, in the order of first mention.

    ``channel`` is the one named in the request's path; without it the alerts go to the default channel. ``webhook`` is
    the request's id.
    """
    channel = channel or identity.channel
    by_key: dict[str, list[Alert]] = {}
    #: The key by the values that it is made from: most alerts of a group share them.
    keys: dict[tuple[str | None, ...], str] = {}
    for alert in notification.alerts:
        values = tuple(map(alert.labels.get, identity.labels))
        key = keys.get(values)
        if key is None:
            key = keys[values] = _key(notification, alert, identity, channel)
        by_key.setdefault(key, []).append(alert)
    return [
        Change(
            key=key,
            channel=channel,
            alerts=tuple(alerts),
            truncated=notification.truncated,
            reason=notification.reason,
            external_url=notification.external_url,
            webhook=webhook,
        )
        for key, alerts in by_key.items()
    ]


def thread_key(labels: Mapping[str, str], identity: Identity) -> str:
    """The key of an alert's thread in the default channel: its key labels and the environment, joined by ``|``."""
    values = [labels.get(name) or LABEL_DEFAULTS.get(name, _LABEL_DEFAULT) for name in identity.labels]
    return "|".join(value.replace("|", "%7C") for value in (*values, identity.environment))


def alert_name(labels: Mapping[str, str]) -> str:
    """What tells an alert from the others of its thread: its instance, pod or host, else its rarest labels."""
    for label in _PLACE_LABELS:
        if labels.get(label):
            return labels[label][:_MAX_NAME]
    rest = [f"{name}={value}" for name, value in sorted(labels.items()) if name not in _COMMON_LABELS]
    return ", ".join(rest[:3])[:_MAX_NAME]


@lru_cache(maxsize=1024)
def spaced(alertname: str) -> str:
    """An alert's name as a person would write it: ``HTTPErrorRate`` is "HTTP Error Rate".

    Only an identifier is spaced: in a name that a person wrote, every sign has its meaning (``above -18°C``).
    """
    if not _IDENTIFIER.fullmatch(alertname):
        return alertname
    return " ".join(_CAMEL.sub(" ", alertname).split()) or alertname


def _key(notification: Notification, alert: Alert, identity: Identity, channel: str) -> str:
    if identity.by is ThreadBy.GROUP:
        key = _group_key(notification, identity.environment)
    else:
        key = thread_key(alert.labels, identity)
    if len(key) > MAX_KEY:
        key = f"{key[: MAX_KEY - 20]}…#{_short_hash(key)}"
    return key if channel == identity.channel else f"{key}@{channel}"


def _group_key(notification: Notification, environment: str) -> str:
    """Group labels alone collide between routes, hence the hash of receiver and groupKey behind them."""
    labels = [f"{name}={value}" for name, value in sorted(notification.group_labels.items())] or ["group"]
    text = "|".join(part.replace("|", "%7C") for part in (*labels, environment))
    return f"{text}#{_short_hash(notification.receiver + chr(0) + notification.group_key)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
