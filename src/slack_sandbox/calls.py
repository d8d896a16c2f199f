"""The log of calls: what was asked for, in order, and what became of it. It holds no token and no text."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

#: The outcome of a call that has not been answered yet.
IN_FLIGHT = "in_flight"
#: How many calls are kept; the oldest are dropped first.
KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the Web API."""

    n: int  #: counts from 1
    time: float  #: when it arrived, in seconds since 1970
    method: str
    channel: str = ""
    thread_ts: str | None = None  #: the thread it asked for
    outcome: str = IN_FLIGHT  #: "ok", Slack's error code, "http 503", "garbage" or "dropped"
    accepted: bool = False  #: whether it changed a message
    ts: str | None = None  #: the message it made or changed
    duration: float = 0.0  #: seconds until the answer was ready

    def as_json(self) -> dict[str, object]:
        """Return the call as the control API shows it."""
        return asdict(self)


class CallLog:
    """The calls so far, oldest first."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        """Take the clock, and what to do when the log has changed."""
        self._clock = clock
        self._changed = changed
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, method: str, channel: str, thread_ts: str | None) -> Call:
        """Enter a call that has just arrived."""
        with self._lock:
            self._count += 1
            call = Call(self._count, self._clock(), method, channel, thread_ts)
            self._calls.append(call)
        self._changed()
        return call

    def record(self, call: Call, outcome: str, *, accepted: bool = False, ts: str | None = None) -> None:
        """Write down what became of a call, before its client can know it."""
        now = replace(call, outcome=outcome, accepted=accepted, ts=ts, duration=self._clock() - call.time)
        with self._lock:
            index = len(self._calls) - 1 - (self._count - call.n)
            # Calls are forgotten, by reset too, while they are under way.
            if 0 <= index < len(self._calls) and self._calls[index].n == call.n:
                self._calls[index] = now
        self._changed()

    def all(self, method: str | None = None, channel: str | None = None) -> list[Call]:
        """Return the calls, oldest first; only those of a method or a channel if one is named."""
        with self._lock:
            calls = list(self._calls)
        return [c for c in calls if method in {None, c.method} and channel in {None, c.channel}]

    def clear(self) -> None:
        """Forget all calls; the count goes on."""
        with self._lock:
            self._calls.clear()
        self._changed()
