"""Ctrl-C, as something to wait for."""

import queue
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Whether the process was asked to end, while its ``with`` block runs.

    No exception then comes out of nowhere, so that nobody's clean-up is cut short.
    """

    def __init__(self) -> None:
        # Its put may interrupt anything, a get too: https://docs.python.org/3/library/queue.html#simplequeue-objects
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._asked = False
        self._former: dict[int, Any] = {}

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so many seconds, None for without end, or until the process is asked to end. Whether it is."""
        if not self._asked:
            try:
                self._signals.get(timeout=seconds)
                self._asked = True
            except queue.Empty:
                pass
        return self._asked

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)

    def __enter__(self) -> Self:
        """Take the signals."""
        self._former = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        for number, former in self._former.items():
            signal.signal(number, former)
