"""The commit script, run so that what it wrote outlives a failover.

Redis answers before its replicas have a change, and a replica that takes its place then has never heard of it
(https://redis.io/docs/latest/commands/wait/).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError, ResponseError
from redis.sentinel import SentinelConnectionPool

from alert_threader.errors import StoreError
from alert_threader.store.redis import scripts

#: How long a change may take to reach the replicas, in seconds: less than the client waits for an answer.
_REPLICA_WAIT = 0.5
#: A Redis that has lost replicas for so many seconds will do without, and is asked again after as many.
_ALONE = 10.0
#: A replica that was silent for longer is not waited for, in seconds: each reports once a second.
_SILENT = 2
#: One that was silent for longer is taken for lost, in seconds, as Redis itself does (min-replicas-max-lag).
_LOST = 10


_Address = tuple[str, int]


class Committer:
    """Runs the script. Where Redis ``fails_over``, a change counts once its replicas have it too.

    All of them, as far as they answer: whichever takes over must have it. One that takes over leaves its master at
    once, seconds before the Sentinels say so (8 s: SENTINEL_PUBLISH_PERIOD * 4 in Redis' src/sentinel.c), and what the
    old master takes until then is forgotten: so one that has just lost a replica takes nothing for a while.
    """

    def __init__(self, client: redis.Redis, *, fails_over: bool) -> None:
        # redis-py's types do not say what a pipeline and a script answer.
        self._redis: Any = client
        self._fails_over = fails_over
        self._script = client.register_script(scripts.COMMIT)
        #: The Redis that the next three speak of, as the Sentinels named it.
        self._master: _Address | None = None
        #: How many replicas there were when all was well, and how many of them are waited for.
        self._connected = 0
        self._wanted = 1
        #: Since when there are fewer, on the monotonic clock.
        self._fewer_since: float | None = None
        #: Until when Redis is taken to have none.
        self._alone_until = 0.0

    def commit(self, keys: Sequence[str], args: Sequence[Any]) -> int:
        """Return what the script returns, after one round trip.

        Raises StoreError where the change may not outlive a failover: it may be made again.
        """
        if not self._fails_over or time.monotonic() < self._alone_until:
            return int(self._script(keys=keys, args=args))
        try:
            return int(self._replicated("EVALSHA", self._script.sha, len(keys), *keys, *args))
        except NoScriptError:
            self._redis.script_load(scripts.COMMIT)
            return self.commit(keys, args)

    def confirm(self, name: str) -> None:
        """Return once the replicas have all that was written before, by whomever; ``name`` is a key to write.

        Redis waits for what the same connection has written, so something must be. Raises as ``commit`` does.
        """
        if self._fails_over and time.monotonic() >= self._alone_until:
            self._replicated("SET", name, 1, "PX", 1000)

    def _replicated(self, *command: Any) -> Any:
        """Write, wait for the replicas and look at them, in one round trip; return what the write returned."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.execute_command(*command)
        pipeline.execute_command("WAIT", self._wanted, int(_REPLICA_WAIT * 1000))
        pipeline.info("replication")
        try:
            written, acknowledged, replication = pipeline.execute()
        except ResponseError as error:
            if str(error).startswith("NOREPLICAS"):
                self._check_master()
            raise
        # 0 and less: the script has changed nothing.
        if written is True or written > 0:
            self._judge(acknowledged, replication)
        return written

    def _judge(self, acknowledged: int, replication: Mapping[str, Any]) -> None:
        """Raise StoreError unless a change that so many replicas have is safe, or as safe as it can be."""
        pool = self._redis.connection_pool
        self._speak_of(pool.master_address if isinstance(pool, SentinelConnectionPool) else None)
        connected = int(replication["connected_slaves"])
        is_fewer = connected < self._connected
        if acknowledged and not is_fewer:
            self._connected, self._fewer_since = connected, None
            self._wanted = max(_in_step(replication, _SILENT), 1)
            return
        self._check_master()
        if not is_fewer and _in_step(replication, _LOST):
            raise StoreError(
                "no replica of Redis has the change yet: send it again; look at the replicas if that goes on"
            )
        now = time.monotonic()
        self._fewer_since = now if self._fewer_since is None else self._fewer_since
        if now < self._fewer_since + _ALONE:
            raise StoreError("Redis has lost a replica, perhaps it takes this one's place: send it again")
        self._connected, self._wanted = connected, 1
        if not acknowledged:
            # There is none to wait for, and an alert that is told is worth more than one that is refused.
            self._alone_until = now + _ALONE

    def _check_master(self) -> None:
        """Raise StoreError where the Sentinels name another master by now; the next command goes there."""
        pool = self._redis.connection_pool
        if isinstance(pool, SentinelConnectionPool) and pool.get_master_address() != self._master:  # type: ignore[no-untyped-call]
            raise StoreError("another Redis has taken this one's place: send it again")

    def _speak_of(self, master: _Address | None) -> None:
        """Begin anew with another master: it has its own replicas."""
        if master != self._master:
            self._master = master
            self._connected, self._wanted, self._fewer_since = 0, 1, None


def _in_step(replication: Mapping[str, Any], silent: float) -> int:
    """How many replicas have all of the data and were heard of in so many seconds, by INFO replication."""
    replicas = [value for value in replication.values() if isinstance(value, dict)]
    return sum(each.get("state") == "online" and int(each.get("lag", 0)) <= silent for each in replicas)
