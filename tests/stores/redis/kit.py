"""A Redis and what is done to it; every call of a store, and how it must fail."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from alert_threader.app import create_app
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.settings.settings import Settings
from alert_threader.store import Lease, Threads
from alert_threader.store.tokens import Budget
from alert_threader.threads import Applied, Change
from harness.servers import HOST, RedisServer
from tests.build import CHANNEL, NOW
from tests.stores.sending import ELSEWHERE, LANE, failed, fires

PREFIX = "threader:ts"
PASSWORD = "never-to-be-seen/:@%"
QUOTED = "never-to-be-seen%2F%3A%40%25"
BUDGET = Budget(rate=0.001, burst=2)

#: How long a webhook may wait for a Redis that is away, in seconds.
PROMPT = 2.0

#: Opens a store by its URL, as another process would.
Open = Callable[..., Threads]

#: Every call, on a thread "a" that has something pending.
CALLS: dict[str, Callable[[Threads, Lease], object]] = {
    "notify": lambda verbs, _: verbs.notify([fires("a", "2")], NOW),
    "claim": lambda verbs, _: verbs.store.claim(ELSEWHERE),
    "renew": lambda verbs, lease: verbs.store.renew(lease),
    "release": lambda verbs, lease: verbs.store.release(lease),
    "take": lambda verbs, _: verbs.store.take("posts", BUDGET),
    "arrived": lambda verbs, _: verbs.store.arrived("posts", BUDGET),
    "pending": lambda verbs, _: verbs.store.pending(),
    "due": lambda verbs, _: verbs.store.due(LANE, NOW),
    "start": lambda verbs, lease: verbs.start_attempt(lease, "a", "id", NOW),
    "record": lambda verbs, lease: verbs.record_outcome(lease, "a", "id", failed(), NOW),
    "age": lambda verbs, _: verbs.age(NOW),
    "forget": lambda verbs, _: verbs.forget(NOW),
    "read": lambda verbs, _: verbs.store.read("a"),
    "threads": lambda verbs, _: list(verbs.store.threads()),
    "damaged": lambda verbs, _: verbs.store.damaged(),
    "stamps": lambda verbs, _: verbs.store.stamps(),
    "counts": lambda verbs, _: verbs.store.counts(),
    "ping": lambda verbs, _: verbs.store.ping(),
    "info": lambda verbs, _: verbs.store.info(),
    "warnings": lambda verbs, _: verbs.store.warnings(),
}
#: Those that a Redis which only reads, or is full, cannot serve.
WRITES = ("notify", "claim", "take", "arrived", "start", "ping")


def failures_of(verbs: Threads, lease: Lease | None = None, calls: Sequence[str] = tuple(CALLS)) -> list[str]:
    """What these calls say where none of them can succeed, each within the time that a webhook may wait."""
    given = lease or Lease(LANE, "token")

    def fail(name: str) -> str:
        try:
            return failure_of(lambda: CALLS[name](verbs, given))
        except BaseException as error:
            error.add_note(name)
            raise

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(fail, calls))


def failure_of(call: Callable[[], object]) -> str:
    """What a call says that cannot succeed."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        call()
    took = time.monotonic() - began
    assert not isinstance(caught.value, LeaseLostError), "a Redis that is away says nothing about a lease"
    text = str(caught.value)
    assert took < PROMPT, f"{took:.1f} s: {text}"
    assert len(text.splitlines()) == 1
    assert 20 < len(text) < 500
    for part in (PASSWORD, QUOTED, "never-to-be-seen"):
        assert part not in text
    return text


def taken(verbs: Threads, change: Change) -> Applied:
    """Send it as Alertmanager does: again, as long as it is refused. A replica may stand still on a busy machine."""
    until = time.monotonic() + 20
    while True:
        try:
            return verbs.notify([change], NOW)[0]
        except StoreError:
            if time.monotonic() > until:
                raise


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def snapshot(client: redis.Redis) -> dict[Any, Any]:
    """All that is kept, but for what goes by itself."""
    return {name: client.dump(name) for name in client.scan_iter() if "-lease" not in str(name)}


def damage(client: redis.Redis, key: str, record: str | bytes = "{") -> None:
    """Write a record by hand, as something that no process has read yet."""
    client.hset(f"{PREFIX}-record:{key}", mapping={"thread": record, "rev": "by hand"})


class protected:  # noqa: N801 - used like a function
    """A running Redis that asks for a password."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def __enter__(self) -> RedisServer:
        self._server.start()
        with redis.Redis(port=self._server.port) as client:
            client.config_set("requirepass", PASSWORD)
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.kill()


def app_on(server: RedisServer, folder: Path) -> Flask:
    """The service on a Redis, without a Slack. Close it."""
    return create_app(
        Settings.from_environ(
            {
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_CHANNEL": CHANNEL,
                "SLACK_API_URL": f"http://{HOST}:9/api/",
                "THREAD_STORE": "redis",
                "THREAD_STORE_FILE": str(folder / "unused"),
                "REDIS_URL": server.url,
                "RESPONSE_WAIT": "0",
            }
        )
    )


def payload(name: str) -> dict[str, Any]:
    """A webhook with ten alerts of one thread."""
    alerts = [
        {"status": "firing", "labels": {"alertname": name, "severity": "critical", "instance": str(number)}}
        for number in range(10)
    ]
    return {"status": "firing", "alerts": alerts}


def count_round_trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent to Redis from now on, one item for each time that an answer is waited for."""
    trips: list[Any] = []
    sends: Any = redis.connection.AbstractConnection.send_packed_command

    def counting(connection: Any, command: Any, **options: Any) -> None:
        trips.append(command)
        sends(connection, command, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", counting)
    return trips


def count_received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each answer of Redis has from now on, for texts."""
    sizes: list[int] = []
    reads: Any = redis.connection.AbstractConnection.read_response

    def counting(connection: Any, *args: Any, **options: Any) -> Any:
        answer = reads(connection, *args, **options)
        sizes.append(sum(map(len, filter(None, answer))) if isinstance(answer, list) else len(answer or b""))
        return answer

    monkeypatch.setattr(redis.connection.AbstractConnection, "read_response", counting)
    return sizes
