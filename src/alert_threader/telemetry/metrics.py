"""What happened since the start, for Prometheus and for ``/stats``.

Names follow https://prometheus.io/docs/practices/naming/. Every series is there from the start, at 0: a rate of one
that appears with its first event misses that event. No label has values from outside, so their number is bounded.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from alert_threader.errors import LeaseLostError, StoreError

# When each counter was made: a series of its own for each of them, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_PREFIX = "alert_threader"
_WEBHOOK_CODES = (200, 202, 400, 401, 413, 415, 500, 503)
_STORE_OPERATIONS = ("update", "begin", "settle", "other")
#: In seconds: from an answer out of memory to one that waited for Slack.
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: In seconds: from a quiet day to an outage of an hour.
_TOLD = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class Metrics:
    """The counters of one process, or of all workers together once they share a folder. Safe to use from any thread."""

    def __init__(self, reasons: Iterable[str] = (), calls: Mapping[str, Iterable[str]] | None = None) -> None:
        """Start at nothing.

        ``reasons`` are all that a webhook can mean for a thread, ``calls`` the methods of Slack's Web API that are
        used, each with all the outcomes that it can have.
        """
        self._registry = CollectorRegistry()
        self._folder = _shared_folder
        self._webhooks = self._counter("webhooks", "Requests to /alert by the status of their answer.", "code")
        self._webhook_seconds = self._histogram(
            "webhook_duration_seconds", "From a request to /alert to its answer; it may wait for Slack.", _FAST
        )
        self._alerts = self._counter("alerts_received", "Alerts in webhooks that were stored.", "status")
        self._duplicates = self._counter("duplicate_alerts", "Alerts received that said what was known already.")
        self._events = self._counter("events", "What a webhook meant for a thread.", "reason")
        self._calls = self._counter("slack_calls", "Calls to Slack by how they ended.", "method", "outcome")
        self._call_seconds = self._histogram(
            "slack_call_duration_seconds", "How long a call to Slack took.", _CALL, "method"
        )
        self._limited = self._counter(
            "slack_rate_limit_wait_seconds", "Seconds that Slack told us to wait (Retry-After).", "method"
        )
        self._paced = self._counter(
            "pacing_wait_seconds", "Seconds that messages waited so that Slack would not have to limit us."
        )
        self._told = self._histogram(
            "told_delay_seconds", "From the webhook that brought an event to Slack having the message.", _TOLD
        )
        self._unknown = self._counter("unknown_outcomes", "Posts whose answer was lost.")
        self._unknown_ended = self._counter(
            "unknown_outcomes_ended", "Posts looked up, also those of a killed process, by how that ended.", "result"
        )
        self._store_seconds = self._histogram(
            "store_operation_duration_seconds", "How long the store took.", _FAST, "operation"
        )
        self._store_errors = self._counter("store_errors", "Failures of the store.", "operation")
        self._started = Gauge(
            f"{_PREFIX}_start_time_seconds",
            "When the newest worker started, in seconds since the epoch.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        for code in _WEBHOOK_CODES:
            self._webhooks.labels(code)
        for status in ("firing", "resolved"):
            self._alerts.labels(status)
        for reason in reasons:
            self._events.labels(reason)
        for method, outcomes in (calls or {}).items():
            self._call_seconds.labels(method)
            self._limited.labels(method)
            for outcome in outcomes:
                self._calls.labels(method, outcome)
        for result in ("found", "not_found", "blind"):
            self._unknown_ended.labels(result)
        for operation in _STORE_OPERATIONS:
            self._store_seconds.labels(operation)
            self._store_errors.labels(operation)
        if self._folder is None:
            ProcessCollector(registry=self._registry)

    # -- counting -----------------------------------------------------------------------------------------------

    def started(self, at: float) -> None:
        """Say when this process began, in seconds since the epoch."""
        self._started.set(at)

    def webhook_answered(self, code: int, seconds: float) -> None:
        """A request to /alert got its answer."""
        self._webhooks.labels(code).inc()
        self._webhook_seconds.observe(seconds)

    def webhook_stored(self, reasons: Iterable[str], *, firing: int, resolved: int, duplicates: int) -> None:
        """A webhook was stored: what it meant for each of its threads, and how many alerts it held of each kind."""
        self._alerts.labels("firing").inc(firing)
        self._alerts.labels("resolved").inc(resolved)
        self._duplicates.inc(duplicates)
        for reason in reasons:
            self._events.labels(reason).inc()

    def slack_called(self, method: str, outcome: str, seconds: float) -> None:
        """A call to Slack ended."""
        self._calls.labels(method, outcome).inc()
        self._call_seconds.labels(method).observe(seconds)

    def rate_limited(self, method: str, seconds: float) -> None:
        """Slack told us to wait."""
        self._limited.labels(method).inc(seconds)

    def paced(self, seconds: float) -> None:
        """A message waited for our own pacing."""
        self._paced.inc(seconds)

    def told(self, delays: Iterable[float]) -> None:
        """Slack has events that came so many seconds ago."""
        for delay in delays:
            self._told.observe(max(delay, 0))

    def outcome_unknown(self) -> None:
        """Nobody knows whether Slack took a post."""
        self._unknown.inc()

    def outcome_looked_up(self, result: str) -> None:
        """Slack was asked for a post: ``found``, ``not_found``, or ``blind`` where the app may not look."""
        self._unknown_ended.labels(result).inc()

    @contextmanager
    def store(self, operation: str) -> Iterator[None]:
        """Time what the store does inside, and count it if it fails. A lease that has passed on is no failure."""
        began = perf_counter()
        try:
            yield
        except LeaseLostError:
            raise
        except StoreError:
            self.store_failed(operation)
            raise
        finally:
            self._store_seconds.labels(operation).observe(perf_counter() - began)

    def store_failed(self, operation: str = "other") -> None:
        """The store failed."""
        self._store_errors.labels(operation).inc()

    # -- showing ------------------------------------------------------------------------------------------------

    def exposition(self, gauges: Mapping[str, tuple[str, float]], version: str, python: str) -> bytes:
        """All metrics in Prometheus' text format, with some gauges of this moment: name to help and value."""
        now = CollectorRegistry()
        now.register(_Now(gauges, {"version": version, "python": python}))
        return generate_latest(self._collected()) + generate_latest(now)

    def totals(self) -> dict[str, object]:
        """The counters by name, those with labels as numbers by label; of all workers that share a folder."""
        totals: dict[str, object] = {}
        for family in self._collected().collect():
            if family.type == "counter" and family.name.startswith(_PREFIX):
                totals[family.name.removeprefix(f"{_PREFIX}_")] = _tree(family)
        return dict(sorted(totals.items()))

    def _collected(self) -> CollectorRegistry:
        # Where somebody has removed the folder, this worker's own numbers are what is left.
        if self._folder is None or not self._folder.is_dir():
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return registry

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels, registry=self._registry, buckets=buckets)


class _Now(Collector):
    """What is read at the moment of a scrape."""

    def __init__(self, gauges: Mapping[str, tuple[str, float]], build: Mapping[str, str]) -> None:
        self._gauges = gauges
        self._build = build

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        info = GaugeMetricFamily(f"{_PREFIX}_build_info", "Always 1: what is running.", labels=tuple(self._build))
        info.add_metric(tuple(self._build.values()), 1)
        yield info
        for name, (text, value) in self._gauges.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _tree(family: Metric) -> object:
    """A counter as one number, or as numbers by the values of its labels."""
    tree: dict[str, object] = {}
    for sample in family.samples:
        if not sample.labels:
            return _number(sample.value)
        *path, last = sample.labels.values()
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})  # type: ignore[assignment]
        branch[last] = _number(sample.value)
    return tree


def _number(value: float) -> float:
    return int(value) if value == int(value) else round(value, 3)


# -- several workers -------------------------------------------------------------------------------------------

#: Where the workers of one master keep their numbers, each in files of its own; None for a process that is alone.
_shared_folder: Path | None = None
#: What the files of a worker may take, in bytes.
_ROOM = 4 * 1024 * 1024


def make_folder() -> Path:
    """Make an empty folder for the numbers of a master's workers. Raises OSError."""
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    if not runtime:
        return Path(tempfile.mkdtemp(prefix="alert-threader-metrics-"))
    # systemd's is in memory, and is kept over a restart.
    folder = Path(runtime, "metrics")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def share(folder: Path) -> None:
    """Keep the numbers of the Metrics that this process makes from now on in a folder, where other workers see them.

    Raises OSError where there is no room: the files are memory, and a process that writes where the disk is full is
    killed (SIGBUS).
    """
    global _shared_folder  # noqa: PLW0603 - the library itself knows one place for a process
    # It may have been tidied away since the master made it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < _ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    _shared_folder = folder
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def drop_worker(folder: Path, pid: int) -> None:
    """Take a worker that has ended out of the gauges. What it counted still counts."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def remove_folder(folder: Path) -> None:
    """Remove the folder, when the last worker has ended."""
    shutil.rmtree(folder, ignore_errors=True)
