"""What happened since the start, for Prometheus and for ``/stats``.

Each class declares the metrics of one part of the service and counts them: a new metric is a line in its constructor
and a line in a method below it. Those of Alertmanager are in ``alertmanager_metrics``; gauges that are read at each
scrape are in ``snapshot``.

Names follow https://prometheus.io/docs/practices/naming/. Every series exists from the start, at 0: ``rate()`` misses
the first event of a series that only appears with it. No label takes values from outside, so their number is bounded.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.telemetry import multiprocess
from alert_threader.telemetry.alertmanager_metrics import AlertmanagerMetrics
from alert_threader.telemetry.declaring import PREFIX, counter, histogram
from alert_threader.telemetry.snapshot import Snapshot, SnapshotCollector
from alert_threader.telemetry.totals import totals

# Otherwise each counter gets a second series with its creation time, which nobody queries.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

StoreOperation = Literal["notify", "press", "start_attempt", "record_outcome", "other"]
#: How a look-up of an unknown outcome ended. ``unavailable``: Slack could not be asked, for lack of a scope or of
#: membership in the channel, or because too many messages came since.
LookupResult = Literal["found", "not_found", "unavailable"]
#: Why a request was refused before a route saw it. ``given_way``: all connections were taken, and this one had waited
#: longest.
Refused = Literal["invalid", "too_large", "slow", "given_way"]

#: Buckets in seconds: from an answer out of memory to one that waited for Slack.
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: From a quiet day to an outage of an hour.
_DELIVERY = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class WebhookMetrics:
    """Webhooks and the alerts in them."""

    def __init__(self, registry: CollectorRegistry, reasons: Iterable[str]) -> None:
        """``reasons`` are all that a notification can mean for a thread."""
        self._requests = counter(
            registry,
            "webhooks_total",
            "Requests to /alert, by the HTTP status of the answer.",
            code=(200, 202, 400, 401, 413, 415, 500, 503),
        )
        self._duration = histogram(
            registry,
            "webhook_duration_seconds",
            "Time to answer a request to /alert, including any wait for Slack.",
            _FAST,
        )
        self._alerts = counter(
            registry, "alerts_received_total", "Alerts in stored webhooks, by status.", status=("firing", "resolved")
        )
        self._duplicates = counter(registry, "duplicate_alerts_total", "Alerts received that changed nothing.")
        self._ignored = counter(registry, "ignored_alerts_total", "Alerts in stored webhooks that could not be read.")
        self._notifications = counter(
            registry,
            "notifications_total",
            "Notifications of threads, by what they meant; one webhook can notify several threads.",
            reason=reasons,
        )

    def answered(self, code: int, seconds: float) -> None:
        """Count a request to /alert with the status and the duration of its answer."""
        self._requests.labels(code).inc()
        self._duration.observe(seconds)

    def stored(self, reasons: Iterable[str], *, firing: int, resolved: int, duplicates: int, ignored: int) -> None:
        """Count a stored webhook: one reason for each of its threads, and its alerts by kind."""
        self._alerts.labels("firing").inc(firing)
        self._alerts.labels("resolved").inc(resolved)
        self._duplicates.inc(duplicates)
        self._ignored.inc(ignored)
        for reason in reasons:
            self._notifications.labels(reason).inc()


class PressMetrics:
    """What people press in Slack."""

    def __init__(self, registry: CollectorRegistry, actions: Iterable[str], verdicts: Iterable[str]) -> None:
        """``actions`` are what can be pressed, ``verdicts`` all that can become of a press."""
        self._presses = counter(
            registry,
            "presses_total",
            "Presses in Slack, by what was pressed and what became of it.",
            action=actions,
            verdict=verdicts,
        )
        self._unsigned = counter(
            registry,
            "unsigned_presses_total",
            "Requests to /slack/interactive that were refused for a wrong or old signature.",
        )
        self._connections = Gauge(
            f"{PREFIX}_slack_socket_connections",
            "Connections of Socket Mode that Slack counted for the app when one was opened last; 0 before the first.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def connected(self, connections: int) -> None:
        """Record how many connections of the app Slack counts."""
        self._connections.set(connections)

    def pressed(self, action: str, verdict: str) -> None:
        """Count a press."""
        self._presses.labels(action, verdict).inc()

    def unsigned(self) -> None:
        """Count a request that Slack has not signed."""
        self._unsigned.inc()


class LogMetrics:
    """The log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._dropped = counter(
            registry, "log_lines_dropped_total", "Log lines that were dropped because nobody reads the log."
        )

    def dropped(self, count: int) -> None:
        """Count lines that are written nowhere."""
        self._dropped.inc(count)


class RequestMetrics:
    """Requests that no route saw."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = counter(
            registry,
            "refused_requests_total",
            "Requests that were refused, or given up, before a route saw them, by reason.",
            reason=get_args(Refused),
        )

    def refused(self, reason: Refused) -> None:
        """Count such a request."""
        self._refused.labels(reason).inc()


class SlackMetrics:
    """Calls to Slack."""

    def __init__(self, registry: CollectorRegistry, methods: Collection[str], outcomes: Iterable[str]) -> None:
        """``methods`` are those of Slack's Web API that are used, ``outcomes`` all the ways in which a call can end."""
        self._calls = counter(
            registry, "slack_calls_total", "Calls to Slack, by method and outcome.", method=methods, outcome=outcomes
        )
        self._duration = histogram(
            registry, "slack_call_duration_seconds", "Duration of calls to Slack.", _CALL, method=methods
        )
        self._limited = counter(
            registry,
            "slack_rate_limit_wait_seconds_total",
            "Seconds that Slack has asked to wait (Retry-After).",
            method=methods,
        )
        self._paced = counter(
            registry,
            "slack_pacing_wait_seconds_total",
            "Seconds that messages waited to stay within Slack's rate limits.",
        )
        self._token_valid = Gauge(
            f"{PREFIX}_slack_token_valid",
            "0 if Slack refused the bot token when it was last checked (auth.test), otherwise 1.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        # Refused is what Slack says; before it has said anything, nothing is wrong.
        self._token_valid.set(1)
        self._token_checked = Gauge(
            f"{PREFIX}_slack_token_check_timestamp_seconds",
            "Unix time at which Slack last accepted or refused the bot token in a check; 0 before the first.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def called(self, method: str, outcome: str, seconds: float) -> None:
        """Count a call that ended."""
        self._calls.labels(method, outcome).inc()
        self._duration.labels(method).observe(seconds)

    def rate_limited(self, method: str, seconds: float) -> None:
        """Count the wait that Slack asks for."""
        self._limited.labels(method).inc(seconds)

    def token_checked(self, at: float, *, valid: bool) -> None:
        """Record what Slack says of the token, and when (seconds since the epoch)."""
        self._token_valid.set(int(valid))
        self._token_checked.set(at)

    def paced(self, seconds: float) -> None:
        """Count a wait of our own, which keeps Slack from asking for one."""
        self._paced.inc(seconds)


class DeliveryMetrics:
    """The way of events from the store into Slack."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._delay = histogram(
            registry,
            "delivery_delay_seconds",
            "Time from the webhook that brought an event until Slack had the message.",
            _DELIVERY,
        )
        self._unknown = counter(
            registry, "unknown_outcomes_total", "Posts whose outcome is unknown because Slack's answer was lost."
        )
        self._lookups = counter(
            registry,
            "outcome_lookups_total",
            "Look-ups of posts whose outcome was unknown, by result.",
            result=get_args(LookupResult),
        )

    def delivered(self, delays: Iterable[float]) -> None:
        """Record how long each delivered event took, in seconds."""
        for delay in delays:
            # The clock may have been set back meanwhile.
            self._delay.observe(max(delay, 0))

    def outcome_unknown(self) -> None:
        """Count a post that Slack may or may not have taken."""
        self._unknown.inc()

    def outcome_looked_up(self, result: LookupResult) -> None:
        """Count a look-up of such a post, also one of a process that was killed."""
        self._lookups.labels(result).inc()


class StoreMetrics:
    """Operations of the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        operations = get_args(StoreOperation)
        self._duration = histogram(
            registry,
            "store_operation_duration_seconds",
            "Duration of the store's operations.",
            _FAST,
            operation=operations,
        )
        self._errors = counter(
            registry, "store_errors_total", "Operations of the store that failed.", operation=operations
        )

    @contextmanager
    def measure(self, operation: StoreOperation) -> Iterator[None]:
        """Time the operation in the ``with`` block, and count it if it fails. A lost lease is no failure."""
        started = perf_counter()
        try:
            yield
        except LeaseLostError:
            raise
        except StoreError:
            self._errors.labels(operation).inc()
            raise
        finally:
            self._duration.labels(operation).observe(perf_counter() - started)


class Metrics:
    """The metrics of one process, or of all workers together where they share a folder. Safe to use from any thread."""

    def __init__(
        self,
        reasons: Iterable[str] = (),
        methods: Collection[str] = (),
        outcomes: Iterable[str] = (),
        *,
        actions: Iterable[str] = (),
        verdicts: Iterable[str] = (),
        causes: Iterable[str] = (),
    ) -> None:
        """Start at 0, with the values of the labels that others define: see the parts."""
        self._registry = CollectorRegistry()
        self._folder = multiprocess.shared_folder()
        self.webhooks = WebhookMetrics(self._registry, reasons)
        self.presses = PressMetrics(self._registry, actions, verdicts)
        self.alertmanager = AlertmanagerMetrics(self._registry, causes)
        self.requests = RequestMetrics(self._registry)
        self.log = LogMetrics(self._registry)
        self.slack = SlackMetrics(self._registry, methods, outcomes)
        self.delivery = DeliveryMetrics(self._registry)
        self.store = StoreMetrics(self._registry)
        self._started = Gauge(
            f"{PREFIX}_start_time_seconds",
            "Unix time at which the newest worker started.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        if self._folder is None:
            ProcessCollector(registry=self._registry)

    def started(self, at: float) -> None:
        """Record when this process started, in seconds since the epoch."""
        self._started.set(at)

    def exposition(self, snapshot: Snapshot, version: str, python: str) -> bytes:
        """All metrics in Prometheus' text format, with the gauges of this moment."""
        now = CollectorRegistry()
        now.register(SnapshotCollector(PREFIX, snapshot, {"version": version, "python": python}))
        return generate_latest(self._collected()) + generate_latest(now)

    def totals(self) -> dict[str, object]:
        """The counters by name, those with labels as numbers by label; of all workers that share a folder."""
        return totals(self._collected().collect(), PREFIX)

    def _collected(self) -> CollectorRegistry:
        # Where somebody has removed the folder, this worker's own numbers are all there is.
        if self._folder is None or not self._folder.is_dir():
            return self._registry
        registry = CollectorRegistry()
        registry.register(multiprocess.SharedCollector(self._folder))
        return registry
