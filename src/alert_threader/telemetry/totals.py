"""Counters as numbers for ``/stats``."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric


def totals(families: Iterable[Metric], prefix: str) -> dict[str, object]:
    """The counters whose names start with ``prefix``, without it and in order; with labels, as numbers by label."""
    counters = [each for each in families if each.type == "counter" and each.name.startswith(prefix)]
    return dict(sorted((each.name.removeprefix(f"{prefix}_"), _tree(each)) for each in counters))


def _tree(family: Metric) -> object:
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
