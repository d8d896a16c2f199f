"""One change in the Redis store alone, at up to 10,000 threads stored: it must not cost more where more are stored."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from redis.connection import Connection

from alert_threader.alertmanager import webhook as received
from alert_threader.store import RedisStore, Threads
from alert_threader.store.redis.client import connect
from alert_threader.threads import Change, Identity, Policy, changes
from bench import processes
from bench.load import percentile
from bench.report import Row, at_most
from bench.stored import delivered
from bench.webhooks import ENVIRONMENT, webhook

_SIZES = (10, 1_000, 10_000)
_CHANNEL = "C0REDIS"
_ALERTS = 10


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    times = 50 if quick else 500
    took: dict[str, float] = {}
    trips: dict[str, float] = {}
    with processes.redis(folder) as url, closing(RedisStore(connect(url), "bench", Policy())) as store:
        verbs, stored = Threads(store, Policy()), 0
        for size in _SIZES:
            verbs.insert([delivered(number, _CHANNEL) for number in range(stored, size)], replace=True)
            stored = size
            verbs.notify([_change("WarmUp")], time.time())
            took[f"{size:,}"] = percentile(list(_timed(verbs, size, times)), 50) * 1000
            trips[f"{size:,}"] = _round_trips(verbs, size)
    few, many = f"{_SIZES[0]:,}", f"{_SIZES[-1]:,}"
    return [
        Row(f"a webhook of {_ALERTS} alerts for one thread, by threads stored", "ms", took),
        at_most("the same, × 10 threads", "", {name: took[name] / took[few] for name in took}, [many], 1.5),
        at_most("round trips", "", trips, [many], 2),
    ]


def _change(name: str) -> Change:
    identity = Identity(environment=ENVIRONMENT, channel=_CHANNEL)
    return changes(received.parse(webhook(name, _ALERTS)), identity)[0]


def _timed(verbs: Threads, size: int, times: int) -> Iterator[float]:
    for number in range(times):
        change = _change(f"New{size}x{number}")
        began = time.perf_counter()
        verbs.notify([change], time.time())
        yield time.perf_counter() - began


def _round_trips(verbs: Threads, size: int) -> int:
    """How many times something was sent to Redis and its answer awaited."""
    with patch.object(
        Connection, "send_packed_command", autospec=True, side_effect=Connection.send_packed_command
    ) as sent:
        verbs.notify([_change(f"Counted{size}")], time.time())
        return sent.call_count
