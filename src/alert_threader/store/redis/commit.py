"""The commit script, run so that what it wrote outlives a failover.

Redis answers before its replicas have a change, and a replica that takes its place then has never heard of it
(https://redis.io/docs/latest/commands/wait/).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError
from redis.sentinel import SentinelConnectionPool

from alert_threader.errors import StoreError
from alert_threader.store.redis import scripts
from alert_threader.store.redis.client import run
from alert_threader.store.redis.cluster import ClusterPool

#: How long a change may take to reach the replicas, in seconds: less than the client waits for an answer.
_REPLICA_WAIT = 0.5
#: A Redis that has lost replicas for so many seconds will do without, and is asked again after as many.
_ALONE = 10.0
#: A replica that was silent for longer is not waited for, in seconds; each reports once a second.
_SILENT = 2
#: One that was silent for longer is taken for lost, in seconds, as Redis itself does (min-replicas-max-lag).
_LOST = 10

#: The pools that know which Redis is the master.
_FAILING_OVER = (SentinelConnectionPool, ClusterPool)

_Address = tuple[str, int]
_Command = tuple[Any, ...]
#: The keys and the arguments of the commit script.
Change = tuple[Sequence[str], Sequence[Any]]


class Committer:
    """Runs the script. Where Redis ``fails_over``, a change counts once its replicas have it too.

    All of them, as far as they answer: whichever takes over must have it. One that takes over leaves its master at
    once, seconds before the Sentinels say so (8 s: SENTINEL_PUBLISH_PERIOD * 4 in Redis' src/sentinel.c), and what the
    old master takes until then is forgotten: so one that has just lost a replica takes nothing for a while.
    """

    def __init__(self, client: redis.Redis, probe: str, *, fails_over: bool) -> None:
        """Take the client, and a name that nothing else is kept under."""
        # redis-py's types do not say what a pipeline and a script answer.
        self._redis: Any = client
        self._probe = probe
        self._fails_over = fails_over
        self._script = client.register_script(scripts.COMMIT)
        #: The Redis that the next three speak of, as Sentinels or a cluster named it.
        self._master: _Address | None = None
        #: How many replicas there were when all was well, and how many of them are waited for.
        self._connected = 0
        self._wanted = 1
        #: Since when there are fewer, on the monotonic clock.
        self._fewer_since: float | None = None
        #: Until when Redis is taken to have none.
        self._alone_until = 0.0

    def commit(self, changes: Sequence[Change]) -> list[int]:
        """Return what the script returns for each change, after one round trip.

        Raises StoreError where a change may not outlive a failover: it may be made again. On any error some of the
        changes may have been made.
        """
        commands = [("EVALSHA", self._script.sha, len(keys), *keys, *args) for keys, args in changes]
        answers = self._run(commands)
        unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            self._redis.script_load(scripts.COMMIT)
            for number, answer in zip(unknown, self._run([commands[number] for number in unknown]), strict=True):
                answers[number] = answer
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer
        return answers

    def confirm(self) -> None:
        """Return once the replicas have all that was written before, by whomever. Raises as ``commit`` does.

        Redis waits for what the same connection has written, so something must be.
        """
        if self._waits:
            (answer,) = self._run([("SET", self._probe, 1, "PX", 1000)])
            if isinstance(answer, RedisError):
                raise answer

    @property
    def _waits(self) -> bool:
        """Whether there are replicas to wait for."""
        pool = self._redis.connection_pool
        fails_over = self._fails_over or (isinstance(pool, ClusterPool) and pool.has_replicas)
        return fails_over and time.monotonic() >= self._alone_until

    def _run(self, writes: Sequence[_Command]) -> list[Any]:
        """Write, wait for the replicas and look at them, in one round trip; return what the writes returned."""
        if not self._waits:
            return run(self._redis, writes)
        wait = ("WAIT", self._wanted, int(_REPLICA_WAIT * 1000))
        *answers, acknowledged, replication = run(self._redis, [*writes, wait, ("INFO", "replication")])
        if any(isinstance(answer, RedisError) and str(answer).startswith("NOREPLICAS") for answer in answers):
            self._check_master()
        # 0 and less: the script has changed nothing.
        if any(answer is True or (isinstance(answer, int) and answer > 0) for answer in answers):
            self._judge(acknowledged, replication)
        return answers

    def _judge(self, acknowledged: int, replication: Mapping[str, Any]) -> None:
        """Raise StoreError unless a change that so many replicas have is safe, or as safe as it can be."""
        for answer in (acknowledged, replication):
            if isinstance(answer, RedisError):
                raise answer
        pool = self._redis.connection_pool
        self._speak_of(pool.master_address if isinstance(pool, _FAILING_OVER) else None)
        connected = int(replication["connected_slaves"])
        is_fewer = connected < self._connected
        if acknowledged and not is_fewer:
            self._connected, self._fewer_since = connected, None
            wanted = max(_in_step(replication, _SILENT), 1)
            were_too_few = acknowledged < wanted and self._wanted < wanted
            self._wanted = wanted
            if were_too_few:
                self.confirm()
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
            # There is none to wait for, and an alert that is delivered is worth more than one that is refused.
            self._alone_until = now + _ALONE

    def _check_master(self) -> None:
        """Raise StoreError where Sentinels or a cluster name another master by now; the next command goes there."""
        pool = self._redis.connection_pool
        if isinstance(pool, _FAILING_OVER) and pool.get_master_address() != self._master:
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
