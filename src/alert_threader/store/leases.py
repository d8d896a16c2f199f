"""Leases and tokens of a store that belongs to one process."""

import threading
import time
import uuid
from collections.abc import Mapping

from alert_threader.errors import LeaseLostError
from alert_threader.store.base import Lease
from alert_threader.store.tokens import Bucket, Budget

#: What the notes are called in which the buckets are kept.
NOTE = "full_at:"


class Leases:
    """Who sends from which lane. A lease has no time to live: no other process could take it over.

    The buckets outlive the process: they are kept as notes, which go to the disk with the next commit. A token is taken
    before an attempt is stored, so that costs no sync of its own.
    """

    def __init__(self, notes: Mapping[str, str]) -> None:
        """Begin with the buckets that a former process has left in these notes."""
        self._guard = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._buckets: dict[str, Bucket] = {}
        self._kept = dict(notes)
        self._changed: set[str] = set()

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
        """Use a token; see Store."""
        with self._guard:
            wait = self._bucket(name, budget).take(time.monotonic())
            if not wait:
                self._changed.add(name)
            return wait

    def arrived(self, name: str, budget: Budget) -> None:
        """Note when the call for a token was answered; see Store."""
        with self._guard:
            self._bucket(name, budget).arrived(time.monotonic())
            self._changed.add(name)

    def changed_notes(self) -> dict[str, str]:
        """The notes of the buckets that have changed since they were asked for last."""
        with self._guard:
            since_epoch = time.time() - time.monotonic()
            notes = {f"{NOTE}{name}": repr(self._buckets[name].full_at + since_epoch) for name in self._changed}
            self._changed.clear()
        return notes

    def _bucket(self, name: str, budget: Budget) -> Bucket:
        if name not in self._buckets:
            now = time.monotonic()
            kept = float(self._kept.pop(f"{NOTE}{name}", 0))
            self._buckets[name] = Bucket(budget, now, now + kept - time.time())
        return self._buckets[name]
