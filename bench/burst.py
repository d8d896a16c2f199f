"""300 webhooks at the same moment, on as many connections, each with ten alerts of a group of its own.

Slack is without rate limits here: the plain poster could not answer otherwise.
"""

from pathlib import Path

from bench import processes
from bench.load import send
from bench.processes import FILE, NOOP, PLAIN, Contender
from bench.report import Row, at_most
from bench.webhooks import webhook


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    count = 60 if quick else 300
    bodies = [webhook(f"Burst{number}", alerts=10) for number in range(count)]
    longest, median, refused = {}, {}, {}
    for name in (NOOP, PLAIN, FILE):
        with processes.slack(rate_limits=False) as slack, Contender(name, folder / name, slack.api_url) as contender:
            load = send(contender, bodies, connections=count)
        longest[name], median[name], refused[name] = load.longest, load.percentile(50) / 1000, load.refused
    return [
        at_most(f"{count} at once: longest answer", "s", longest, FILE, 3),
        Row(f"{count} at once: median answer", "s", median),
        at_most(f"{count} at once: not answered 2xx", "", refused, FILE, 0),
    ]
