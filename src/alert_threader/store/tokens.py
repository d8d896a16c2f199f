"""Token buckets: how often something may be done. Values only; a store keeps the buckets, ``delivery`` waits."""

from typing import NamedTuple

#: Tolerance in seconds, so that a sender that slept for exactly its wait is not held up by a rounding error.
_TOLERANCE = 0.001


class Budget(NamedTuple):
    """So many calls a second, and up to ``burst`` at once after a pause."""

    rate: float
    burst: float


class Bucket:
    """A token bucket, kept as the time at which it will be full again (the generic cell rate algorithm).

    Times are seconds on one clock.
    """

    def __init__(self, budget: Budget, now: float) -> None:
        """Start with one token only: the process before this one may just have used the others."""
        self._interval = 1 / budget.rate
        self._allowance = max(budget.burst - 1, 0) * self._interval
        self._full_at = now + self._allowance

    def take(self, now: float) -> float:
        """Use a token and return 0; or return how many seconds it is until there is one."""
        full_at = max(self._full_at, now)
        wait = full_at - now - self._allowance
        if wait > _TOLERANCE:
            return wait
        self._full_at = full_at + self._interval
        return 0.0
