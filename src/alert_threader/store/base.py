"""What a store of thread records provides: primitives. The domain's verbs are written once on top (``store.verbs``).

The contract tests (tests/stores) run on every store. Every method raises StoreError when the store cannot be reached or
written. An error never stands for "no such thread": that would open a second one. Times (``now``) are seconds since the
epoch.

A record that cannot be read costs its own thread only. ``transact`` and ``read`` of that thread raise
RecordDamagedError; all else passes over it and leaves it as it is, and ``warnings`` names it.

A lane is one ordered way out, such as a channel of Slack. Here it is only a name: which lanes a record has something
pending in is ``threads.plan``'s answer.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from alert_threader.store.pace import Pace
from alert_threader.store.tokens import Budget
from alert_threader.threads import Action, AlertThread

T = TypeVar("T")

#: Takes the record as it is now (None for none, never to be changed in place) and returns what to store (the record
#: itself to change nothing, None to drop it) and a word for the caller. It may be called again if others interfere.
Decide = Callable[[AlertThread | None], tuple[AlertThread | None, T]]

#: In a shared store a lease that is not renewed for this long, in seconds, passes to whoever claims it next: so long a
#: lane is silent after its sender was killed. A live sender renews it far more often.
LEASE_TTL = 6.0


class Lease(msgspec.Struct, frozen=True):
    """The right to send from one lane. ``token`` differs for every claim, so that a lost lease is recognised."""

    lane: str
    token: str


class Due(msgspec.Struct, frozen=True):
    """One thread that needs an action."""

    key: str
    action: Action


class Counts(msgspec.Struct, frozen=True):
    """How many threads are stored, how many have something pending, and since when the oldest of these has.

    ``open`` is how many fire: at least one alert does, and the thread is not closed (stale, or forgotten).
    """

    threads: int
    pending: int
    oldest_pending: float | None
    open: int

    def oldest_pending_seconds(self, now: float) -> float:
        """For how many seconds the oldest pending thread has waited; 0 where there is none."""
        return 0.0 if self.oldest_pending is None else max(now - self.oldest_pending, 0)


class Store(Protocol):
    """Keeps thread records, and hands the pending ones to one sender for each lane."""

    name: str
    #: Whether other processes use it too, so that what they do must be looked for, and a lease can be lost.
    shared: bool
    #: How long it takes to make a change durable.
    pace: Pace

    def transact(self, key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        """Change one record; return the word of ``decide``. On return the change is durable.

        Concurrent changes of a record are made one after the other; each sees what the one before it made. With a
        lease nothing is changed unless it still holds, and it is renewed. Raises LeaseLostError, RecordDamagedError and
        whatever ``decide`` raises; then nothing is changed.
        """

    def transact_all(self, decisions: Sequence[tuple[str, Decide[T]]]) -> list[T]:
        """Change several records. On return all changes are durable; on an error none needs to be.

        RecordDamagedError is raised once the changes of all other records are durable: they need not wait for it.
        """

    def restored_from(self, now: float) -> float:
        """The time of the copy that the store was restored from not long before ``now``, 0 where it was not.

        Both in seconds since the epoch. What was posted since that time may be missing here.
        """

    def claim(self, lane: str) -> Lease | None:
        """Take the lane, for LEASE_TTL in a shared store; None while somebody else has it. The first who asks wins."""

    def renew(self, lease: Lease) -> None:
        """Hold the lease for another LEASE_TTL. Raises LeaseLostError if it has passed on."""

    def release(self, lease: Lease) -> None:
        """Give the lease back. Nothing happens if it has passed on."""

    def take(self, name: str, budget: Budget) -> float:
        """Use one token of a budget that all who use this store share; return 0, or the seconds until there is one.

        What was used is known after a restart too.
        """

    def arrived(self, name: str, budget: Budget) -> None:
        """Note that the call for the last token was answered now: until then it may not have been counted."""

    def pending(self) -> dict[str, float]:
        """The lanes with something pending, each with the earliest time at which one of their actions is due."""

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's actions that are due, most pressing first."""

    def aged(self, now: float) -> list[str]:
        """The keys of records that time alone changes by ``now`` (``Plan.ages_at``); some of them, if many."""

    def read(self, key: str) -> AlertThread | None:
        """The record as it was last stored."""

    def threads(self) -> Iterator[AlertThread]:
        """All records, in no order; those that change meanwhile may come in either state."""

    def damaged(self) -> list[str]:
        """Look for records that cannot be read, in all of the store; a line for each that says what to do."""

    def stamps(self) -> dict[str, str]:
        """The ``ts`` of each thread that has one, by key."""

    def counts(self) -> Counts:
        """How full the store is."""

    def ping(self) -> None:
        """Raise StoreError, with a line for a person, if a change could not be stored now."""

    def info(self) -> dict[str, Any]:
        """The store's own section of ``/stats``."""

    def warnings(self) -> list[str]:
        """What a person should know and act on, one line each, though changes are stored."""

    def close(self) -> None:
        """Let go of files and connections. Every acknowledged change is durable already."""
