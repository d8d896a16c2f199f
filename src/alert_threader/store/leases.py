"""Leases and tokens of a store that belongs to one process."""

import threading
import time
import uuid

from alert_threader.errors import LeaseLostError
from alert_threader.store.base import Lease
from alert_threader.store.tokens import Bucket, Budget


class Leases:
    """Who sends from which lane. A lease has no time to live: no other process could take it over."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._buckets: dict[str, Bucket] = {}

    def claim(self, lane: str) -> Lease | None:
        """Take the lane; see Store."""
        with self._guard:
            if lane in self._tokens:
                return None
            self._tokens[lane] = uuid.uuid4().hex
            return Lease(lane, self._tokens[lane])

    def renew(self, lease: Lease) -> None:
        """Raise LeaseLostError unless the lease holds; see Store."""
        if self._tokens.get(lease.lane) != lease.token:
            raise LeaseLostError(f"the lease on {lease.lane} has passed to another sender")

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        with self._guard:
            if self._tokens.get(lease.lane) == lease.token:
                del self._tokens[lease.lane]

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store. A new process starts with one in each bucket."""
        now = time.monotonic()
        with self._guard:
            return self._buckets.setdefault(name, Bucket(budget, now)).take(now)
