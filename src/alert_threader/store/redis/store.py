"""Threads in Redis: any number of workers, replicas and machines behave as one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import redis

from alert_threader.store.base import Counts, Decide, Due, Lease
from alert_threader.store.pace import Pace
from alert_threader.store.redis import condition
from alert_threader.store.redis.client import translated
from alert_threader.store.redis.commit import Committer
from alert_threader.store.redis.lanes import Lanes
from alert_threader.store.redis.leases import Leases
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.probe import Probe
from alert_threader.store.redis.records import BATCH, Records
from alert_threader.store.redis.transactions import Transactions
from alert_threader.store.redis.upkeep import Upkeep
from alert_threader.store.redis.way_back import WayBack
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Policy

T = TypeVar("T")

_SLOW = (
    "Redis takes {seconds:.1f} s to store a change: alerts are stored and delivered late; look at its load, its disk "
    "(appendfsync) and the network"
)


class RedisStore:
    """The Store in Redis. Making one connects to nothing; a Redis that is away is a StoreError of each call."""

    name = "redis"
    shared = True

    def __init__(self, client: redis.Redis, prefix: str, policy: Policy, *, fails_over: bool = False) -> None:
        """Take the client, what all names begin with (no pattern's signs in it), and the rules' settings.

        ``fails_over`` says that one of Redis' replicas may take its place at any moment: then a change counts only once
        the replicas have it too.
        """
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._policy = policy
        self._fails_over = fails_over
        self.pace = Pace(_SLOW)
        self._names = names = Names(prefix)
        self._records = Records(client, names)
        self._leases = Leases(client, names)
        self._lanes = Lanes(client, names, self._records, policy)
        self._committer = Committer(client, names("ping"), fails_over=fails_over)
        self._transactions = Transactions(self._records, self._committer, names, self._leases, policy)
        self._probe = Probe(client, names, self._committer, policy, self.pace)
        self._upkeep = Upkeep(client, names, self._records, self._transactions, self._leases, policy)

    # -- changing ------------------------------------------------------------------------------------------------

    def transact(self, key: str, decide: Decide[T], lease: Lease | None = None) -> T:
        """Change one record; see Store."""
        with self._translated(), self.pace.measured():
            return self._transactions.run([(key, decide)], lease)[0]

    def transact_all(self, decisions: Sequence[tuple[str, Decide[T]]]) -> list[T]:
        """Change several records; see Store."""
        with self._translated(), self.pace.measured():
            return self._transactions.run(decisions)

    # -- leases, tokens and plans --------------------------------------------------------------------------------

    def restored_from(self, now: float) -> float:  # noqa: ARG002
        """Redis restores itself, and says nothing of it; see Store."""
        return 0.0

    def claim(self, lane: str) -> Lease | None:
        """Take the lane; see Store."""
        with self._translated():
            return self._leases.claim(lane)

    def renew(self, lease: Lease) -> None:
        """Hold the lease on; see Store."""
        with self._translated():
            self._leases.renew(lease)

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        with self._translated():
            self._leases.release(lease)

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store."""
        with self._translated():
            return self._leases.take(name, budget)

    def arrived(self, name: str, budget: Budget) -> None:
        """Note when the call for a token was answered; see Store."""
        with self._translated():
            self._leases.arrived(name, budget)

    def pending(self) -> dict[str, float]:
        """The lanes with something pending; see Store. Takes over a part of what the first release keeps."""
        with self._translated():
            self._upkeep.step()
            return self._lanes.pending()

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's due actions; see Store."""
        with self._translated():
            return self._lanes.due(lane, now)

    def aged(self, now: float) -> list[str]:
        """The keys of some records that time alone changes; see Store. Damaged ones that were repaired count again."""
        with self._translated():
            self._records.look_again()
            found = self._redis.zrangebyscore(self._names("threads"), "-inf", now, start=0, num=BATCH)
        return [key for key in (name.decode() for name in found) if not self._records.is_damaged(key)]

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> AlertThread | None:
        """One record; see Store."""
        with self._translated():
            (found,) = self._records.fetch([key])
        if found.damage is not None:
            raise found.damage
        return found.thread

    def threads(self) -> Iterator[AlertThread]:
        """All records; see Store."""
        with self._translated():
            yield from (found.thread for found in self._records.scan() if found.thread is not None)

    def damaged(self) -> list[str]:
        """Records that cannot be read; see Store."""
        with self._translated():
            return [str(found.damage) for found in self._records.scan() if found.damage is not None]

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        head = self._names.stamp("").encode()
        stamps: dict[str, str] = {}
        with self._translated():
            for names in self._records.batches(f"{head.decode()}*"):
                for name, value in zip(names, self._redis.mget(names), strict=True):
                    stamps |= {} if value is None else {name.removeprefix(head).decode(): value.decode()}
        return stamps

    def counts(self) -> Counts:
        """How full the store is; see Store."""
        with self._translated():
            lanes = self._lanes.actions().values()
            threads = int(self._redis.zcard(self._names("threads")))
            is_open = int(self._redis.scard(self._names("open")))
            former = self._upkeep.former_counts()
        listed = [item for actions in lanes for item in actions.items() if item[1].is_pending]
        since = [action.rank[-1] for _, action in listed]
        pending = len({key for key, _ in listed})
        return Counts(
            threads=threads + former.threads,
            pending=pending + former.pending,
            oldest_pending=min(since, default=None),
            open=is_open + former.open,
        )

    # -- the store itself ----------------------------------------------------------------------------------------

    def ping(self) -> None:
        """Check that Redis takes what a webhook writes, and keeps it in a failover; see Store."""
        with self._translated():
            self._probe.run()

    def info(self) -> dict[str, Any]:
        """Redis' own figures; None for those that it does not tell this user."""
        with self._translated():
            return condition.figures(self._redis)

    def warnings(self) -> list[str]:
        """Which records cannot be read, and what of Redis' settings does not fit a store of record."""
        with self._translated():
            damaged = self._records.look_again()
            slow = [warning] if (warning := self.pace.warning) else []
            return [*slow, *damaged, *condition.unfit_settings(self._redis, fails_over=self._fails_over)]

    def unseen(self) -> list[str]:
        """What Redis does not tell this user: the commands that are needed for nothing but advice."""
        with self._translated():
            return condition.unseen(self._redis)

    def hand_back(self) -> int:
        """Leave all threads to the first release, and return how many. Every replica must be stopped."""
        with self._translated():
            count = WayBack(self._redis, self._names, self._records, self._policy).hand_back()
            self._committer.confirm()
        return count

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._names.prefix)
