"""How fast to speak to Slack. Values only; ``delivery`` does the waiting. Times are seconds on a monotonic clock."""

#: Edits are Tier 3, "50+ per minute" for each method and workspace (https://docs.slack.dev/apis/web-api/rate-limits).
#: With the burst this makes 50 in any minute.
TIER_3_RATE = 45 / 60
TIER_3_BURST = 5


class Bucket:
    """A token bucket: ``rate`` calls a second, and up to ``burst`` at once after a pause."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Start with one token only: the process before this one may just have used the others."""
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._tokens = 1.0
        self._at = now

    def wait(self, now: float) -> float:
        """How long until there is a token, 0 if there is one."""
        self._fill(now)
        # A hair less than a token will do: sleeping for exactly the time that is missing may leave a rounding error.
        return 0.0 if self._tokens > 0.999 else (1 - self._tokens) / self._rate  # noqa: PLR2004

    def take(self, now: float) -> None:
        """Use a token."""
        self._fill(now)
        self._tokens -= 1

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
