"""The load: sends webhooks on so many connections as fast as the answers come. A process of its own, with one thread.

Each connection is opened, is kept, and has one request under way. All bodies are made before the clock starts.
"""

import contextlib
import json
import selectors
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.processes import Contender, python
from harness.servers import HOST

#: A request that is not answered for so long has failed, in seconds.
_PATIENCE = 120.0
_READ = 65536
_HEAD = b"POST /alert HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What came of it. Times are seconds; a status of 0 is a connection that broke.

    ``busy`` is how long every connection had something to send, ``accepted`` the 2xx answers of that time: the last few
    answers, when most connections are idle, say nothing about what is possible.
    """

    statuses: dict[str, int]
    latencies: list[float]
    busy: float
    accepted: int

    @property
    def refused(self) -> int:
        """How many were not answered 2xx."""
        return sum(count for status, count in self.statuses.items() if not status.startswith("2"))

    @property
    def rate(self) -> float:
        """The accepted webhooks a second."""
        return self.accepted / self.busy

    def percentile(self, percent: int) -> float:
        """The time within which so many percent were answered, in ms."""
        return percentile(self.latencies, percent) * 1000

    @property
    def longest(self) -> float:
        """The longest time, in seconds."""
        return max(self.latencies)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def send(contender: Contender, bodies: Sequence[bytes], connections: int) -> Load:
    """Send all of these to a contender from another process."""
    given = b"\n".join(bodies)  # a body is JSON on one line
    return Load(**json.loads(python("bench.load", [str(contender.port), str(connections)], given)))


class _Connection:
    """One connection with one request under way."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.request = b""
        self.began = 0.0
        self.open()

    def open(self) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex((HOST, self.port))

    def begin(self, body: bytes, now: float) -> None:
        self.request = _HEAD % len(body) + body
        self.began = now
        self.answer = b""

    def write(self) -> bool:
        """Send what can be sent; return whether that was all."""
        self.request = self.request[self.socket.send(self.request) :]
        return not self.request

    def read(self) -> int | None:
        """Return the status once the answer is complete."""
        chunk = self.socket.recv(_READ)
        if not chunk:
            raise ConnectionResetError
        self.answer += chunk
        head, found, rest = self.answer.partition(b"\r\n\r\n")
        if not found:
            return None
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        return int(lines[0].split()[1]) if len(rest) >= length else None

    @property
    def stays(self) -> bool:
        """Whether the server keeps the connection."""
        return b"connection: close" not in self.answer.partition(b"\r\n\r\n")[0].lower()


class _Run:
    """All connections, and what came of their requests."""

    def __init__(self, port: int, bodies: Sequence[bytes]) -> None:
        self._port = port
        self._waiting = deque(bodies)
        self._statuses: dict[str, int] = {}
        self._latencies: list[float] = []
        self._accepted = 0
        self._started = self._dry_at = 0.0
        self._accepted_when_dry = 0
        self._selector = selectors.DefaultSelector()

    def all(self, connections: int) -> Load:
        """Send everything."""
        self._started = time.perf_counter()
        for _ in range(min(connections, len(self._waiting))):
            self._next(_Connection(self._port), self._started)
        while self._selector.get_map():
            ready = self._selector.select(_PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer for {_PATIENCE} s")
            for key, _ in ready:
                self._go_on(key.data)
        return Load(self._statuses, self._latencies, self._dry_at - self._started, self._accepted_when_dry)

    def _next(self, connection: _Connection, now: float) -> None:
        connection.begin(self._waiting.popleft(), now)
        self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)

    def _go_on(self, connection: _Connection) -> None:
        status: int | None = 0
        with contextlib.suppress(OSError):
            if not connection.request:
                status = connection.read()
            else:
                if connection.write():
                    self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
                status = None
        if status is not None:
            self._end(connection, status)

    def _end(self, connection: _Connection, status: int) -> None:
        now = time.perf_counter()
        self._latencies.append(now - connection.began)
        self._statuses[str(status)] = self._statuses.get(str(status), 0) + 1
        self._accepted += 200 <= status < 300
        if not self._waiting and not self._dry_at:
            self._dry_at, self._accepted_when_dry = now, self._accepted
        self._selector.unregister(connection.socket)
        if not self._waiting:
            connection.socket.close()
            return
        if not status or not connection.stays:
            connection.socket.close()
            connection.open()
        self._next(connection, now)


def main() -> None:
    """``python -m bench.load PORT CONNECTIONS``: a body a line on stdin, the result as JSON on stdout."""
    port, connections = map(int, sys.argv[1:])
    print(json.dumps(asdict(_Run(port, sys.stdin.buffer.read().split(b"\n")).all(connections))))


if __name__ == "__main__":
    main()
