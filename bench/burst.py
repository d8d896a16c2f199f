"""300 webhooks at the same moment, on as many connections, each with ten alerts of a group of its own.

Slack is without rate limits here: the plain poster could not answer otherwise. The median of the rounds counts.
"""

import statistics
from collections import defaultdict
from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import BEFORE, NOOP, PLAIN, STORES
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook

_COUNT = 300
_ROUNDS = 5


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    bodies = [webhook(f"Burst{number}", alerts=10) for number in range(_COUNT)]
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(1 if quick else _ROUNDS):
        for name in (NOOP, PLAIN, *BEFORE.values(), *STORES):
            own = folder / f"{name}-{number}"
            with processes.slack(rate_limits=False) as slack, running(name, own, slack.api_url) as contender:
                load = send(contender, bodies, connections=_COUNT)
            figures["longest"][name].append(load.longest)
            figures["p99"][name].append(load.percentile(99) / 1000)
            figures["median"][name].append(load.percentile(50) / 1000)
            figures["refused"][name].append(load.refused)
    longest, p99, median, refused = (
        {name: statistics.median(values) for name, values in figures[figure].items()}
        for figure in ("longest", "p99", "median", "refused")
    )
    of_before = {name: p99[name] / p99[before] for name, before in BEFORE.items()}
    return [
        at_most("longest answer", "s", longest, STORES, 3),
        Row("p99 of the answers", "s", p99),
        at_most("p99 of the answers, × first release", "", of_before, STORES, 0.8),
        Row("median answer", "s", median),
        at_most("not answered 2xx", "", refused, STORES, 0),
    ]
