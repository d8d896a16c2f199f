"""A way to a server on which some answers get lost: the request arrives, and nobody hears what became of it."""

import http.client
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from harness.servers import HOST
from harness.serving import Serving

_LONG_AGO = "2026-01-01T00:00:00.000Z"


class LossyWay(Serving):
    """Forwards requests to a server, from ``with`` to the end of its block."""

    def __init__(self, target: str, losing: float = 0, seed: int = 0, *, ages: bool = False) -> None:
        """``losing`` is the part of the changes whose answer gets lost, from 0 to 1.

        With ``ages``, an Alertmanager behind it says that it started long ago, and so counts from the start.
        """
        handler = type(
            "Handler",
            (_Handler,),
            {"target": urlsplit(target).netloc, "way": self},
        )
        self.losing = losing
        self.ages = ages
        self.lost = 0
        self._chance = random.Random(seed)
        self._guard = threading.Lock()
        super().__init__(ThreadingHTTPServer((HOST, 0), handler))

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://{HOST}:{self.port}"

    def loses(self) -> bool:
        """Whether the next answer gets lost."""
        with self._guard:
            lost = self._chance.random() < self.losing
            self.lost += lost
            return lost


class _Handler(BaseHTTPRequestHandler):
    target: str
    way: LossyWay

    def do_GET(self) -> None:
        """Forward a request, and its answer unless that gets lost."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.target, timeout=10)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "accept")}
            connection.request(self.command, self.path, body or None, kept)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        finally:
            connection.close()
        if self.command != "GET" and self.way.loses():
            self.close_connection = True
            return
        if self.way.ages and self.path.endswith("/status"):
            text = json.dumps({**json.loads(text), "uptime": _LONG_AGO}).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base's names

    def log_message(self, *_: object) -> None:
        """Write nothing."""
