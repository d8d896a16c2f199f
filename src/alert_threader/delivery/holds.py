"""What a lane holds back after failures, for how long, and which thread it tries again with.

While a method fails, its calls would all fail, and each would leave one more thread in doubt. So it is tried again with
the thread that failed, or with its look-up, or with one that is more severe. Times are of the monotonic clock.
"""

import time
from dataclasses import dataclass

from alert_threader.delivery.pacing import POST
from alert_threader.delivery.retry import Verdict
from alert_threader.store.base import Due

#: After this long without a try of the thread that is waited for, in seconds, another is tried.
_OVERDUE = 3.5
#: A method that was not tried for so long, in seconds, is needed by nobody.
_FORGOTTEN = 10.0


@dataclass
class _Hold:
    """One method: with which thread it is tried again, not before ``until``, and when that was last tried."""

    key: str
    severity: int
    until: float
    tried_at: float


class Holds:
    """What a lane holds back. One sender uses it; ``release`` may be called from another thread."""

    def __init__(self) -> None:
        #: No call is made before: something is wrong with the channel, or with the token.
        self._paused_until = 0.0
        self._is_paused = False
        #: Whether the reason is this channel's own.
        self._is_own = False
        #: By method, what Slack has asked for.
        self._limited_until: dict[str, float] = {}
        self._holds: dict[str, _Hold] = {}

    @property
    def is_in_trouble(self) -> bool:
        """Whether the last calls failed for a reason that more than one thread has to wait for."""
        since = time.monotonic() - _FORGOTTEN
        return self._is_paused or any(hold.tried_at > since for hold in list(self._holds.values()))

    def called(self, method: str, item: Due, verdict: Verdict, now: float) -> bool:
        """Take in what became of a call; whether it ended a trouble that other channels may share."""
        was_in_trouble = (self._is_paused and not self._is_own) or any(works in self._holds for works in verdict.works)
        self._is_paused, self._is_own = bool(verdict.pause), verdict.is_own
        self._paused_until = now + verdict.pause
        self._limited_until[method] = now + verdict.limit
        for works in verdict.works:
            self._holds.pop(works, None)
        if verdict.hold:
            self._holds[method] = _Hold(item.key, item.action.rank[0], now, now)
        for name, hold in list(self._holds.items()):
            if hold.key == item.key:
                hold.until, hold.tried_at = now + verdict.hold, now
                if POST in verdict.works:
                    # Whatever else was tried for it, its message is there.
                    del self._holds[name]
        return was_in_trouble and bool(verdict.works)

    def release(self, methods: tuple[str, ...]) -> None:
        """Try methods again at once: they work elsewhere."""
        for method in methods:
            self._holds.pop(method, None)
        if not self._is_own:
            self._is_paused, self._paused_until = False, 0.0

    def method_wait(self, method: str, now: float) -> float:
        """The seconds until a method may be used again, whatever for; 0 for now."""
        hold = self._holds.get(method)
        until = (self._paused_until, self._limited_until.get(method, 0.0), hold.until if hold else 0.0)
        return max(max(until) - now, 0.0)

    def wait(self, method: str, item: Due, now: float) -> float:
        """The seconds until a method may be used for this; 0 for now."""
        if wait := self.method_wait(method, now):
            return wait
        hold = self._holds.get(method)
        if hold is None or item.key == hold.key or item.action.rank[0] < hold.severity:
            return 0.0
        return max(hold.tried_at + _OVERDUE - now, 0.0)
