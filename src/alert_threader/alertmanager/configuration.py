"""What is used of Alertmanager's own configuration: how long it may take to notify, and whom time intervals mute.

https://prometheus.io/docs/alerting/latest/configuration/. The text can hold passwords: it is neither kept nor logged.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import yaml

from alert_threader.alertmanager.model import DEFAULTS, Configuration

#: How deep a text may be nested: nobody's routes are, and libyaml crashes the process at some ten thousand.
_DEEPEST = 100
#: How many routes are looked at: aliases can make a short text stand for any number.
_MOST = 100_000
_UNITS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:ms|[ywdhms]))+|0")
_PART = re.compile(r"([0-9]+)(ms|[ywdhms])")
_INTERVALS = ("mute_time_intervals", "active_time_intervals")
#: Every value is a text, a list or a mapping, whatever its tag says.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Route(NamedTuple):
    """What is used of a route: its times in seconds, its receiver, and whether a time interval mutes it."""

    group_interval: float = DEFAULTS.group_interval
    group_wait: float = DEFAULTS.group_wait
    receiver: str = ""
    is_timed: bool = False


_DEFAULT_ROUTE = _Route()


def read_configuration(text: str) -> Configuration:
    """Read a configuration; what cannot be read counts as not given. Never raises."""
    try:
        root = None if _is_too_deep(text) else yaml.load(text, Loader=_LOADER)  # noqa: S506 - it makes no objects
        routes = [*islice(_walk(_value(root, "route"), _DEFAULT_ROUTE), _MOST)] or [_DEFAULT_ROUTE]
    except (yaml.YAMLError, RecursionError, ValueError):
        return DEFAULTS
    return Configuration(
        group_interval=max(route.group_interval for route in routes),
        group_wait=max(route.group_wait for route in routes),
        timed_receivers=frozenset(route.receiver for route in routes if route.is_timed),
    )


def _is_too_deep(text: str) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return True
    return False


def _walk(route: object, parent: _Route) -> Iterator[_Route]:
    """Read a route and its children. They inherit everything but time intervals."""
    if not isinstance(route, dict):
        return
    given = _value(route, "receiver")
    read = _Route(
        group_interval=_seconds(_value(route, "group_interval"), parent.group_interval),
        group_wait=_seconds(_value(route, "group_wait"), parent.group_wait),
        receiver=given if given and isinstance(given, str) else parent.receiver,
        is_timed=any(isinstance(named := _value(route, name), list) and named for name in _INTERVALS),
    )
    yield read
    children = _value(route, "routes")
    for child in children if isinstance(children, list) else ():
        yield from _walk(child, read)


def _value(mapping: object, name: str) -> object:
    """What a mapping has by a name, itself or from the one that it merges (``<<: *other``); None for nothing."""
    while isinstance(mapping, dict):
        if name in mapping:
            return mapping[name]
        mapping = mapping.get("<<")
    return None


def _seconds(duration: object, otherwise: float) -> float:
    if not isinstance(duration, str) or not _DURATION.fullmatch(duration):
        return otherwise
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))
