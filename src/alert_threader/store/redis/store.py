"""Threads in Redis: any number of workers, replicas and machines behave as one.

A record is changed by compare-and-set: read it with its revision, decide in Python, write it back in one script that
refuses if the revision has changed since, or if the sender's lease on the channel has passed on. That is two round
trips, however many threads are stored. A script has all of its effect or none, and when its answer is lost the change
may be made again: ``apply`` and ``settle`` change nothing the second time.

The names, for a prefix ``threader:ts``. ``KEYS threader:ts:*`` matches the first only:

========================  =======  ======================================================================
threader:ts:KEY           string   the thread's ``ts``, for operators
threader:ts-record:KEY    hash     ``data``, the record as JSON, and ``rev``, its revision
threader:ts-due:CHANNEL   hash     the next action of each thread that needs one, as JSON, by key
threader:ts-channels      set      the channels that have had something due
threader:ts-index         zset     all keys, by the time at which they are dropped; infinite while open
threader:ts-seen          zset     the keys of firing threads, by the time they were last heard of
threader:ts-lease:CHANNEL string   the token of the sender that speaks to the channel, with a time to live
threader:ts-damaged       set      the keys of the records that a process could not read
threader:ts-budget:NAME   string   when a token bucket is full again, in seconds
========================  =======  ======================================================================
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import redis
from redis.exceptions import RedisError

from alert_threader.errors import LeaseLostError, RecordDamagedError, StoreError
from alert_threader.store.base import LEASE_TTL, Counts, Due, Lease
from alert_threader.store.redis import scripts
from alert_threader.store.redis.client import translated
from alert_threader.store.redis.commit import Committer
from alert_threader.store.redis.records import Records
from alert_threader.store.tokens import Budget
from alert_threader.threads import (
    Action,
    AlertThread,
    Applied,
    Change,
    Outcome,
    Policy,
    apply,
    begin,
    drop_at,
    expire,
    forget,
    plan,
    settle,
)

T = TypeVar("T")

#: How many times a change is tried against others that change the same thread at the same moment.
_MAX_CONFLICTS = 100
#: Threads that are changed at the same time by one process, and how long one waits for its turn, in seconds.
_TURNS = 64
_TURN_WAIT = 0.3
#: Threads that one look closes or drops, so that it takes no longer than a lease may wait.
_EXPIRE_BATCH = 200


class RedisStore:
    """The Store in Redis. Making one connects to nothing; a Redis that is away is a StoreError of each call."""

    name = "redis"
    shared = True

    def __init__(self, client: redis.Redis, prefix: str, policy: Policy, *, fails_over: bool = False) -> None:
        """Take the client, what all names begin with (no pattern's signs in it), and the rules' settings.

        ``fails_over`` says that one of Redis' replicas may take its place at any moment: then a change counts only once
        a replica has it too.
        """
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._prefix = prefix
        self._policy = policy
        self._records = Records(client, prefix)
        self._name = self._records.name
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._fails_over = fails_over
        self._committer = Committer(client, fails_over=fails_over)
        self._renew_script = client.register_script(scripts.RENEW)
        self._take_script = client.register_script(scripts.TAKE)

    # -- accepting ---------------------------------------------------------------------------------------------

    def update(self, changes: Sequence[Change], now: float) -> list[Applied]:
        """Apply the changes; see Store."""
        applied: list[Applied] = []
        damage: RecordDamagedError | None = None
        with translated():
            for each in changes:
                try:
                    applied.append(self._apply(each, now))
                except RecordDamagedError as error:
                    damage = error
        if damage is not None:
            raise damage
        return applied

    def insert(self, threads: Sequence[AlertThread], *, replace: bool) -> list[str]:
        """Store another store's threads; see Store."""
        with translated():
            return [thread.key for thread in threads if not self._insert(thread, replace=replace)]

    # -- delivering --------------------------------------------------------------------------------------------

    def claim(self, channel: str) -> Lease | None:
        """Take the channel; see Store."""
        lease = Lease(channel, uuid.uuid4().hex)
        with translated():
            taken = self._redis.set(self._name("lease", channel), lease.token, nx=True, px=int(LEASE_TTL * 1000))
        return lease if taken else None

    def renew(self, lease: Lease) -> None:
        """Hold the lease on; see Store."""
        if not self._renew(lease, int(LEASE_TTL * 1000)):
            raise LeaseLostError(f"the lease on {lease.channel} has passed to another sender")

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        self._renew(lease, 0)

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store."""
        interval = 1 / budget.rate
        allowance = max(budget.burst - 1, 0) * interval
        with translated():
            return float(self._take_script(keys=[self._name("budget", name)], args=[interval, allowance]))

    def waiting(self) -> dict[str, float]:
        """The channels with work; see Store."""
        with translated():
            found = self._records.all_actions()
        is_damaged = self._records.is_damaged
        times = {
            channel: [action.at for key, action in actions.items() if not is_damaged(key)]
            for channel, actions in found.items()
        }
        return {channel: min(at) for channel, at in times.items() if at}

    def due(self, channel: str, now: float) -> list[Due]:
        """The channel's due actions; see Store."""
        with translated():
            actions = self._records.actions([channel])[channel]
        is_damaged = self._records.is_damaged
        due = [Due(key, action) for key, action in actions.items() if action.is_due(now) and not is_damaged(key)]
        return sorted(due, key=lambda item: item.action.rank)

    def begin(self, lease: Lease, key: str, attempt_id: str, now: float) -> tuple[AlertThread, Action] | None:
        """Start a thread's next action; see Store."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, tuple[AlertThread, Action] | None]:
            begun = begin(thread, attempt_id, now, self._policy) if thread is not None else None
            return (begun[0] if begun else thread), begun

        with translated(), suppress(RecordDamagedError):
            return self._change(key, decide, lease)
        return None

    def settle(self, lease: Lease, key: str, attempt_id: str, outcome: Outcome, now: float) -> AlertThread | None:
        """Write an outcome down; see Store."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, AlertThread | None]:
            settled = settle(thread, attempt_id, outcome, now) if thread is not None else None
            return settled, settled

        with translated(), suppress(RecordDamagedError):
            return self._change(key, decide, lease)
        return None

    # -- housekeeping ------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Close stale threads and drop closed ones; see Store. Redis drops those itself, but not from the index."""
        with translated():
            self._records.look_again()  # what was repaired is told now
            over = self._redis.zrangebyscore(self._name("index"), "-inf", now, start=0, num=_EXPIRE_BATCH)
            since = now - self._policy.stale_after
            silent = self._redis.zrangebyscore(self._name("seen"), "-inf", since, start=0, num=_EXPIRE_BATCH)
            self._sweep((key.decode() for key in (*over, *silent)), lambda thread: expire(thread, now, self._policy))

    def forget(self, now: float) -> int:
        """Forget the threads; see Store."""
        with translated():
            return self._sweep((thread.key for thread in self.threads()), lambda thread: forget(thread, now))

    def read(self, key: str) -> AlertThread | None:
        """One thread; see Store."""
        with translated():
            return self._records.fetch(key)[1]

    def threads(self) -> Iterator[AlertThread]:
        """All threads; see Store."""
        with translated():
            yield from (each for each in self._records.scan() if isinstance(each, AlertThread))

    def damaged(self) -> list[str]:
        """Records that cannot be read; see Store."""
        with translated():
            return [str(each) for each in self._records.scan() if isinstance(each, RecordDamagedError)]

    def stamps(self) -> dict[str, str]:
        """Each thread's ts; see Store."""
        head = f"{self._prefix}:".encode()
        with translated():
            stamps: dict[str, str] = {}
            for names in self._records.batches(f"{self._prefix}:*"):
                values = self._redis.mget(names)
                stamps.update(
                    (name.removeprefix(head).decode(), value.decode())
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                )
        return stamps

    def counts(self, now: float) -> Counts:
        """How full the store is; see Store."""
        with translated():
            found = self._records.all_actions()
            threads = int(self._redis.zcount(self._name("index"), now, "+inf"))
            is_open = int(self._redis.zcard(self._name("seen")))
        since = [action.rank[-1] for actions in found.values() for action in actions.values()]
        return Counts(threads, len(since), min(since, default=None), is_open)

    def ping(self) -> None:
        """Check that Redis takes writes, and keeps them in a failover; see Store."""
        with translated():
            self._redis.set(self._name("ping"), 1, px=1000)
            self._committer.confirm(self._name("ping"))

    def info(self) -> dict[str, Any]:
        """Redis' own figures."""
        with translated():
            info = self._redis.info()
        names = ("redis_version", "connected_clients", "used_memory_human", "keyspace_hits", "keyspace_misses")
        return {name: info.get(name) for name in names}

    def warnings(self) -> list[str]:
        """Which records cannot be read, and what of Redis' settings does not fit a store of record."""
        with translated():
            info = self._redis.info()
            found = self._records.look_again()
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            found.append(f"Redis may evict threads (maxmemory-policy {policy}): set it to noeviction")
        if not info.get("aof_enabled") and self._setting("save") == "":
            found.append("Redis keeps nothing on disk, a restart loses all threads: set appendonly yes")
        if self._fails_over and not info.get("connected_slaves"):
            found.append("Redis has no replica now: a failover would find none, or an old one; start the replicas")
        if info.get("connected_slaves") and self._setting("min-replicas-to-write") == "0":
            found.append(
                "a failover of Redis can lose the last changes: set min-replicas-to-write 1 on each of its servers"
            )
        return found

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    # -- inside ------------------------------------------------------------------------------------------------

    def _apply(self, change: Change, now: float) -> Applied:
        # In one process they take turns: each would have to try again for every other that was faster. Nobody waits
        # long for one: where Redis hangs, each would wait for all the others' time-outs.
        turn = self._turns[hash(change.key) % len(self._turns)]
        has_turn = turn.acquire(timeout=_TURN_WAIT)
        try:
            return self._change(change.key, _applying(change, now, self._policy))
        finally:
            if has_turn:
                turn.release()

    def _sweep(self, keys: Iterable[str], change: Callable[[AlertThread], AlertThread | None]) -> int:
        """Pass these threads, but for damaged ones, through ``change``; return how many it dropped."""

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, bool]:
            kept = change(thread) if thread is not None else None
            return kept, thread is not None and kept is None

        dropped = 0
        for key in keys:
            with suppress(RecordDamagedError):
                dropped += self._change(key, decide)
        return dropped

    def _change(
        self,
        key: str,
        decide: Callable[[AlertThread | None], tuple[AlertThread | None, T]],
        lease: Lease | None = None,
    ) -> T:
        """Write what ``decide`` makes of a thread, as often as others come in between; return its word on it."""
        for _ in range(_MAX_CONFLICTS):
            rev, thread = self._records.fetch(key)
            changed, result = decide(thread)
            if lease is None and thread is not None and changed is thread:
                self._committer.confirm(self._name("ping"))  # it may be so from a change that no replica had in time
                return result
            written = self._commit(key, rev, changed, thread, lease)
            if written > 0:
                return result
            if written < 0:
                raise LeaseLostError(f"the lease on {lease.channel if lease else ''} has passed to another sender")
        raise StoreError(f"too many changes of {key} at the same moment: send it again")

    def _insert(self, thread: AlertThread, *, replace: bool) -> bool:
        def decide(before: AlertThread | None) -> tuple[AlertThread | None, bool]:
            if before is None or replace:
                return thread, True
            return before, False

        return self._change(thread.key, decide)

    def _commit(
        self, key: str, rev: bytes, thread: AlertThread | None, before: AlertThread | None, lease: Lease | None
    ) -> int:
        known = thread or before
        # A record may be gone, deleted by hand say, while its action is still listed under the sender's channel.
        channel = known.channel if known is not None else (lease.channel if lease is not None else "")
        action = plan(thread) if thread is not None else None
        at = drop_at(thread, self._policy) if thread is not None else None
        fires = thread is not None and thread.firing > 0 and thread.closed_at is None
        return self._committer.commit(
            keys=[
                self._name("record", key),
                f"{self._prefix}:{key}",
                self._name("due", channel),
                self._name("channels"),
                self._name("index"),
                self._name("seen"),
                self._name("lease", lease.channel if lease else channel),
                self._name("due", before.channel if before is not None else channel),
            ],
            args=[
                rev,
                uuid.uuid4().hex,
                msgspec.json.encode(thread) if thread is not None else "",
                (thread.ts or "") if thread is not None else "",
                msgspec.json.encode(action) if action is not None else "",
                key,
                int(at * 1000) if at is not None else "",
                thread.seen_at if thread is not None and fires else "",
                channel,
                lease.token if lease else "",
                int(LEASE_TTL * 1000),
            ],
        )

    def _renew(self, lease: Lease, ttl: int) -> bool:
        with translated():
            return bool(self._renew_script(keys=[self._name("lease", lease.channel)], args=[lease.token, ttl]))

    def _setting(self, name: str) -> str | None:
        """One of Redis' settings; None where it does not let itself be asked, as managed ones do not."""
        try:
            value = self._redis.config_get(name).get(name)
        except RedisError:
            return None
        return None if value is None else str(value)


def _applying(
    change: Change, now: float, policy: Policy
) -> Callable[[AlertThread | None], tuple[AlertThread, Applied]]:
    def decide(thread: AlertThread | None) -> tuple[AlertThread, Applied]:
        applied = apply(thread, change, now, policy)
        return applied.thread, applied

    return decide
