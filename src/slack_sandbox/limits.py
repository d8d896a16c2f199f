"""Slack's rate limits: https://docs.slack.dev/apis/web-api/rate-limits.

* `chat.postMessage`: about one message per second and channel, short bursts aside. Here: a bucket
  for each channel.
* Tier 3: at least fifty a minute, per method and workspace. Here: a window of one minute over each method.
* `auth.test` and `chat.getPermalink` have limits that nobody reaches; they are not limited here.

A refused call costs nothing. Time is an argument, in seconds.
"""

import math
from collections import deque
from dataclasses import dataclass, field

#: Each method's page names its tier, e.g. https://docs.slack.dev/reference/methods/chat.update
TIER_3 = frozenset(
    {
        "chat.delete",
        "chat.update",
        "conversations.history",
        "conversations.info",
        "conversations.replies",
        "reactions.add",
    }
)
_MINUTE = 60.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


@dataclass(slots=True)
class Limits:
    """Counts calls and says how long the next one has to wait."""

    posts_per_second: float = 1.0
    post_burst: int = 4
    tier3_per_minute: int = 50
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _windows: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, method: str, channel: str, now: float) -> int:
        """Return 0 and count the call, or return the whole seconds to wait (`Retry-After`)."""
        if method == "chat.postMessage":
            return self._take_post(channel, now)
        if method in TIER_3:
            return self._take_tier_3(method, now)
        return 0

    def forget(self) -> None:
        """Start as if nothing had been called."""
        self._buckets.clear()
        self._windows.clear()

    def _take_post(self, channel: str, now: float) -> int:
        bucket = self._buckets.setdefault(channel, _Bucket(float(self.post_burst), now))
        grown = max(0.0, now - bucket.filled_at) * self.posts_per_second
        bucket.tokens = min(float(self.post_burst), bucket.tokens + grown)
        bucket.filled_at = now
        # The margin keeps a sender who waits exactly one second from failing on a rounding error.
        if bucket.tokens > 1 - 1e-6:
            bucket.tokens -= 1
            return 0
        return max(1, math.ceil((1 - bucket.tokens) / self.posts_per_second))

    def _take_tier_3(self, method: str, now: float) -> int:
        window = self._windows.setdefault(method, deque())
        while window and window[0] <= now - _MINUTE:
            window.popleft()
        if len(window) < self.tier3_per_minute:
            window.append(now)
            return 0
        return max(1, math.ceil(window[0] + _MINUTE - now))
