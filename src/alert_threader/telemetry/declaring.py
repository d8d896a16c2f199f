"""Declares metrics so that every series exists from the start."""

from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: What all of our metrics begin with.
PREFIX = "alert_threader"


def counter(registry: CollectorRegistry, name: str, text: str, **labels: Iterable[object]) -> Counter:
    """Declare a counter with all values of its labels."""
    counter = Counter(f"{PREFIX}_{name}", text, tuple(labels), registry=registry)
    if labels:
        for values in product(*labels.values()):
            counter.labels(*values)
    return counter


def histogram(
    registry: CollectorRegistry, name: str, text: str, buckets: tuple[float, ...], **labels: Iterable[object]
) -> Histogram:
    """Declare a histogram with all values of its labels."""
    histogram = Histogram(f"{PREFIX}_{name}", text, tuple(labels), registry=registry, buckets=buckets)
    if labels:
        for values in product(*labels.values()):
            histogram.labels(*values)
    return histogram


def gauge_of_one(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    """Declare a gauge that one of several workers sets; in the others it is 0."""
    return Gauge(f"{PREFIX}_{name}", text, registry=registry, multiprocess_mode="livemax")
