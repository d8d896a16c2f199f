"""One change in the file store alone, without HTTP or company, and what the disk asks for one small synced file."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from alert_threader.alertmanager import webhook as received
from alert_threader.store import SqliteStore, Threads
from alert_threader.threads import Identity, Policy, changes
from bench.load import percentile
from bench.processes import FILE
from bench.report import Row
from bench.stored import ALERTS, name_of, prepare
from bench.webhooks import ENVIRONMENT, webhook

_SIZES = (10, 1_000, 10_000)
_CHANNEL = "C0COMMIT"


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    times = 20 if quick else 100
    folder.mkdir(parents=True)
    rows = [
        Row(
            "4 kB written, synced, renamed, folder synced",
            "ms",
            {"disk": _median(times, lambda n: _replace(folder / "small", n))},
        )
    ]
    for size in _SIZES:
        path = folder / f"{size}.json"
        prepare(path, size, _CHANNEL)
        store = SqliteStore(path, Policy(), _CHANNEL, time.time())
        verbs = Threads(store, Policy())
        identity = Identity(environment=ENVIRONMENT, channel=_CHANNEL)
        sent = [changes(received.parse(_change(size, number)), identity) for number in range(times)]
        took = _median(times, lambda n, verbs=verbs, sent=sent: verbs.notify(sent[n], time.time()))  # type: ignore[misc]
        store.close()
        rows.append(Row(f"one change, {size:,} threads ({path.stat().st_size / 1e6:.1f} MB)", "ms", {FILE: took}))
    return rows


def _change(size: int, number: int) -> bytes:
    resolved = (0,) if number // size % 2 == 0 else ()
    return webhook(name_of(number % size), ALERTS, resolved=resolved)


def _replace(path: Path, number: int) -> None:
    temporary = path.with_name("small.tmp")
    with temporary.open("wb") as file:
        file.write(b"%4096d" % number)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _median(times: int, work: Callable[[int], object]) -> float:
    """The median time of a work that is done so often, in ms."""
    took = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - began)
    return percentile(took, 50) * 1000
