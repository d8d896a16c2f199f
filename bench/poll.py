"""Polling a real Alertmanager that holds 10,000 alerts, all of them in open threads.

How long one poll takes, and what it costs those who send webhooks meanwhile: the same webhooks, with polls and without.
"""

import http.client
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alert_threader.alertmanager.api import Alertmanager as Api
from alert_threader.alertmanager.model import Login
from alert_threader.alertmanager.webhook import parse
from alert_threader.delivery.reconciler import Reconciler
from alert_threader.store import SqliteStore, Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import Gone, Identity, Policy, changes
from bench import processes
from bench.load import Load, send
from bench.processes import FILE
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import ENVIRONMENT, labels, webhook
from harness.alertmanager import Alertmanager

_CHANNEL = "C0BENCH01"
_ALERTS = 10
_CONNECTIONS = 8
_POLLED, _NOT = "polled", "not polled"
#: Every 30 s in a service that is set up as it comes; in a short measurement more often.
_EVERY = "10s"
_ROUNDS = 3
_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    threads = 100 if quick else 1000
    folder.mkdir(parents=True)
    with _holding(folder / "alertmanager", threads) as url:
        took = _one_poll(folder, url, threads)
        latencies: dict[str, list[Load]] = {_POLLED: [], _NOT: []}
        for number in range(1 if quick else _ROUNDS):
            for name, loads in latencies.items():
                settings = {"ALERTMANAGER_URL": url, "RECONCILE_EVERY": _EVERY} if name == _POLLED else {}
                loads.append(_load(folder / f"{name}{number}".replace(" ", ""), settings, threads, quick=quick))
    times = {name: statistics.median(load.percentile(50) for load in loads) for name, loads in latencies.items()}
    slow = {name: statistics.median(load.percentile(99) for load in loads) for name, loads in latencies.items()}
    return [
        at_most(f"one poll of {threads * _ALERTS:,} alerts in {threads:,} threads", "s", {_POLLED: took}, [_POLLED], 1),
        Row("a webhook meanwhile, p50", "ms", times),
        at_most("a webhook meanwhile, p50, × not polled", "", _ratio(times), [_POLLED], 1.2),
        Row("a webhook meanwhile, p99", "ms", slow),
        at_most("a webhook meanwhile, p99, × not polled", "", _ratio(slow), [_POLLED], 1.2),
    ]


def _ratio(values: dict[str, float]) -> dict[str, float]:
    return {_POLLED: values[_POLLED] / values[_NOT]}


def _bodies(threads: int) -> list[bytes]:
    return [webhook(f"Polled{number}", _ALERTS) for number in range(threads)]


@contextmanager
def _holding(folder: Path, threads: int) -> Iterator[str]:
    """The URL of an Alertmanager that holds the alerts of so many threads."""
    alertmanager = Alertmanager(folder, _CONFIG)
    try:
        for number in range(threads):
            _push(alertmanager.url, [labels(f"Polled{number}", each, "critical") for each in range(_ALERTS)])
        yield alertmanager.url
    finally:
        alertmanager.stop()


def _push(url: str, alerts: Sequence[dict[str, str]]) -> None:
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    body = json.dumps([{"labels": each, "annotations": {"summary": "x" * 200}, **times} for each in alerts])
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    with closing(connection):
        connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200


def _one_poll(folder: Path, url: str, threads: int) -> float:
    """The seconds that one poll takes, the median of five. The first one, which locates all alerts, does not count."""
    store = SqliteStore(folder / "threads.json", Policy(), _CHANNEL, time.time())
    with closing(store):
        verbs = Threads(store, Policy())
        identity = Identity(environment=ENVIRONMENT, channel=_CHANNEL)
        for body in _bodies(threads):
            verbs.notify(changes(parse(body), identity), time.time())
        poller = Reconciler([Api([url], Login())], verbs, lambda _: None, Metrics(causes=Gone).alertmanager)
        took = []
        for _ in range(6):
            began = time.perf_counter()
            poller.poll()
            took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def _load(folder: Path, settings: dict[str, str], threads: int, *, quick: bool) -> Load:
    """Repeats for all threads, sent on eight connections."""
    bodies = _bodies(threads)
    with (
        processes.slack(rate_limits=False) as slack,
        running(FILE, folder, slack.api_url, {"RESPONSE_WAIT": "0", **settings}) as contender,
    ):
        send(contender, bodies, _CONNECTIONS)
        return send(contender, bodies * (5 if quick else 20), _CONNECTIONS)
