"""The metrics of Alertmanager: what it is asked, and what polling it shows."""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry

from alert_threader.telemetry.declaring import counter, gauge_of_one

#: What Alertmanager is asked for: what a press wants, which cluster has a new thread's alerts, and the regular poll.
AlertmanagerOperation = Literal["silence", "extend", "unsilence", "locate", "poll"]
#: How such a call can end: well, in one of its kinds of failure, or in a fault of ours.
AlertmanagerOutcome = Literal["ok", "refused", "gone", "auth", "unreachable", "fault"]


class AlertmanagerMetrics:
    """Calls to Alertmanager, and what polling it shows."""

    def __init__(self, registry: CollectorRegistry, causes: Iterable[str]) -> None:
        """``causes`` are all the ways in which an alert can end without a notification."""
        self._calls = counter(
            registry,
            "alertmanager_calls_total",
            "Calls to Alertmanager, by what was asked and how it ended.",
            operation=get_args(AlertmanagerOperation),
            outcome=get_args(AlertmanagerOutcome),
        )

        self._gone = counter(
            registry,
            "gone_alerts_total",
            "Alerts that ended without a notification and were found to be gone from Alertmanager, by how they ended.",
            cause=causes,
        )
        self._undelivered = gauge_of_one(
            registry, "alerts_undelivered", "Alerts that Alertmanager has for our receivers and that never arrived."
        )
        self._muted = gauge_of_one(
            registry, "muted_threads", "Open threads of which Alertmanager mutes every firing alert."
        )
        self._complete = gauge_of_one(
            registry,
            "alertmanager_complete_view_timestamp_seconds",
            "Unix time at which every Alertmanager cluster was last seen as a whole; 0 before the first time.",
        )

    def called(self, operation: AlertmanagerOperation, outcome: AlertmanagerOutcome) -> None:
        """Count a call that ended."""
        self._calls.labels(operation, outcome).inc()

    def gone(self, causes: Mapping[str, int]) -> None:
        """Count alerts that were found to be gone, by how they ended."""
        for cause, count in causes.items():
            self._gone.labels(cause).inc(count)

    def polled(self, undelivered: int, muted: int, complete_at: float) -> None:
        """Record what a poll of all clusters showed; ``complete_at`` is in seconds since the epoch, 0 for never."""
        self._undelivered.set(undelivered)
        self._muted.set(muted)
        self._complete.set(complete_at)
