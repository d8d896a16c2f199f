"""Looks at the first messages as people do, all the time: which of them turn green."""

import threading
import time
from collections.abc import Callable
from typing import Self

from harness.service import CHANNEL
from harness.story import GREEN
from slack_sandbox.workspace import Workspace

#: Looks so often, in seconds.
_EVERY = 0.1
#: A change of the truth is shown at most so much later, in seconds: the service may have been killed meanwhile.
_LAG = 8.0


class ColourWatch:
    """Watches a channel from ``with`` to the end of its block."""

    def __init__(self, workspace: Workspace, fired_throughout: Callable[[str, float], bool]) -> None:
        """Take what says whether a thread's alerts fired at every moment since a time, by its key."""
        self._workspace = workspace
        self._fired_throughout = fired_throughout
        self._green: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: The threads that turned green while their alerts fired, a line each.
        self.closed_wrongly: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Look once."""
        green = {str(_key(root.metadata)) for root in self._workspace.roots(CHANNEL) if root.color == GREEN}
        now = time.time()
        for name in sorted(green - self._green):
            if self._fired_throughout(name, now - _LAG):
                self.closed_wrongly.append(f"{name} turned green at {now:.3f}, and its alerts fire")
        self._green = green

    def _watch(self) -> None:
        while not self._stopping.wait(_EVERY):
            self.look()


def _key(metadata: object) -> object:
    return metadata["event_payload"]["key"] if isinstance(metadata, dict) else ""
