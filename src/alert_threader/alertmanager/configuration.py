"""What is used of Alertmanager's own configuration: how long it may take to notify, and who is muted by the clock.

https://prometheus.io/docs/alerting/latest/configuration/. The text can hold passwords: it is neither kept nor logged.
"""

import re
from typing import Any

import yaml

from alert_threader.alertmanager.model import DEFAULTS, Configuration

#: Deeper routes are passed over: nobody has them.
_DEEPEST = 50
_UNITS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:ms|[ywdhms]))+|0")
_PART = re.compile(r"(\d+)(ms|[ywdhms])")
_INTERVALS = ("mute_time_intervals", "active_time_intervals")


def read_configuration(text: str) -> Configuration:
    """Read a configuration; what cannot be read counts as not given. Never raises."""
    try:
        root = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
    except (yaml.YAMLError, RecursionError, ValueError):
        return DEFAULTS
    route = root.get("route") if isinstance(root, dict) else None
    if not isinstance(route, dict):
        return DEFAULTS
    intervals: set[float] = set()
    timed: set[str] = set()
    _walk(route, DEFAULTS.group_interval, "", intervals, timed, _DEEPEST)
    return Configuration(group_interval=max(intervals), timed_receivers=frozenset(timed))


def _walk(
    route: dict[str, Any], interval: float, receiver: str, intervals: set[float], timed: set[str], deepest: int
) -> None:
    """Collect what a route and its children have. Children inherit interval and receiver, but no time intervals."""
    interval = _seconds(route.get("group_interval"), interval)
    given = route.get("receiver")
    receiver = given if isinstance(given, str) else receiver
    intervals.add(interval)
    if any(route.get(name) for name in _INTERVALS):
        timed.add(receiver)
    children = route.get("routes")
    for child in children if isinstance(children, list) and deepest else ():
        if isinstance(child, dict):
            _walk(child, interval, receiver, intervals, timed, deepest - 1)


def _seconds(duration: object, otherwise: float) -> float:
    if not isinstance(duration, str) or not _DURATION.fullmatch(duration):
        return otherwise
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))
