"""What must be written anew without an input: what the first release keeps, and what was planned for other settings.

The first release keeps a record in the hash's field ``data`` and compares the same ``rev``. Whoever changes a record
first takes it over: the script leaves a ``data`` behind that the first release cannot read, and another ``rev``, so
that a replica of it which has just read the record cannot write it any more. What nobody changes is taken over here, a
few records at a time, until the first release's lists are empty; then they are gone.

A record whose call is under way is left to its sender as long as that holds its lease: it would find no record to write
the outcome into. Where such a record is taken over all the same, by a webhook, its attempt is looked up in Slack.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import redis

from alert_threader.errors import RecordDamagedError
from alert_threader.store.base import Counts, Decide
from alert_threader.store.redis import scripts
from alert_threader.store.redis.leases import Leases
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.records import BATCH, Records
from alert_threader.store.redis.transactions import Transactions
from alert_threader.threads import AlertThread, Policy

#: How long one step takes, in seconds: leases are renewed between steps.
_STEP = 0.25


class Upkeep:
    """Brings records to the form and the plan that they would have if they were written now."""

    def __init__(
        self,
        client: redis.Redis,
        names: Names,
        records: Records,
        transactions: Transactions,
        leases: Leases,
        policy: Policy,
    ) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._names = names
        self._records = records
        self._transactions = transactions
        self._leases = leases
        self._settings = repr(policy)
        self._forget_script = client.register_script(scripts.FORGET_FORMER)
        self._cursor = 0
        #: The keys that are still to be planned anew, and whether that is done.
        self._unplanned = self._planned_otherwise()
        self._is_planned = False

    def step(self) -> None:
        """Do a part of what is to be done. Where there is nothing, that is one round trip."""
        until = time.monotonic() + _STEP
        while self._take_over() and time.monotonic() < until:
            pass
        while self._plan_anew() and time.monotonic() < until:
            pass

    def former_counts(self) -> Counts:
        """How many threads are not taken over yet; since when they are pending is not known."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(self._names("index"))
        pipeline.zcard(self._names("seen"))
        pipeline.smembers(self._names("channels"))
        threads, is_open, channels = pipeline.execute()
        pending = sum(self._redis.hlen(self._names("due", channel.decode())) for channel in channels)
        return Counts(threads, pending, None, is_open)

    def _take_over(self) -> bool:
        """Take over some of what the first release lists; return whether there is more."""
        self._cursor, listed = self._redis.zscan(self._names("index"), self._cursor, count=BATCH)
        if not listed:
            return self._cursor != 0
        channels = sorted(name.decode() for name in self._redis.smembers(self._names("channels")))
        busy = self._leases.held_by_former(channels)

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, None]:
            is_waited_for = thread is not None and thread.under_way and thread.channel in busy
            return (thread if thread is None or is_waited_for else msgspec.structs.replace(thread)), None

        keys = [key.decode() for key, _ in listed]
        self._rewrite(keys, decide)
        lists = [self._names(kind) for kind in ("index", "seen", "channels")]
        dues = self._names("due", "*").removesuffix("*")
        self._forget_script(keys=[*lists, *map(self._names.record, keys)], args=[dues, *keys])
        return self._cursor != 0

    def _plan_anew(self) -> bool:
        """Plan some records that were planned for other settings; return whether there are more."""
        if self._is_planned:
            return False
        try:
            keys = next(self._unplanned, None)
            if keys is None:
                self._redis.set(self._names("policy"), self._settings)
                self._is_planned = True
                return False
            self._rewrite(keys, lambda thread: (thread and msgspec.structs.replace(thread), None))
        except BaseException:
            self._unplanned = self._planned_otherwise()  # from the beginning
            raise
        return True

    def _planned_otherwise(self) -> Iterator[list[str]]:
        known = self._redis.get(self._names("policy"))
        if known is not None and known.decode() != self._settings:
            yield from self._records.keys()

    def _rewrite(self, keys: Sequence[str], decide: Decide[None]) -> None:
        with suppress(RecordDamagedError):
            self._transactions.run([(key, decide) for key in keys])
