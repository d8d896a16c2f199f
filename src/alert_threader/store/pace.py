"""How long a store takes to make a change durable: what stands still, or nearly, must not look healthy."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

log = logging.getLogger(__name__)

#: A store that takes longer is slow, in seconds: it cannot keep up with Slack, which takes a message a second.
SLOW = 1.0
#: A single change that takes longer is said while it is under way, and after so long the store stands still: nobody
#: waits for it any more. Both in seconds; a sender of webhooks gives up after 10.
_LONG = 5.0
_STANDS_STILL = 10.0
#: One slow change is none. It takes so many of the last ones, and of those only what is not older, in seconds.
_OF_THE_LAST = 5
_MANY = 3
_FORGOTTEN_AFTER = 600.0


class _Took(NamedTuple):
    ended: float
    seconds: float


class Pace:
    """The last changes of a store and the one under way. Safe to use from several threads."""

    def __init__(self, advice: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``advice`` is the line that says it, with a place for the ``seconds``; ``clock`` is a monotonic one."""
        self._advice = advice
        self._clock = clock
        self._guard = threading.Lock()
        self._last: deque[_Took] = deque(maxlen=_OF_THE_LAST)
        self._began: dict[int, float] = {}
        self._is_said = False

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the change in the ``with`` block. What failed at once says nothing of the pace."""
        began, me = self._clock(), threading.get_ident()
        with self._guard:
            self._began[me] = began
        failed = True
        try:
            yield
            failed = False
        finally:
            ended = self._clock()
            with self._guard:
                del self._began[me]
                if not failed or ended - began > SLOW:
                    self._last.append(_Took(ended, ended - began))
            _ = self.warning  # logged as soon as it is known

    @property
    def under_way(self) -> float:
        """For how many seconds the oldest change under way has been; 0 where there is none."""
        with self._guard:
            return self._clock() - min(self._began.values()) if self._began else 0.0

    @property
    def stands_still(self) -> bool:
        """Whether the change under way has been so for too long to wait for it."""
        return self.under_way > _STANDS_STILL

    @property
    def seconds(self) -> float:
        """How long a change takes: several of the last ones took as long, or the one under way has by now."""
        return max(self._usual(), self.under_way)

    @property
    def warning(self) -> str | None:
        """What to know and to do where the store is slow; None where it is not. A change of it is logged."""
        usual, under_way = self._usual(), self.under_way
        is_slow = usual > SLOW or under_way > _LONG
        text = self._advice.format(seconds=max(usual, under_way))
        if is_slow != self._is_said:
            self._is_said = is_slow
            log.warning("%s", text if is_slow else "changes are stored as fast as before")
        return text if is_slow else None

    def _usual(self) -> float:
        """What several of the last changes took, or longer; 0 where there were none lately."""
        now = self._clock()
        with self._guard:
            last = sorted((each.seconds for each in self._last if now - each.ended < _FORGOTTEN_AFTER), reverse=True)
        return last[_MANY - 1] if len(last) >= _MANY else 0.0
