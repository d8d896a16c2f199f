"""What keeps channels from their messages, since when, and what to do about it: for the log and ``/health``."""

import logging
import threading
from collections.abc import Callable

import msgspec

from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.threads import MAX_SIMPLE, AlertThread

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
    #: Whether it goes on until the method succeeds: it meets each root once, and is not tried again with that.
    lasts: bool = False


class Troubles:
    """The troubles of all channels, by method: that one works proves nothing of another. Safe to use from threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is the time of day in seconds."""
        self._clock = clock
        self._guard = threading.Lock()
        self._failures: dict[tuple[str, str], int] = {}
        self._troubles: dict[tuple[str, str], Trouble] = {}
        #: The threads whose messages met a refusal that we do not know, by channel and code.
        self._refused: dict[tuple[str, str], set[str]] = {}
        #: When Slack last took something, in seconds since the epoch.
        self.last_success: float | None = None

    def now(self) -> list[Trouble]:
        """What is wrong now, oldest first; empty while all goes well.

        A trouble that has not shown itself for a while is over: another process may send to the channel now.
        """
        at = self._clock()
        with self._guard:
            known = self._troubles.values()
            fresh = [trouble for trouble in known if trouble.lasts or abs(at - trouble.last) < _TROUBLE_LASTS]
        return sorted(fresh, key=lambda trouble: trouble.since)

    def failed(self, channel: str, method: str) -> int:
        """Count a failed call; return how many failed in a row."""
        with self._guard:
            self._failures[channel, method] = self._failures.get((channel, method), 0) + 1
            return self._failures[channel, method]

    def is_everyones(self, thread: AlertThread, error: SlackError) -> bool:
        """Whether a refusal that we do not know is the destination's fault, not this post's.

        It is where it meets several threads, or one in the plainest form, and no message was taken meanwhile.
        """
        if error.kind is not FailureKind.UNKNOWN_CODE:
            return False
        with self._guard:
            met = self._refused.setdefault((thread.channel, error.code), set())
            met.add(thread.key)
            if thread.simple == MAX_SIMPLE:
                met.add("")  # from now on it is no thread's own
            return len(met) > 1

    def note(self, channel: str, method: str, code: str, text: str, failures: int, *, lasts: bool = False) -> None:
        """Keep a trouble with the time that it began, and log it: the log counts what it has said a moment ago.

        Logged only once, it could be taken for a repeat of one that ended a moment ago, and never be written.
        """
        at = self._clock()
        with self._guard:
            before = self._troubles.get((channel, method))
            since = before.since if before else at
            self._troubles[channel, method] = Trouble(channel, method, code, text, since, at, failures, lasts)
        log.warning("cannot deliver to %s: %s", channel, text)

    def succeeded(self, channel: str, method: str) -> None:
        """A call succeeded: whatever was wrong with its method is over, and no refusal is the channel's own."""
        self.last_success = self._clock()
        with self._guard:
            self._failures.pop((channel, method), None)
            trouble = self._troubles.pop((channel, method), None)
            for met in [met for met in self._refused if met[0] == channel]:
                del self._refused[met]
        if trouble is not None:
            log.warning("delivering to %s again after %s failures (%s)", channel, trouble.failures, trouble.code)
