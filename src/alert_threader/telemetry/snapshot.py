"""What is read at the moment of a scrape instead of being counted: gauges of the store, and which version runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def _gauge(text: str) -> Any:
    return field(default=None, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The service at this moment. Each field is a gauge of that name; None leaves it out."""

    store_up: int | None = _gauge("1 if a change could be stored at the moment of the scrape, otherwise 0.")
    store_seconds: float | None = _gauge(
        "How long the store takes to make a change durable: several of the last ones, or the one under way."
    )
    threads: int | None = _gauge("Threads in the store.")
    open_threads: int | None = _gauge("Threads with a firing alert.")
    pending_threads: int | None = _gauge("Threads with something that Slack does not show yet.")
    oldest_pending_seconds: float | None = _gauge(
        "How long the oldest pending thread has waited; 0 if none is pending."
    )


class SnapshotCollector(Collector):
    """Shows a snapshot and the build to prometheus_client."""

    def __init__(self, prefix: str, snapshot: Snapshot, build: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._snapshot = snapshot
        self._build = build

    def collect(self) -> Iterator[Metric]:
        """The gauges, and the build as labels."""
        info = GaugeMetricFamily(
            f"{self._prefix}_build_info", "The running version, as labels; always 1.", labels=tuple(self._build)
        )
        info.add_metric(tuple(self._build.values()), 1)
        yield info
        for gauge in fields(self._snapshot):
            value = getattr(self._snapshot, gauge.name)
            if value is not None:
                yield GaugeMetricFamily(f"{self._prefix}_{gauge.name}", gauge.metadata["help"], value=value)
