"""Growing threads: what it costs to add alerts to ten threads that grow, beside opening new threads with as many.

Each webhook brings alerts that are new: ten of them, or one. "New" opens a thread with each webhook. The others send to
ten threads in turn until each has 200 alerts, or 1,000, and then to ten more. All of it in the same run, with as many
webhooks, and processor time counts, of the service alone: a growing thread must not make its webhooks dear, for it is
in a storm that they come. Slack is without rate limits here and answers at once; the service keeps to its pace
(SLACK_RATE=1) all the same. Each round starts the service anew, and the median of the rounds counts.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import STORES
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook

_CONNECTIONS = 4
_GROWING = 10
_WEBHOOKS = 1000
#: Sent before, to threads of their own: the first requests of a process take longer.
_WARM_UP = 50
_ROUNDS = 3
#: How large the growing threads become, in alerts, and how many times the processor time of new threads their webhooks
#: may take.
_GOALS = {200: 1.5, 1000: 2.5}
#: How many new alerts a webhook brings.
_STEPS = (10, 1)

#: size of the threads, 0 for new ones → store → a value for each round
_Figures = Mapping[int, Mapping[str, list[float]]]


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    rows = []
    for step in _STEPS[: 1 if quick else None]:
        figures: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number in range(1 if quick else _ROUNDS):
            for store in STORES:
                for size in (0, *_GOALS):
                    own = folder / f"{store}-{step}-{size}-{number}"
                    figures[size][store].append(_one(store, own, _bodies(size, step, quick=quick)))
        rows += _rows(figures, step)
    return rows


def _bodies(size: int, step: int, *, quick: bool) -> list[bytes]:
    """Webhooks with so many new alerts each: for threads that grow to a size, or for new ones (0)."""
    if not size:
        return [webhook(f"New{number}", step) for number in range(_WEBHOOKS // (5 if quick else 1))]
    webhooks_of_ten = size // step * _GROWING
    return [
        webhook(f"Growing{thread}", step, first=first)
        for begin in range(0, max(_WEBHOOKS // webhooks_of_ten, 1) * _GROWING, _GROWING)
        for first in range(0, size // (5 if quick else 1), step)
        for thread in range(begin, begin + _GROWING)
    ]


def _one(store: str, folder: Path, bodies: list[bytes]) -> float:
    """The processor time for one of these webhooks, in ms."""
    with processes.slack(rate_limits=False) as slack, running(store, folder, slack.api_url) as contender:
        send(contender, [webhook(f"WarmUp{number}", 1) for number in range(_WARM_UP)], _CONNECTIONS)
        before = contender.cpu_seconds
        load = send(contender, bodies, _CONNECTIONS)
        assert not load.refused
        return (contender.cpu_seconds - before) / len(bodies) * 1000


def _rows(figures: _Figures, step: int) -> list[Row]:
    median = {
        size: {store: statistics.median(values) for store, values in of_size.items()}
        for size, of_size in figures.items()
    }
    many = f"{step} new alerts" if step > 1 else "1 new alert"
    rows = [Row(f"{many} in a webhook, new threads: processor time", "ms", median[0])]
    for size, limit in _GOALS.items():
        what = f"{many} in a webhook, {_GROWING} threads up to {size:,}"
        rows.append(Row(f"{what}: processor time", "ms", median[size]))
        ratio = {store: median[size][store] / median[0][store] for store in STORES}
        rows.append(at_most(f"{what}: processor time, × new", "", ratio, STORES, limit))
    return rows
