"""What a lane holds back after failures, for how long, and which thread it tries again with.

While a method fails, its calls would all fail, and each would leave one more outcome unknown. So it is tried again with
the thread that failed, or with its look-up, or with one that is more severe. When that does not help, the fault may be
that thread's own (its text, say): others get their turn, and once one of them succeeds, it waits alone. Times are of
the monotonic clock.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alert_threader.delivery.pacing import LOOK_UP, POST
from alert_threader.delivery.retry import Verdict
from alert_threader.store.base import Due

#: After this long without a try of the thread that is waited for, in seconds, another is tried.
_OVERDUE = 3.5
#: After so many failures of one thread others are tried too, one more each ``_OVERDUE`` seconds.
_TRIES = 4
#: A thread that fails while others succeed waits so long at first, and at most, in seconds.
_ALONE, _LONGEST_ALONE = 3.0, 60.0
#: How many such threads are remembered.
_MAX_ALONE = 100
#: A method that was not tried for so long, in seconds, is needed by nobody.
_FORGOTTEN = 10.0


@dataclass
class _Hold:
    """One method: with which thread it is tried again, not before ``until``, and when that was last tried."""

    key: str
    severity: int
    until: float
    tried_at: float
    #: When one more thread may be tried, if that has failed ``_TRIES`` times; and those that have failed.
    another_at: float
    tries: int = 0
    failed: set[str] = field(default_factory=set)

    def take_in(self, item: Due, now: float) -> None:
        """Note that a thread's call has failed."""
        if item.key not in self.failed:
            self.failed.add(item.key)
            self.another_at = now + _OVERDUE
        self.tries += 1
        self.key, self.severity, self.until, self.tried_at = item.key, item.action.rank[0], now, now

    def is_turn_of(self, key: str, now: float) -> bool:
        """Whether a thread that has not failed yet may be tried before the others."""
        return self.tries >= _TRIES and now >= self.another_at and key not in self.failed


@dataclass
class _Alone:
    """A thread whose calls fail while those of others succeed: when it is tried again, and how long it waits then."""

    until: float
    wait: float


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
        #: By method and thread.
        self._alone: dict[tuple[str, str], _Alone] = {}

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
            self._alone.pop((works, item.key), None)
            if (ended := self._holds.pop(works, None)) and ended.tries >= _TRIES:
                self._leave_alone(works, ended.failed - {item.key}, now)
        if verdict.hold and (alone := self._alone.get((method, item.key))):
            alone.until, alone.wait = now + alone.wait, min(2 * alone.wait, _LONGEST_ALONE)
        elif verdict.hold:
            self._holds.setdefault(method, _Hold(item.key, 0, now, now, now)).take_in(item, now)
        for name, hold in list(self._holds.items()):
            if hold.key == item.key:
                hold.until, hold.tried_at = now + verdict.hold, now
                if POST in verdict.works:
                    # Whatever else was tried for it, its message is there.
                    self._holds.pop(name, None)
        return was_in_trouble and bool(verdict.works)

    def _leave_alone(self, method: str, keys: set[str], now: float) -> None:
        """Let threads hold back nobody but themselves: another has succeeded after they had failed."""
        for key in keys:
            self._alone[method, key] = _Alone(now, _ALONE)
        while len(self._alone) > _MAX_ALONE:
            del self._alone[next(iter(self._alone))]

    def in_turn(self, due: Sequence[Due], method_of: Callable[[Due], str], now: float) -> Sequence[Due]:
        """What is due, with a thread in front that is to be tried because another fails again and again."""
        if not any(hold.tries >= _TRIES for hold in self._holds.values()):
            return due

        def waits(item: Due) -> bool:
            hold = self._holds.get(method_of(item))
            return hold is None or not hold.is_turn_of(item.key, now)

        return sorted(due, key=waits)

    def post_wait(self, now: float) -> float:
        """The seconds until posts, and what looks for them, may be tried again after a failure; 0 or less for now."""
        held = (self._holds.get(POST), self._holds.get(LOOK_UP))
        return max((hold.until - now for hold in held if hold is not None), default=0.0)

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
        if alone := self._alone.get((method, item.key)):
            return max(alone.until - now, 0.0)
        hold = self._holds.get(method)
        if hold is None or item.key in hold.failed or item.action.rank[0] < hold.severity:
            return 0.0
        turn = hold.tried_at + _OVERDUE
        if hold.tries >= _TRIES:
            turn = min(turn, hold.another_at)
        return max(turn - now, 0.0)
