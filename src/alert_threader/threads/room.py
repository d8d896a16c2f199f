"""How many alerts one message can name, and which of them need another message."""

from collections.abc import Mapping, Sequence

from alert_threader.threads.names import full_name
from alert_threader.threads.record import AlertState

#: The names of a message close together, in characters, and what stands between two; how many alerts of it have a line
#: of their own at least; and how many more messages name those that have no room.
_MAX_NAMES = 2000
BETWEEN_NAMES = ", "
LEAST_LINES = 8
_MAX_MORE_MESSAGES = 3


def fitting(alerts: Sequence[AlertState]) -> int:
    """How many alerts, the first ones first, one message can name close together."""
    room = _MAX_NAMES
    for count, state in enumerate(alerts):
        room -= length_sent(full_name(state)) + len(BETWEEN_NAMES)
        if room < 0:
            return count
    return len(alerts)


def length_sent(name: str) -> int:
    """How long a name is at most as it is sent to Slack: ``&``, ``<`` and ``>`` are escaped, some names are code."""
    return len(name) + 4 * name.count("&") + 3 * (name.count("<") + name.count(">")) + 2


def beyond_one_message(fingerprints: Sequence[str], alerts: Mapping[str, AlertState]) -> tuple[str, ...]:
    """The alerts of a message that it has no room to name, as far as a few more messages have it."""
    rest = [each for each in fingerprints[LEAST_LINES:] if each in alerts]
    begin = end = fitting([alerts[each] for each in rest])
    for _ in range(_MAX_MORE_MESSAGES):
        end += fitting([alerts[each] for each in rest[end:]])
    return tuple(rest[begin:end])
