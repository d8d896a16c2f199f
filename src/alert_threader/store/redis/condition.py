"""Whether Redis itself fits a store of record, for a person.

It is advice, so a Redis that does not let its user ask is as good as any other.
"""

from typing import Any

import redis
from redis.exceptions import ResponseError

_SHOWN = ("redis_version", "connected_clients", "used_memory_human", "keyspace_hits", "keyspace_misses")


def figures(client: redis.Redis) -> dict[str, Any]:
    """What Redis says of itself; None for what it does not say."""
    answer = _info(client) or {}
    return {name: answer.get(name) for name in _SHOWN}


def unseen(client: redis.Redis) -> list[str]:
    """The commands with which this user may not ask."""
    answers = {"INFO": _info(client), "CONFIG GET": _setting(client, "save")}
    return [command for command, answer in answers.items() if answer is None]


def unfit_settings(client: redis.Redis, *, fails_over: bool) -> list[str]:
    """What of its settings does not fit, a line each; ``fails_over`` if a replica may take its place."""
    info = _info(client)
    if info is None:
        return []
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"Redis may evict threads (maxmemory-policy {policy}): set it to noeviction")
    if not info.get("aof_enabled") and _setting(client, "save") == "":
        found.append("Redis keeps nothing on disk, a restart loses all threads: set appendonly yes")
    if fails_over and not info.get("connected_slaves"):
        found.append("Redis has no replica now: a failover would find none, or an old one; start the replicas")
    if info.get("connected_slaves") and _setting(client, "min-replicas-to-write") == "0":
        found.append(
            "a failover of Redis can lose the last changes: set min-replicas-to-write 1 on each of its servers"
        )
    return found


def _info(client: redis.Redis) -> dict[str, Any] | None:
    """What Redis says of itself; None where it does not let itself be asked."""
    try:
        answer: Any = client.info()
    except ResponseError:
        return None
    return dict(answer)


def _setting(client: redis.Redis, name: str) -> str | None:
    """One of Redis' settings; None where it does not let itself be asked, as managed ones do not."""
    try:
        answer: Any = client.config_get(name)
    except ResponseError:
        return None
    value = answer.get(name)
    return None if value is None else str(value)
