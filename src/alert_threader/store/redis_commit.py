"""The commit script, run so that what it wrote outlives a failover.

Redis answers before its replicas have a change, and a replica that takes its place then has never heard of it
(https://redis.io/docs/latest/commands/wait/).
"""

import time
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError
from redis.sentinel import SentinelConnectionPool

from alert_threader.errors import StoreError
from alert_threader.store import scripts

#: How long a change may take to reach a replica, in seconds: less than the client waits for an answer.
_REPLICA_WAIT = 0.5
#: A Redis that has no replica for so many seconds will do without, and is asked again after as many.
_ALONE = 10.0
#: A replica that was silent for longer is taken for lost, in seconds, as Redis itself does (min-replicas-max-lag).
_MAX_LAG = 10


class Committer:
    """Runs the script. Where Redis ``fails_over``, a change counts once a replica has it too."""

    def __init__(self, client: redis.Redis, *, fails_over: bool) -> None:
        # redis-py's types do not say what a pipeline and a script answer.
        self._redis: Any = client
        self._fails_over = fails_over
        self._script = client.register_script(scripts.COMMIT)
        #: Since when no replica is seen, and until when Redis is taken to have none, on the monotonic clock.
        self._alone_since: float | None = None
        self._alone_until = 0.0

    def commit(self, keys: Sequence[str], args: Sequence[Any]) -> int:
        """Return what the script returns, after one round trip.

        Raises StoreError where Redis has replicas in step and none of them has the change in time: it may be made
        again.
        """
        if not self._fails_over or time.monotonic() < self._alone_until:
            return int(self._script(keys=keys, args=args))
        master = self._master()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.evalsha(self._script.sha, len(keys), *keys, *args)
        pipeline.execute_command("WAIT", 1, int(_REPLICA_WAIT * 1000))
        try:
            written, replicas = pipeline.execute()
        except NoScriptError:
            self._redis.script_load(scripts.COMMIT)
            return self.commit(keys, args)
        if written > 0:
            self._judge(replicas, master)
        return int(written)

    def confirm(self, name: str) -> None:
        """Return once a replica has all that was written before, by whomever; ``name`` is a key to write.

        Redis waits for what the same connection has written, so something must be. Raises as ``commit`` does.
        """
        if not self._fails_over or time.monotonic() < self._alone_until:
            return
        master = self._master()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(name, 1, px=1000)
        pipeline.execute_command("WAIT", 1, int(_REPLICA_WAIT * 1000))
        _, replicas = pipeline.execute()
        self._judge(replicas, master)

    def _master(self) -> tuple[str, int] | None:
        """The Redis that the next command goes to, as the Sentinels said; None where nobody has asked them yet."""
        pool = self._redis.connection_pool
        return pool.master_address if isinstance(pool, SentinelConnectionPool) else None

    def _judge(self, replicas: int, master: tuple[str, int] | None) -> None:
        """Raise StoreError unless a change is safe in so many replicas of this master, or is as safe as it can be."""
        if replicas:
            self._alone_since = None
            return
        # One that was replaced loses its replicas seconds before anybody says so (8 s: SENTINEL_PUBLISH_PERIOD * 4 in
        # Redis' src/sentinel.c), and forgets what it takes until then.
        if master is not None and self._redis.connection_pool.get_master_address() != master:
            self._alone_since = None
            raise StoreError("another Redis has taken this one's place: send it again")
        if any(map(_is_in_step, self._redis.info("replication").values())):
            raise StoreError(
                "no replica of Redis has the change yet: send it again; look at the replicas if that goes on"
            )
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        if now < self._alone_since + _ALONE:
            raise StoreError("Redis has lost its replicas, perhaps another takes its place: send it again")
        # There is none to wait for, and an alert that is told is worth more than one that is refused.
        self._alone_until = now + _ALONE


def _is_in_step(value: Any) -> bool:
    """Whether an entry of INFO replication is a replica that has all of the data and was heard of a moment ago."""
    return isinstance(value, dict) and value.get("state") == "online" and int(value.get("lag", 0)) <= _MAX_LAG
