"""Which of the settings for presses and silences contradict each other."""

from collections.abc import Collection, Mapping
from typing import Any

#: What is of no use without an Alertmanager to ask for silences.
_OF_SILENCES = (
    "ALERTMANAGER_USER",
    "ALERTMANAGER_PASSWORD",
    "ALERTMANAGER_TOKEN",
    "ALERTMANAGER_CA",
    "ALERTMANAGER_HEADERS",
    "SILENCE_DURATIONS",
    "SILENCE_MAX",
)
#: What is of no use without an Alertmanager to poll.
_OF_POLLING = ("RECONCILE_EVERY", "GONE_AFTER")


def faults(values: Mapping[str, Any], given: Collection[str]) -> list[str]:
    """What is wrong with some settings together, a line each.

    ``values`` are those that could be read, by lower-case name; ``given`` are the settings that the operator gave.
    """
    found = []
    if {"SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"} <= set(given):
        found.append(
            "SLACK_SIGNING_SECRET: presses come one way: remove it to take them over Socket Mode (SLACK_APP_TOKEN), "
            "or remove that to take them over HTTP"
        )
    if "ALERTMANAGER_URL" not in given:
        found += [f"{name}: needs ALERTMANAGER_URL, where silences go" for name in _OF_SILENCES if name in given]
        found += [f"{name}: needs ALERTMANAGER_URL, which is polled" for name in _OF_POLLING if name in given]
    if "ALERTMANAGER_TOKEN" in given and {"ALERTMANAGER_USER", "ALERTMANAGER_PASSWORD"} & set(given):
        found.append("ALERTMANAGER_TOKEN: log in with a token or with user and password, not with both")
    elif ("ALERTMANAGER_USER" in given) != ("ALERTMANAGER_PASSWORD" in given):
        found.append("ALERTMANAGER_USER: needs ALERTMANAGER_PASSWORD, and the other way round")
    longest = values.get("silence_max", float("inf"))
    for text, seconds in values.get("silence_durations", ()):
        if seconds > longest:
            found.append(f"SILENCE_DURATIONS: {text} is longer than SILENCE_MAX, the most that a silence may last")
    return found
