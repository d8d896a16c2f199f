"""Which thread an alert belongs to, by its labels and the settings."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from alert_threader.alertmanager.webhook import Alert, Notification

#: What a missing label reads as in a key.
LABEL_DEFAULTS = {"severity": "info", "cluster": "default"}
_LABEL_DEFAULT = "unknown"

DEFAULT_KEY_LABELS = ("alertname", "severity", "service", "cluster")

#: A key is a name in JSON, in Redis and in Slack's metadata; a longer one keeps its start and ends in a hash.
MAX_KEY = 400

#: The labels that say where an alert belongs, the winning one first; only without them the setting speaks.
ENVIRONMENT_LABELS = ("environment", "env")
#: Grafana's rules have names that are unique in their folder only, and one name for all rules without data
#: (https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/).
FOLDER, RULE = "grafana_folder", "rulename"
_ALERTNAME = "alertname"
_NAMED_FOR_ALL_RULES = frozenset({"DatasourceNoData", "DatasourceError"})
#: A longer name of a receiver is cut, in characters.
_MAX_RECEIVER = 200
#: A longer identity is not kept, in characters: no link could hold it.
_MAX_IDENTITY = 2000

#: A name that no person wrote: a blank, or any sign but these, and it is shown as it is.
_IDENTIFIER = re.compile(r"\w+")
#: Where a word ends in an identifier. A single letter is no word (``mTLS``, ``OAuth2``), and letters before a digit
#: belong together (``IPv4``), as do the names of products (``MySQL``, ``InfluxDB``).
_CAMEL = re.compile(
    r"(?<=[A-Za-z0-9][a-z0-9])(?=[A-Z])(?!(?:SQL|DB|MQ|QL)(?![a-z]))"
    r"|(?<=[A-Z][A-Z])(?=[A-Z][a-z](?![0-9]))|_+"
)


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
    #: The receiver in Alertmanager that the notification is for.
    receiver: str = ""
    #: The id of the webhook, by which a message can be traced back to it.
    webhook: str = ""
    #: The labels that the key was made from, as they were sent; one that the alerts lack is empty.
    identity: dict[str, str] = {}
    #: The key that the first release gives these alerts, where it is another: its threads go on under it.
    former: "Former | None" = None


class Former(NamedTuple):
    """A key of the first release, and what it was made from."""

    key: str
    identity: dict[str, str]


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
    by_key: dict[_Belongs, list[Alert]] = {}
    #: The key by the values that it is made from: most alerts of a group share them.
    known: dict[tuple[str | None, ...], _Belongs] = {}
    read = (*identity.labels, *ENVIRONMENT_LABELS, FOLDER, RULE)
    for alert in notification.alerts:
        values = tuple(map(alert.labels.get, read)) if alert.labels.get(_ALERTNAME) else (alert.fingerprint,)
        belongs = known.get(values)
        if belongs is None:
            belongs = known[values] = _belongs(notification, alert, identity, channel)
        by_key.setdefault(belongs, []).append(alert)
    return [
        Change(
            key=belongs.key,
            channel=channel,
            alerts=tuple(alerts),
            truncated=notification.truncated,
            reason=notification.reason,
            external_url=notification.external_url,
            receiver=notification.receiver[:_MAX_RECEIVER],
            webhook=webhook,
            identity=_identity(notification, alerts[0], identity),
            former=_former(notification, alerts[0], identity, belongs),
        )
        for belongs, alerts in by_key.items()
    ]


def thread_key(labels: Mapping[str, str], identity: Identity) -> str:
    """The key of an alert's thread in the default channel: its key labels and the environment, joined by ``|``."""
    values = [_key_value(name, labels, identity) for name in identity.labels]
    return _joined([*values, environment_of(labels) or identity.environment])


def environment_of(labels: Mapping[str, str]) -> str:
    """The environment that an alert, or a group, names itself; empty for none."""
    for name in ENVIRONMENT_LABELS:
        if found := labels.get(name):
            return found
    return ""


@lru_cache(maxsize=1024)
def spaced(alertname: str) -> str:
    """An alert's name as a person would write it: ``HTTPErrorRate`` is "HTTP Error Rate".

    Only an identifier is spaced: in a name that a person wrote, every sign has its meaning (``above -18°C``).
    """
    if not _IDENTIFIER.fullmatch(alertname):
        return alertname
    return " ".join(_CAMEL.sub(" ", alertname).split()) or alertname


class _Belongs(NamedTuple):
    """Where an alert belongs: the key of its thread, and the one that the first release would give it."""

    key: str
    former_key: str


def _belongs(notification: Notification, alert: Alert, identity: Identity, channel: str) -> _Belongs:
    if identity.by is ThreadBy.GROUP:
        environment = environment_of(notification.group_labels) or identity.environment
        keys = [_group_key(notification, each) for each in (environment, identity.environment)]
    else:
        keys = [thread_key(alert.labels, identity), _former_key(alert.labels, identity)]
    return _Belongs(*(_bounded(key) if channel == identity.channel else f"{_bounded(key)}@{channel}" for key in keys))


def _key_value(name: str, labels: Mapping[str, str], identity: Identity) -> str:
    if name != _ALERTNAME:
        return _value_or_default(name, labels)
    alertname, folder, rule = labels.get(_ALERTNAME, ""), labels.get(FOLDER, ""), labels.get(RULE, "")
    if not alertname:
        return ",".join(f"{name}={labels[name]}" for name in _others(labels, identity)) or _LABEL_DEFAULT
    if rule and alertname in _NAMED_FOR_ALL_RULES:
        alertname = f"{alertname}:{rule}"
    return f"{folder}/{alertname}" if folder else alertname


def _value_or_default(name: str, labels: Mapping[str, str]) -> str:
    return labels.get(name) or LABEL_DEFAULTS.get(name, _LABEL_DEFAULT)


def _with_alertname(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The labels beside the alertname that make two alerts of this name two threads."""
    return (FOLDER, RULE) if labels[_ALERTNAME] in _NAMED_FOR_ALL_RULES else (FOLDER,)


def _others(labels: Mapping[str, str], identity: Identity) -> list[str]:
    """The labels that identify an alert without an alertname."""
    return sorted(name for name in labels if labels[name] and name not in (*identity.labels, *ENVIRONMENT_LABELS))


def _identity(notification: Notification, alert: Alert, identity: Identity) -> dict[str, str]:
    """The labels that a key was made from; none where they are too long to be of use."""
    labels = alert.labels
    if identity.by is ThreadBy.GROUP:
        found = dict(notification.group_labels)
    else:
        found = _key_labels(labels, identity)
        if _ALERTNAME in identity.labels:
            more = _with_alertname(labels) if labels.get(_ALERTNAME) else _others(labels, identity)
            found |= {name: labels.get(name, "") for name in more}
        for name in ENVIRONMENT_LABELS:
            found[name] = labels.get(name, "")
            if found[name]:
                break  # it speaks for all that come after it
    return found if sum(map(len, (*found, *found.values()))) <= _MAX_IDENTITY else {}


def _former(notification: Notification, alert: Alert, identity: Identity, belongs: _Belongs) -> Former | None:
    if belongs.key == belongs.former_key:
        return None
    is_group = identity.by is ThreadBy.GROUP
    found = dict(notification.group_labels) if is_group else _key_labels(alert.labels, identity)
    return Former(belongs.former_key, found)


def _key_labels(labels: Mapping[str, str], identity: Identity) -> dict[str, str]:
    return {name: labels.get(name, "") for name in identity.labels}


def _former_key(labels: Mapping[str, str], identity: Identity) -> str:
    """The key by the rules of the first release: no label names the environment, a folder or a rule."""
    return _joined([*(_value_or_default(name, labels) for name in identity.labels), identity.environment])


def _group_key(notification: Notification, environment: str) -> str:
    """Group labels alone collide between routes, hence the hash of receiver and groupKey behind them."""
    labels = [f"{name}={value}" for name, value in sorted(notification.group_labels.items())] or ["group"]
    return f"{_joined([*labels, environment])}#{_short_hash(notification.receiver + chr(0) + notification.group_key)}"


def _joined(values: Iterable[str]) -> str:
    return "|".join(value.replace("|", "%7C") for value in values)


def _bounded(key: str) -> str:
    return key if len(key) <= MAX_KEY else f"{key[: MAX_KEY - 20]}…#{_short_hash(key)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
