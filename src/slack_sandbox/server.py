"""The sandbox as a server: in a test's own process (`SandboxServer`) or as a command (`serve`)."""

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from slack_sandbox.api import WORKSPACE, api
from slack_sandbox.control import control
from slack_sandbox.interactions import interactions
from slack_sandbox.pages import pages
from slack_sandbox.workspace import Settings, Workspace

#: An idle client is disconnected after this long, in seconds.
_IDLE = 60
#: How many connections may wait to be accepted.
_BACKLOG = 1024
#: How long closing waits for requests under way, in seconds.
_LAST_WORDS = 5.0


def create_sandbox(workspace: Workspace) -> Flask:
    """Return the application that serves a workspace."""
    app = Flask("slack_sandbox", static_folder=None)
    app.extensions[WORKSPACE] = workspace
    for blueprint in (api, control, interactions, pages):
        app.register_blueprint(blueprint)
    return app


class _Handler(WSGIRequestHandler):
    # One request for a connection: a dropped connection is one dropped call, and none lingers at the end.
    protocol_version = "HTTP/1.0"
    timeout = _IDLE

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time of an answer, on the workspace's clock."""
        workspace: Workspace = self.server.app.extensions[WORKSPACE]  # type: ignore[attr-defined]
        return super().date_time_string(workspace.clock() if timestamp is None else timestamp)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's signature
        """Write nothing: the calls are in the workspace's log."""


class _Server(ThreadedWSGIServer):
    """A thread for each connection; knows which are open, so that closing leaves none behind."""

    block_on_close = False

    def __init__(self, host: str, port: int, app: Flask) -> None:
        self._open: dict[socket.socket, threading.Thread] = {}
        self._open_lock = threading.Lock()
        # werkzeug ends the process if the port is taken; with a socket of ours it is an OSError.
        with socket.create_server((host, port), backlog=_BACKLOG) as listening:
            super().__init__(host, port, app, _Handler, fd=listening.fileno())

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: clients that disconnect are expected here."""

    def close_connections(self) -> None:
        """End all connections and wait for their threads."""
        with self._open_lock:
            connections = dict(self._open)
        deadline = time.monotonic() + _LAST_WORDS
        for connection, thread in connections.items():
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # closed by its own thread meanwhile
            finally:
                thread.join(max(0.0, deadline - time.monotonic()))


class SandboxServer:
    """A sandbox that listens from `with` to the end of its block.

    >>> with SandboxServer(rate_limits=False) as slack:
    ...     client = WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[])
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        clock: Callable[[], float] = time.time,
        **settings: Any,
    ) -> None:
        """Take where to listen (port 0: any free one), the clock in seconds, and fields of `Settings`."""
        self.workspace = Workspace(Settings(**settings), clock)
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen; raises OSError if the port is taken. Returns itself."""
        self._server = _Server(self._host, self._port, create_sandbox(self.workspace))
        self._port = self._server.port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and wait until every thread and socket is gone."""
        if self._server is None or self._thread is None:
            return
        self.workspace.close()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """The page's address; on this machine, where it listens on every address."""
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host
        return f"http://{host}:{self._port}/"

    @property
    def api_url(self) -> str:
        """What `WebClient` takes as its `base_url`."""
        return f"{self.url}api/"

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def serve(host: str, port: int, ready: Callable[[SandboxServer], None] | None = None) -> None:
    """Serve until the process is interrupted; `ready` is called once it listens, e.g. to print the address.

    Raises OSError if the port is taken.
    """
    with SandboxServer(port, host) as server:
        if ready is not None:
            ready(server)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
