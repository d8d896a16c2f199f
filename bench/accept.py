"""Accepting: webhooks a second with eight connections, kept alive, and ten alerts in each body.

"New" opens a thread with each webhook, "repeated" sends the same ones again, twice. Each round starts every contender
anew, and the median of the rounds counts. Slack is without rate limits here and answers at once, or the plain poster
could not be measured at all; the service keeps to its pace (SLACK_RATE=1) all the same. With its own settings the
service lets a few answers wait for Slack; "no wait" is the same with RESPONSE_WAIT=0: what storing alone costs.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from bench import processes
from bench.load import Load, send
from bench.processes import BEFORE, FILE, FLOOR, FORMER, FORMER_REDIS, NOOP, PLAIN, REDIS, STORES
from bench.report import Row, at_least, at_most
from bench.service import running
from bench.webhooks import webhook

_CONNECTIONS = 8
_ALERTS = 10
_ROUNDS = 5
_NO_WAIT = "file, no wait"
_CONTENDERS: dict[str, tuple[str, dict[str, str]]] = {
    NOOP: (NOOP, {}),
    PLAIN: (PLAIN, {}),
    FLOOR: (FLOOR, {}),
    FORMER: (FORMER, {}),
    FILE: (FILE, {}),
    _NO_WAIT: (FILE, {"RESPONSE_WAIT": "0"}),
    FORMER_REDIS: (FORMER_REDIS, {}),
    REDIS: (REDIS, {}),
}
#: What the service with either store has to reach beside the first release.
_TIMES_BEFORE = {("new", FILE): 1.15, ("repeated", FILE): 1.25, ("new", REDIS): 1.25, ("repeated", REDIS): 1.25}

#: figure → contender → one value for each round
_Figures = Mapping[str, Mapping[str, list[float]]]


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    rounds, webhooks = (1, 200) if quick else (_ROUNDS, 1000)
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for name in _CONTENDERS:
            # The plain poster's figures need no more, and would take minutes.
            count = webhooks // 10 if name == PLAIN else webhooks
            _one(rates, name, folder / f"{name}-{number}", count)
    return [row for kind in ("new", "repeated") for row in _rows(rates, kind)]


def _one(rates: dict[str, dict[str, list[float]]], name: str, folder: Path, count: int) -> None:
    bodies = [webhook(f"Accept{number}", _ALERTS) for number in range(count)]
    warm_up = [webhook(f"WarmUp{number}", 1) for number in range(_CONNECTIONS)]
    program, settings = _CONTENDERS[name]
    with (
        processes.slack(rate_limits=False) as slack,
        running(program, folder, slack.api_url, settings) as contender,
    ):
        send(contender, warm_up, _CONNECTIONS)
        for kind, sent in (("new", bodies), ("repeated", bodies * 2)):
            before = contender.cpu_seconds
            load = send(contender, sent, _CONNECTIONS)
            cpu = (contender.cpu_seconds - before) / (len(sent) * _ALERTS) * 1000
            for figure, value in _figures(load, cpu).items():
                rates[f"{kind}: {figure}"][name].append(value)


def _figures(load: Load, cpu: float) -> dict[str, float]:
    return {
        "rate": load.rate,
        "p50": load.percentile(50),
        "p99": load.percentile(99),
        "longest": load.longest * 1000,
        "cpu": cpu,
        "refused": load.refused,
    }


def _rows(figures: _Figures, kind: str) -> list[Row]:
    rate, p50, p99, longest, cpu, refused = (
        {name: statistics.median(values) for name, values in figures[f"{kind}: {figure}"].items()}
        for figure in ("rate", "p50", "p99", "longest", "cpu", "refused")
    )
    return [
        Row(f"{kind}: accepted", "webhooks/s", rate),
        Row(f"{kind}: accepted, × no-op", "", {name: rate[name] / rate[NOOP] for name in rate}),
        at_least(f"{kind}: accepted, × floor", "", {name: rate[name] / rate[FLOOR] for name in rate}, [FILE], 0.85),
        *(
            at_least(f"{kind}: accepted, × {before}", "", {name: rate[name] / rate[before]}, [name], goal)
            for name, before in BEFORE.items()
            for goal in [_TIMES_BEFORE[kind, name]]
        ),
        Row(f"{kind}: p50", "ms", p50),
        at_most(f"{kind}: p99", "ms", p99, STORES, 50),
        Row(f"{kind}: longest", "ms", longest),
        Row(f"{kind}: processor time for 1,000 alerts", "s", cpu),
        at_most(f"{kind}: not answered 2xx", "", refused, STORES, 0),
    ]
