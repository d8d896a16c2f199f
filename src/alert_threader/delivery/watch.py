"""Checks something every few minutes in the background, for as long as the service runs."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Watch:
    """Repeats a check. ``start`` and ``stop`` it once; neither waits for a check that is running."""

    def __init__(self, name: str, check: Callable[[], float], *, retry_after: float) -> None:
        """``check`` returns the seconds until the next one; if it raises, that is ``retry_after`` seconds."""
        self._name = name
        self._check = check
        self._retry_after = retry_after
        self._stopping = threading.Event()

    def start(self) -> None:
        """Check now, and from then on again and again."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Check no more."""
        self._stopping.set()

    def _run(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                wait = self._check()
            except Exception:
                log.exception("the check of %s failed and will be repeated", self._name)
                wait = self._retry_after
