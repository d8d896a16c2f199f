"""What time it is for Slack, beside a clock of ours that may be set at any moment."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

#: Slack says its time in whole seconds: less is no step, in seconds.
_STEP = 2.0
#: A time that was taken from our clock before it was set is asked about no later than this, in seconds.
_REMEMBERED = 600.0


class _Ahead(NamedTuple):
    """By how many seconds Slack's clock is ahead of ours, and when that held last (monotonic)."""

    seconds: float
    at: float


class Clocks:
    """By how much the two clocks differ, now and a while ago. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is our time of day, ``monotonic`` one that nobody sets; both in seconds."""
        self._clock = clock
        self._monotonic = monotonic
        self._guard = threading.Lock()
        #: Slack's clock less the monotonic one; None until Slack has said its time.
        self._offset: float | None = None
        #: One for each time that our clock was set, the newest last.
        self._known: list[_Ahead] = []

    def heard(self, slack_time: float) -> None:
        """Slack says that it is ``slack_time``, in seconds since the epoch."""
        with self._guard:
            self._offset = slack_time - self._monotonic()
            self._note(self._offset)

    def ahead(self) -> list[float]:
        """By how many seconds Slack's clock is ahead of ours, now and before it was set lately; empty if not known."""
        with self._guard:
            if self._offset is None:
                return []
            self._note(self._offset)
            return [each.seconds for each in self._known]

    def _note(self, offset: float) -> None:
        at = self._monotonic()
        now = _Ahead(at + offset - self._clock(), at)
        if self._known and abs(self._known[-1].seconds - now.seconds) < _STEP:
            self._known.pop()
        self._known = [*(each for each in self._known if at - each.at < _REMEMBERED), now]
