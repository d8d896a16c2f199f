"""What many open threads cost: memory, and the time to accept a change, at up to 10,000 threads of three alerts each.

The threads are told already. RESPONSE_WAIT is 0: it is the store that is measured here, not the wait for Slack.
"""

from collections.abc import Iterable
from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import FILE, Contender
from bench.report import Row, at_most
from bench.stored import ALERTS, name_of, prepare
from bench.webhooks import webhook

_SIZES = (0, 10, 1_000, 10_000)


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    requests = 100 if quick else 400
    alone_requests = requests // 4
    idle, loaded, alone, p50, p99, rate, commits = {}, {}, {}, {}, {}, {}, {}
    with processes.slack() as slack:
        for size in _SIZES:
            name = f"{size:,}"
            contender = Contender(FILE, folder / str(size), slack.api_url, RESPONSE_WAIT="0")
            prepare(contender.store, size, contender.channel)
            with contender:
                idle[name] = contender.memory
                before = contender.get("/stats")["file"].get("commits", 0)
                quiet = send(contender, _changes(size, range(alone_requests)), connections=1)
                load = send(contender, _changes(size, range(alone_requests, alone_requests + requests)), connections=8)
                commits[name] = (contender.get("/stats")["file"].get("commits", 0) - before) / (
                    alone_requests + requests
                )
                loaded[name] = contender.memory
            assert not quiet.refused + load.refused
            alone[name], p50[name], p99[name], rate[name] = (
                quiet.percentile(50),
                load.percentile(50),
                load.percentile(99),
                load.rate,
            )
    sizes = [f"{size:,}" for size in _SIZES[1:]]
    few, many = sizes[0], sizes[-1]
    return [
        Row("memory at rest", "MB", idle),
        Row("memory after the load", "MB", loaded),
        at_most("memory at rest, above empty", "MB", {n: idle[n] - idle["0"] for n in sizes}, many, 60),
        at_most("memory after the load, above empty", "MB", {n: loaded[n] - loaded["0"] for n in sizes}, many, 60),
        Row("accept a change, 1 connection, p50", "ms", alone),
        Row("accept a change, 8 connections, p50", "ms", p50),
        Row("accept a change, 8 connections, p99", "ms", p99),
        at_most("1 connection, × 10 threads", "", {n: alone[n] / alone[few] for n in sizes[1:]}, many, 2),
        at_most("8 connections, × 10 threads", "", {n: p50[n] / p50[few] for n in sizes[1:]}, many, 2),
        Row("accepted", "changes/s", rate),
        Row("commits per change", "", commits),
    ]


def _changes(size: int, numbers: Iterable[int]) -> list[bytes]:
    """Webhooks that each change one of the threads in turn: an alert resolves, in the next turn it fires again."""
    turns = [divmod(number, max(size, _SIZES[1])) for number in numbers]
    return [webhook(name_of(thread), ALERTS, resolved=(0,) if turn % 2 == 0 else ()) for turn, thread in turns]
