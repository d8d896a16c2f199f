"""Socket Mode: WebSockets that the app opens, and over which it gets what people do.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import itertools
import json
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from slack_sandbox.messages import JsonObject
from slack_sandbox.people import ANSWER_WAIT, Answered

#: How many connections an app may have: the page above, "Using multiple connections".
MAX_CONNECTIONS = 10
_log = logging.getLogger("slack_sandbox.sockets")
_log.setLevel(logging.CRITICAL)


@dataclass(slots=True)
class Faults:
    """What goes wrong with connections, until it is changed."""

    ghosts: int = 0  #: connections that are counted though they are gone
    swallow: int = 0  #: how many of the next envelopes are lost on the way
    duplicate: bool = False  #: each envelope is sent over every connection
    full: bool = False  #: others have all the connections that an app may have


@dataclass(slots=True)
class _Waiting:
    answered: threading.Event = field(default_factory=threading.Event)
    payload: JsonObject | None = None


class Sockets:
    """The connections of the app. Safe to use from several threads."""

    def __init__(self, app_id: str, touch: Callable[[], int]) -> None:
        """``touch`` is called when something has changed."""
        self._app_id = app_id
        self._touch = touch
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._tickets: set[str] = set()
        self._connections: list[ServerConnection] = []
        self._cut: list[ServerConnection] = []
        self._turn = itertools.count()
        self._waiting: dict[str, _Waiting] = {}
        self.faults = Faults()
        #: How many connections were ever opened.
        self.opened = 0
        #: How many were refused, because there were too many.
        self.refused = 0

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def address(self) -> str:
        """An address for one new connection; the first one starts the server."""
        with self._lock:
            if self._server is None:
                self._server = serve(self._serve, "127.0.0.1", 0, logger=_log, close_timeout=1, compression=None)
                self._thread = threading.Thread(target=self._server.serve_forever, name="sockets", daemon=True)
                self._thread.start()
            ticket = secrets.token_hex(16)
            self._tickets.add(ticket)
            host, port = self._server.socket.getsockname()[:2]
        return f"ws://{host}:{port}/link/?ticket={ticket}&app_id={self._app_id}"

    def send(self, payload: JsonObject) -> Answered:
        """Send what somebody did over one of the connections; what the app acknowledged it with, within 3 s."""
        envelope = {
            "envelope_id": secrets.token_hex(16),
            "type": "interactive",
            "accepts_response_payload": True,
            "payload": payload,
        }
        waiting = self._waiting[str(envelope["envelope_id"])] = _Waiting()
        if self.faults.swallow > 0:
            self.faults.swallow -= 1
        else:
            for connection in self._chosen():
                self._say(connection, envelope)
        if not waiting.answered.wait(ANSWER_WAIT):
            return Answered(0)
        return Answered(200, json.dumps(waiting.payload).encode() if waiting.payload else b"")

    def end(self, how: str, which: int = 0) -> None:
        """End a connection: `close`, `cut` (silently), `refresh`, `warning`, `refresh_only`, `link_disabled`.

        Raises ValueError for anything else, IndexError where there is no such connection.
        """
        connection = self._connections[which]
        match how:
            case "close":
                self._leave(connection)
                connection.close()
            case "cut":
                # Nothing is read or answered any more, and nobody is told.
                self._cut.append(connection)
                self._leave(connection)
                connection.protocol_mutex.acquire()
            case "refresh":
                self._say(connection, self._goodbye("refresh_requested"))
                self._leave(connection)
                connection.close()
            case "refresh_only":
                self._say(connection, self._goodbye("refresh_requested"))
            case "warning" | "link_disabled":
                self._say(connection, self._goodbye(how))
            case _:
                raise ValueError(f"no way to end a connection: {how}")

    def close(self) -> None:
        """End all connections, and the server."""
        for connection in self._cut:
            connection.protocol_mutex.release()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            for connection in (*self._connections, *self._cut):
                connection.close()
        self._server = self._thread = None

    def _chosen(self) -> list[ServerConnection]:
        with self._lock:
            if not self._connections or self.faults.duplicate:
                return list(self._connections)
            return [self._connections[next(self._turn) % len(self._connections)]]

    def _serve(self, connection: ServerConnection) -> None:
        query = parse_qs(urlsplit(connection.request.path if connection.request else "").query)
        ticket = query.get("ticket", [""])[0]
        with self._lock:
            known = ticket in self._tickets
            self._tickets.discard(ticket)
            others = MAX_CONNECTIONS if self.faults.full else 0
            is_welcome = known and len(self._connections) + others < MAX_CONNECTIONS
            if is_welcome:
                self._connections.append(connection)
                self.opened += 1
        if not is_welcome:
            self.refused += 1
            self._say(connection, self._goodbye("too_many_websockets"))
            return
        hello = {
            "type": "hello",
            "num_connections": len(self._connections) + self.faults.ghosts,
            "debug_info": {"host": "sandbox", "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._app_id},
        }
        self._say(connection, hello)
        self._touch()
        try:
            for text in connection:
                self._acknowledged(json.loads(text))
        except (ConnectionClosed, ValueError):
            pass
        finally:
            self._leave(connection)

    def _leave(self, connection: ServerConnection) -> None:
        """Send nothing over a connection any more."""
        with self._lock:
            if connection in self._connections:
                self._connections.remove(connection)
        self._touch()

    def _acknowledged(self, said: JsonObject) -> None:
        waiting = self._waiting.get(str(said.get("envelope_id")))
        if waiting is not None:
            waiting.payload = waiting.payload or said.get("payload")
            waiting.answered.set()

    def _goodbye(self, reason: str) -> JsonObject:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}

    @staticmethod
    def _say(connection: ServerConnection, said: JsonObject) -> None:
        try:
            connection.send(json.dumps(said))
        except ConnectionClosed:
            return
