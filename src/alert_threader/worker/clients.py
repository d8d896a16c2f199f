"""The connections of a worker, what each waits for and until when, and which one is spared first."""

import logging
import selectors
import time
from collections.abc import Callable

from alert_threader.telemetry.metrics import Refused
from alert_threader.worker.arrival import MAX_HEAD
from alert_threader.worker.connection import Connection, Waits

log = logging.getLogger(__name__)

#: How many of the largest bodies may be in memory at once, and from which size on a connection counts, in bytes: as
#: much as any connection may send for its headers.
_BODIES, _LARGE = 8, MAX_HEAD


class Clients:
    """Belongs to the loop."""

    def __init__(
        self,
        poller: selectors.BaseSelector,
        ready: Callable[[Connection], None],
        count_refused: Callable[[Refused], None],
        max_body: int,
    ) -> None:
        """Take who watches the sockets, what to call for one that is ready, and the largest body in bytes."""
        self._poller = poller
        self._ready = ready
        self._count_refused = count_refused
        self._max_body = max_body
        self._connections: set[Connection] = set()
        self._stop_at = float("inf")

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        """Take an accepted connection in."""
        self._connections.add(connection)

    def wait(self, connection: Connection, waits: Waits, until: float) -> None:
        """Watch for what a connection waits for, until a time (monotonic)."""
        self._watch(connection, waits)
        connection.deadline = min(until, self._stop_at)

    def work(self, connection: Connection) -> None:
        """Leave a connection to the thread that answers its request."""
        self._watch(connection, None)

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self._watch(connection, None)
        connection.socket.close()
        self._connections.discard(connection)

    def give_up(self, connection: Connection, reason: Refused) -> None:
        """Close a connection without an answer, so that its sender sends again: Alertmanager gives up after a 408."""
        self._count_refused(reason)
        self.drop(connection)

    def overdue(self) -> list[Connection]:
        """The connections whose clients have had their time."""
        now = time.monotonic()
        return [each for each in self._connections if each.waits and each.deadline <= now]

    def stop_at(self, until: float) -> None:
        """Let no client take longer than until a time (monotonic)."""
        self._stop_at = until
        for connection in self._connections:
            connection.deadline = min(connection.deadline, until)

    @property
    def can_make_room(self) -> bool:
        """Whether a connection can be spared."""
        return self._spare() is not None

    def make_room(self) -> bool:
        """Close the connection that can be spared first; return whether there was one."""
        connection = self._spare()
        if connection is None:
            return False
        log.warning(
            "all connections are taken: those that have waited longest are closed",
            extra={"connections": len(self), "sender": connection.sender},
        )
        self.give_up(connection, "given_way")
        return True

    def bound_memory(self, grown: Connection) -> None:
        """Where a connection has grown too large beside others, the oldest request of these that still arrives goes."""
        if grown.size <= _LARGE:
            return
        large = [each for each in self._connections if each.size > _LARGE]
        arriving = [each for each in large if each.waits is Waits.REQUEST]
        if arriving and sum(each.size for each in large) > _BODIES * self._max_body:
            oldest = min(arriving, key=lambda each: each.began)
            log.warning("too many large requests at once: the oldest is closed", extra={"sender": oldest.sender})
            self.give_up(oldest, "given_way")

    def _spare(self) -> Connection | None:
        """The one that has kept its request, or its answer, waiting longest; one that is idle only after these."""
        waiting = (each for each in self._connections if each.waits is not None)
        return min(waiting, key=lambda each: (each.waits is Waits.NEXT, each.began), default=None)

    def _watch(self, connection: Connection, waits: Waits | None) -> None:
        before, after = _events(connection.waits), _events(waits)
        if before != after:
            if before:
                self._poller.unregister(connection.socket)
            if after:
                # The loop calls it with the socket.
                self._poller.register(connection.socket, after, lambda _: self._ready(connection))
        connection.waits = waits


def _events(waits: Waits | None) -> int:
    match waits:
        case None:
            return 0
        case Waits.ANSWER_TAKEN:
            return selectors.EVENT_WRITE
        case Waits.REQUEST | Waits.NEXT | Waits.END:
            return selectors.EVENT_READ
