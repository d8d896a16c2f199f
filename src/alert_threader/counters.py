"""What happened since the start, by name."""

import threading
from collections import Counter


class Counters:
    """Counts that only rise. Safe to use from several threads."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._counts: Counter[str] = Counter()
        self._guard = threading.Lock()

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        with self._guard:
            self._counts[name] += amount

    def snapshot(self) -> dict[str, int]:
        """All counts by name, sorted."""
        with self._guard:
            return dict(sorted(self._counts.items()))
