"""One address before several replicas, as a load balancer gives it, which keeps an account of what it handed on."""

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.servers import HOST

#: How long a replica may take to answer, in seconds: longer than Alertmanager waits.
_ANSWERING = 15.0


class Handed(NamedTuple):
    """A webhook, when it was handed to a replica and when that ended, and the answer's status, 0 for none."""

    began: float
    ended: float
    status: int
    path: str
    #: Fingerprint and status of each alert.
    alerts: tuple[tuple[str, str], ...]

    @property
    def accepted(self) -> bool:
        """Whether a replica said that it has it."""
        return 200 <= self.status < 300


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: All groups notify at once. A request that waits here until Alertmanager has given up would arrive all the same,
    #: out of date: that is a fault of its own, which no receiver can tell from a new firing.
    request_queue_size = 1024


class Balancer:
    """Hands each webhook to one of the replicas by chance, to the next one where nobody listens.

    Of some accepted webhooks it loses the answer, so that Alertmanager sends them again.
    """

    def __init__(self, ports: Sequence[int], seed: int, losing: float) -> None:
        """Take the replicas' ports, and which part of the answers to lose."""
        self.handed: list[Handed] = []
        self._ports = list(ports)
        self._chance = random.Random(seed)
        self._losing = losing
        self._guard = threading.Lock()
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = balancer._hand_on(self.path, body)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
                """Write nothing: ``handed`` is the account."""

        self._server = _Server((HOST, 0), Handler)
        self.port: int = self._server.server_address[1]
        self._serving = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _hand_on(self, path: str, body: bytes) -> tuple[int, bytes]:
        with self._guard:
            ports = self._chance.sample(self._ports, len(self._ports))
            is_lost = self._chance.random() < self._losing
        for port in ports:
            connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWERING)
            try:
                connection.connect()
            except OSError:
                continue
            with contextlib.closing(connection):
                status, text = self._ask(connection, path, body)
            return (502, b"lost") if is_lost or not status else (status, text)
        return 502, b"nobody is there"

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
        alerts = tuple((alert["fingerprint"], alert["status"]) for alert in json.loads(body)["alerts"])
        began = time.time()
        status, text = 0, b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, text = response.status, response.read()
        with self._guard:
            self.handed.append(Handed(began, time.time(), status, path, alerts))
        return status, text
