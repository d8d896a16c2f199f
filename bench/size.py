"""What many open threads cost: memory, and the time to accept a change, at up to 10,000 threads of three alerts each.

Slack shows all of the threads already. RESPONSE_WAIT is 0: it is the store that is measured here, not the wait for
Slack. Memory is that of the service's worker, "above empty" what it has more than one that began with no thread; Redis'
own memory is not in it. The first release is restarted with as many threads in its file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import FILE, FORMER, STORES
from bench.report import Row, at_most
from bench.service import running
from bench.stored import ALERTS, name_of
from bench.webhooks import webhook

_EMPTY, _FEW, _MANY = 0, 10, 10_000
_SIZES = (_EMPTY, _FEW, 1_000, _MANY)

#: figure → number of threads → store → value
_Figures = Mapping[str, Mapping[int, dict[str, float]]]


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    requests = 100 if quick else 400
    figures: dict[str, dict[int, dict[str, float]]] = {}
    for store in STORES:
        for size in _SIZES:
            for figure, value in _one(store, folder / f"{store}-{size}", size, requests).items():
                figures.setdefault(figure, {}).setdefault(size, {})[store] = value
    with processes.slack() as slack, running(FORMER, folder / FORMER, slack.api_url, open_threads=_MANY) as former:
        figures["restart"][_MANY][FORMER] = former.restart()
    return _rows(figures)


def _one(store: str, folder: Path, size: int, requests: int) -> dict[str, float]:
    alone_requests = requests // 4
    with (
        processes.slack() as slack,
        running(store, folder, slack.api_url, {"RESPONSE_WAIT": "0"}, open_threads=size) as contender,
    ):
        idle = contender.memory
        before = contender.get("/stats")[store].get("commits", 0)
        alone = send(contender, _changes(size, range(alone_requests)), connections=1)
        load = send(contender, _changes(size, range(alone_requests, alone_requests + requests)), connections=8)
        assert not alone.refused + load.refused
        figures = {
            "memory at rest": idle,
            "memory after the load": contender.memory,
            "1 connection, p50": alone.percentile(50),
            "8 connections, p50": load.percentile(50),
            "8 connections, p99": load.percentile(99),
            "accepted": load.rate,
        }
        if store == FILE:
            commits = contender.get("/stats")[store].get("commits", 0) - before
            figures["commits per change"] = commits / (alone_requests + requests)
        figures["restart"] = contender.restart()
        return figures


def _rows(figures: _Figures) -> list[Row]:
    def above_empty(figure: str, size: int) -> dict[str, float]:
        return {store: figures[figure][size][store] - figures[figure][_EMPTY][store] for store in STORES}

    def growth(figure: str) -> dict[str, float]:
        return {store: figures[figure][_MANY][store] / figures[figure][_FEW][store] for store in STORES}

    rows = []
    for figure in ("memory at rest", "memory after the load"):
        rows.append(Row(f"{figure}, empty", "MB", figures[figure][_EMPTY]))
        rows += [
            Row(f"{figure}, {_threads(size)}, above empty", "MB", above_empty(figure, size)) for size in _SIZES[1:-1]
        ]
        rows.append(at_most(f"{figure}, {_threads(_MANY)}, above empty", "MB", above_empty(figure, _MANY), STORES, 50))
    rows += [Row(f"restart, {_threads(size)}", "s", figures["restart"][size]) for size in _SIZES]
    many = figures["restart"][_MANY]
    of_former = {FILE: many[FILE] / many[FORMER]}
    rows.append(at_most(f"restart, {_threads(_MANY)}, × {FORMER}", "", of_former, [FILE], 1))
    for figure in ("1 connection, p50", "8 connections, p50"):
        rows += [Row(f"{figure}, {_threads(size)}", "ms", figures[figure][size]) for size in _SIZES[1:]]
        rows.append(at_most(f"{figure}, {_threads(_MANY)}, × {_threads(_FEW)}", "", growth(figure), STORES, 2))
    for figure, unit in (("8 connections, p99", "ms"), ("accepted", "changes/s"), ("commits per change", "")):
        rows += [Row(f"{figure}, {_threads(size)}", unit, figures[figure][size]) for size in _SIZES[1:]]
    return rows


def _threads(count: int) -> str:
    return f"{count:,} threads"


def _changes(size: int, numbers: Iterable[int]) -> list[bytes]:
    """Webhooks that each change one of the threads in turn: an alert resolves, in the next turn it fires again."""
    turns = [divmod(number, max(size, _FEW)) for number in numbers]
    return [webhook(name_of(thread), ALERTS, resolved=(0,) if turn % 2 == 0 else ()) for turn, thread in turns]
