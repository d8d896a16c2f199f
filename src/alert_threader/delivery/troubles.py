"""What keeps channels from their messages, since when, and what to do about it: for the log and ``/health``."""

import logging
import threading
from collections.abc import Callable

import msgspec

log = logging.getLogger(__name__)

#: A trouble that has not shown itself for this long, in seconds, is over. Longer than the longest pause after a
#: failure.
_TROUBLE_LASTS = 180


class Trouble(msgspec.Struct, frozen=True):
    """What keeps a channel from its messages, since when and when last (seconds since the epoch), and how often."""

    channel: str
    method: str
    code: str
    text: str
    since: float
    last: float
    failures: int


class Troubles:
    """The troubles of all channels. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is the time of day in seconds."""
        self._clock = clock
        self._guard = threading.Lock()
        self._failures: dict[str, int] = {}
        self._troubles: dict[str, Trouble] = {}
        #: When Slack last took something, in seconds since the epoch.
        self.last_success: float | None = None

    def now(self) -> list[Trouble]:
        """What is wrong now, oldest first; empty while all goes well.

        A trouble that has not shown itself for a while is over: another process may send to the channel now.
        """
        at = self._clock()
        with self._guard:
            fresh = [trouble for trouble in self._troubles.values() if abs(at - trouble.last) < _TROUBLE_LASTS]
        return sorted(fresh, key=lambda trouble: trouble.since)

    def failed(self, channel: str) -> int:
        """Count a failed call; return how many failed in a row."""
        with self._guard:
            self._failures[channel] = self._failures.get(channel, 0) + 1
            return self._failures[channel]

    def note(self, channel: str, method: str, code: str, text: str, failures: int) -> None:
        """Keep a trouble with the time that it began, and log it: the log counts what it has said a moment ago.

        Logged only once, it could be taken for a repeat of one that ended a moment ago, and never be written.
        """
        at = self._clock()
        with self._guard:
            before = self._troubles.get(channel)
            since = before.since if before else at
            self._troubles[channel] = Trouble(channel, method, code, text, since, at, failures)
        log.warning("cannot deliver to %s: %s", channel, text)

    def succeeded(self, channel: str) -> None:
        """A call succeeded: whatever was wrong with the channel is over."""
        self.last_success = self._clock()
        with self._guard:
            self._failures.pop(channel, None)
            trouble = self._troubles.pop(channel, None)
        if trouble is not None:
            log.warning("delivering to %s again after %s failures (%s)", channel, trouble.failures, trouble.code)
