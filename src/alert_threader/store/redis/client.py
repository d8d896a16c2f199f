"""How Redis is reached, and what its errors mean for a person."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from alert_threader.errors import StoreError
from alert_threader.store.redis.cluster import ClusterPool

#: A webhook is answered within 2 s even where Redis does not answer at all, in seconds.
_CONNECT_TIMEOUT = 0.8
_TIMEOUT = 1.0

#: How Redis says that a script does something that its user may not do (src/script.c, scriptCall).
_SCRIPT_MAY_NOT = "The user executing the script can't"
_DOCUMENTED = 'the commands that docs/stores.md names under "A Redis user of its own"'


def connect(url: str, sentinels: Sequence[tuple[str, int]] = (), master: str = "", prefix: str = "") -> redis.Redis:
    """A client with short timeouts that never repeats a command by itself; nothing is connected yet.

    With ``sentinels`` (host and port of each) and the ``master``'s name, they say where Redis is; user, password,
    database and TLS options are still those of the URL. Where the ``prefix`` of all names has a hash tag, Redis may be
    in cluster mode. Raises StoreError for a URL that is none.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_TIMEOUT,
        "socket_timeout": _TIMEOUT,
        # redis-py repeats a command up to ten times otherwise, increments too, and keeps the webhook waiting.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    try:
        if not sentinels:
            client = redis.Redis.from_url(url, **options)
            client.connection_pool.make_connection()  # reads the URL's options; connects to nothing
            if "{" not in prefix or url.startswith("unix://"):
                return client
        named: dict[str, Any] = redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
        if not sentinels:
            return redis.Redis.from_pool(ClusterPool(prefix, {**named, **options}))
        tls = {name: value for name, value in named.items() if name.startswith("ssl_")}
        if url.startswith("rediss://"):
            tls["ssl"] = True
        login = {name: named[name] for name in ("username", "password", "db") if name in named}
        # They are asked one after the other, and all of them together must not take longer than Redis itself may.
        asked = {
            **options,
            **tls,
            **dict.fromkeys(("socket_connect_timeout", "socket_timeout"), _TIMEOUT / len(sentinels)),
        }
        watchers: Any = Sentinel(list(sentinels), sentinel_kwargs=asked, **options, **login, **tls)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", watchers.master_for(master))
    except (ValueError, TypeError) as error:
        raise StoreError(f"REDIS_URL cannot be used: {error}") from error


@contextmanager
def translated(prefix: str) -> Iterator[None]:
    """Turn what redis-py raises inside into a StoreError that says what to do; all names begin with ``prefix``."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreError(_advice(error, prefix)) from error


def run(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The answers to commands that are sent together, in one round trip; an error of Redis stands in its place."""
    if len(commands) == 1:
        try:
            return [client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def _advice(error: BaseException, prefix: str) -> str:
    # Behind "script:" is where in our script it happened.
    text = str(error).partition(" script: ")[0].strip() or type(error).__name__
    if isinstance(error, redis.sentinel.MasterNotFoundError):
        # Behind the colon is how each of them was asked.
        known = str(error).partition(" : ")[0]
        return f"the Sentinels do not lead to Redis ({known}): check REDIS_SENTINELS and REDIS_SENTINEL_MASTER"
    if isinstance(error, redis.exceptions.AuthenticationError):
        return f"Redis refuses the login: correct user and password in REDIS_URL ({text})"
    if isinstance(error, redis.exceptions.NoPermissionError) or text.startswith(_SCRIPT_MAY_NOT):
        return f"Redis does not let the user in REDIS_URL do this ({text}): give it ~{prefix}* and {_DOCUMENTED}"
    if isinstance(error, redis.exceptions.TimeoutError):
        return f"Redis does not answer: check that it runs and is not overloaded ({text})"
    if isinstance(error, redis.exceptions.ConnectionError | OSError):
        return f"Redis cannot be reached: check that it runs, REDIS_URL and the network ({text})"
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return f"Redis is full: give it more memory ({text})"
    if isinstance(error, redis.exceptions.ClusterDownError):
        return f"the cluster of Redis is down: look at its servers ({text})"
    if isinstance(error, redis.exceptions.AskError | redis.exceptions.ClusterCrossSlotError):
        return (
            f"Redis is in cluster mode: set REDIS_KEY_PREFIX={_tagged(prefix)}, whose braces keep all keys in one slot"
        )
    if "not allowed in cluster mode" in text:
        return f"Redis is in cluster mode, which has database 0 only: end REDIS_URL in /0 ({text})"
    return f"Redis refuses: {text}"


def _tagged(prefix: str) -> str:
    head, colon, tail = prefix.partition(":")
    return f"{{{head or 'threader'}}}{colon}{tail}"
