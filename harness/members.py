"""Members of a made-up Alertmanager cluster, which say whatever a test wants to hear."""

import json
import ssl
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.servers import HOST
from harness.serving import Serving

#: What a member says of itself, unless something else is asked for.
VERSION, STARTED = "0.28.0", "2026-11-01T08:00:00.123Z"


def status(
    name: str = "",
    *peers: str,
    configuration: str = "route: {receiver: a}",
    cluster: str = "",
    uptime: str = STARTED,
) -> dict[str, Any]:
    """An answer to ``GET /api/v2/status``. Peers are names, each at an address that is made of it."""
    return {
        "cluster": {
            "name": name,
            "status": cluster or ("ready" if peers else "disabled"),
            "peers": [{"name": peer, "address": f"{peer}.example.test:9094"} for peer in peers],
        },
        "config": {"original": configuration},
        "uptime": uptime,
        "versionInfo": {"version": VERSION, "branch": "", "revision": ""},
    }


class Member(Serving):
    """A member, from ``with`` to the end of its block. Change ``says`` at any time, by path below ``/api/v2/``.

    A value is sent as JSON, bytes as they are; a tuple is a status and bytes.
    """

    def __init__(
        self,
        said: Mapping[str, Any] | None = None,
        alerts: Sequence[Mapping[str, Any]] = (),
        silences: Sequence[Mapping[str, Any]] = (),
        *,
        host: str = HOST,
        port: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Take what it says of itself and what it holds; with a context it speaks TLS."""
        self.says: dict[str, Any] = {"status": said or status(), "alerts": [*alerts], "silences": [*silences]}
        #: How far its clock is ahead of ours, in seconds.
        self.ahead = 0.0
        #: How many bytes of its answers are promised and never come.
        self.lacking = 0
        #: The Host header and the path of each request.
        self.seen: list[tuple[str, str]] = []
        super().__init__(ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"member": self})))
        if context is not None:
            # The handshake is for the thread of the connection.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._scheme = "https" if context else "http"

    @property
    def host(self) -> str:
        """Its address, without a scheme."""
        return f"{self._server.server_address[0]!s}:{self.port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://{self.host}"


class _Handler(BaseHTTPRequestHandler):
    member: Member

    def do_GET(self) -> None:
        """Say what is there by the request's path."""
        self.member.seen.append((self.headers["Host"], self.path))
        said = self.member.says.get(self.path.removeprefix("/api/v2/").partition("?")[0], (404, b""))
        code, body = said if isinstance(said, tuple) else (200, said)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) + self.member.lacking))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time on the member's clock."""
        return super().date_time_string(time.time() + self.member.ahead if timestamp is None else timestamp)

    def log_message(self, *_: Any) -> None:
        """Write nothing."""
