"""What a store of thread records promises. The verbs are the domain's, and atomic.

The contract tests (tests/contract) run on every store. Every method raises StoreError when the store cannot be reached
or written. An error never stands for "no such thread": that would open a second one. Times (``now``) are seconds since
the epoch.

A record that cannot be read costs its own thread only. ``update``, ``read`` and ``insert`` of that thread raise
RecordDamagedError; all else passes it over and leaves it as it is, and ``warnings`` names it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from alert_threader.store.tokens import Budget
from alert_threader.threads import Action, AlertThread, Applied, Change, Outcome

#: A lease that is not renewed for this long, in seconds, passes to the next who asks. So long a channel is silent after
#: a sender was killed; a sender that lives renews it far more often.
LEASE_TTL = 6.0


class Lease(msgspec.Struct, frozen=True):
    """The right to speak to one channel. ``token`` differs for every claim, so that a lost lease is recognised."""

    channel: str
    token: str


class Due(msgspec.Struct, frozen=True):
    """One thread that needs an action."""

    key: str
    action: Action


class Counts(msgspec.Struct, frozen=True):
    """How many threads are kept, how many of them have something to tell, and since when the oldest of these has.

    ``open`` is how many fire: at least one alert does, and the thread is not closed (stale, or forgotten).
    """

    threads: int
    pending: int
    oldest_pending: float | None
    open: int

    def waiting(self, now: float) -> float:
        """For how many seconds the oldest of those with something to tell has waited; 0 where there is none."""
        return 0.0 if self.oldest_pending is None else max(now - self.oldest_pending, 0)


class Store(Protocol):
    """Keeps thread records, and hands them to one sender a channel."""

    name: str
    #: Whether other processes use it too, so that what they do must be looked for.
    shared: bool

    def update(self, changes: Sequence[Change], now: float) -> list[Applied]:
        """Apply each change to its thread. On return all of them are durable; on an error none needs to be.

        RecordDamagedError is raised once the changes of all other threads are durable: they need not wait for it.
        Concurrent updates of a thread are applied one after the other; each sees what the one before it made.
        """

    def claim(self, channel: str) -> Lease | None:
        """Take the channel for LEASE_TTL, or None while somebody else has it. The first who asks wins."""

    def renew(self, lease: Lease) -> None:
        """Hold the lease for another LEASE_TTL. Raises LeaseLostError if it has passed on."""

    def release(self, lease: Lease) -> None:
        """Give the lease back. Nothing happens if it has passed on."""

    def take(self, name: str, budget: Budget) -> float:
        """Use one token of a budget that all who use this store share; return 0, or the seconds until there is one."""

    def waiting(self) -> dict[str, float]:
        """The channels that have something to tell, each with the earliest time that one of their actions is due."""

    def due(self, channel: str, now: float) -> list[Due]:
        """The channel's actions that are due, most pressing first."""

    def begin(self, lease: Lease, key: str, attempt_id: str, now: float) -> tuple[AlertThread, Action] | None:
        """Start the thread's next action; on return its attempt, or mark, is durable.

        None where none is due any more, or the record is damaged: then the thread is not due before it can be read.
        Holds the lease for another LEASE_TTL, as ``settle`` does. Raises LeaseLostError if the lease has passed on:
        then nothing is changed.
        """

    def settle(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome, now: float) -> AlertThread | None:
        """Write a call's outcome onto the thread as it is now, durably. None if the thread is gone, or damaged.

        Raises LeaseLostError if the lease has passed on: then nothing is changed.
        """

    def insert(self, threads: Sequence[AlertThread], *, replace: bool) -> list[str]:
        """Store threads as another store had them, attempts and all. On return they are durable; on an error some are.

        A thread whose key is taken is left out; with ``replace`` it wins. Return the keys of those left out. Meanwhile
        nobody may send to their channels (``claim``).
        """

    def expire(self, now: float) -> None:
        """Close stale threads and drop those that closed long ago."""

    def forget(self, now: float) -> int:
        """Drop every thread that has nothing more to tell, close the others; return how many it dropped."""

    def read(self, key: str) -> AlertThread | None:
        """The thread as it was last stored."""

    def threads(self) -> Iterator[AlertThread]:
        """All threads, in no order; those that change meanwhile may come in either state."""

    def damaged(self) -> list[str]:
        """Look for records that cannot be read, in all of the store; a line for each that says what to do."""

    def stamps(self) -> dict[str, str]:
        """The ``ts`` of each thread that has one, by key."""

    def counts(self, now: float) -> Counts:
        """How full the store is."""

    def ping(self) -> None:
        """Raise StoreError, with a line for a person, if a change could not be stored now."""

    def info(self) -> dict[str, Any]:
        """The store's own section of ``/stats``."""

    def warnings(self) -> list[str]:
        """What a person should know and act on, one line each, though changes are stored."""

    def close(self) -> None:
        """Let go of files and connections. Every change that was answered is durable already."""
