"""Token buckets: how often something may be done. Values only; a store keeps the buckets, ``delivery`` waits."""

from typing import NamedTuple

#: Tolerance in seconds, so that a sender that slept for exactly its wait is not held up by a rounding error.
TOLERANCE = 0.001


class Budget(NamedTuple):
    """So many calls a second, and up to ``burst`` at once after a pause."""

    rate: float
    burst: float

    @property
    def interval(self) -> float:
        """The seconds from one token to the next."""
        return 1 / self.rate

    @property
    def allowance(self) -> float:
        """How far ahead of the pace a burst may be, in seconds."""
        return max(self.burst - 1, 0) * self.interval


class Bucket:
    """A token bucket, kept as the time at which it will be full again (the generic cell rate algorithm).

    Times are seconds on one clock.
    """

    def __init__(self, budget: Budget, now: float, full_at: float = 0) -> None:
        """Start full, or as it was left: then ``full_at`` is when it will be full, as far as that can be."""
        self._budget = budget
        self.full_at = min(full_at, now + budget.allowance + budget.interval)

    def take(self, now: float) -> float:
        """Use a token and return 0; or return how many seconds it is until there is one."""
        full_at = max(self.full_at, now)
        wait = full_at - now - self._budget.allowance
        if wait > TOLERANCE:
            return wait
        self.full_at = full_at + self._budget.interval
        return 0.0

    def arrived(self, now: float) -> None:
        """Note that the call for the last token was answered: it may have arrived, and been counted, as late as now.

        That matters for the first call of a burst only. Later ones are sent by the pace that it has set.
        """
        self.full_at = max(self.full_at, now + self._budget.interval + TOLERANCE)
