"""300 webhooks at the same moment, on as many connections, each with ten alerts of a group of its own.

Slack is without rate limits here: the plain poster could not answer otherwise. It is the same with and without --quick.
"""

from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import NOOP, PLAIN, STORES
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook

_COUNT = 300


def measure(folder: Path, *, quick: bool) -> list[Row]:  # noqa: ARG001 - smaller, it would not be a burst
    """Return the rows."""
    bodies = [webhook(f"Burst{number}", alerts=10) for number in range(_COUNT)]
    longest, median, refused = {}, {}, {}
    for name in (NOOP, PLAIN, *STORES):
        with processes.slack(rate_limits=False) as slack, running(name, folder / name, slack.api_url) as contender:
            load = send(contender, bodies, connections=_COUNT)
        longest[name], median[name], refused[name] = load.longest, load.percentile(50) / 1000, load.refused
    return [
        at_most("longest answer", "s", longest, STORES, 3),
        Row("median answer", "s", median),
        at_most("not answered 2xx", "", refused, STORES, 0),
    ]
