"""Socket Mode: an outgoing WebSocket over which Slack sends what people press.

https://docs.slack.dev/apis/events-api/using-socket-mode. The connection is made over our own road (proxy, CA, IPv6),
and a cut one is noticed by its pings: what Slack sends into a dead connection is lost, and is not sent again.
"""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from alert_threader.slack.client import app_client
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.transport import Transport

#: How often a ping is sent, and how long its answer may take, in seconds: together how long a cut connection is kept.
_PING_EVERY, _PONG_WITHIN = 1.0, 3.0
#: How long the goodbye of a connection may take, in seconds.
_GOODBYE = 1.0
#: The largest message that is read, in bytes.
_MAX_MESSAGE = 4 * 1024 * 1024

# The library logs what it receives, and addresses with their tickets.
_library_log = logging.getLogger("alert_threader.slack.websockets")
_library_log.setLevel(logging.CRITICAL)


class Goodbye(StrEnum):
    """Why a connection ends, in Slack's words where it gave any."""

    #: It will end soon; another one is to be opened.
    WARNING = "warning"
    REFRESH = "refresh_requested"
    TOO_MANY = "too_many_websockets"
    #: Socket Mode was switched off for the app.
    DISABLED = "link_disabled"
    #: It is closed, or was cut.
    CLOSED = "closed"


class Hello(NamedTuple):
    """Slack's greeting: how many connections of this app it counts, this one included."""

    connections: int


class Envelope(NamedTuple):
    """What somebody pressed, by the id that it is acknowledged by."""

    id: str
    payload: Mapping[str, Any]


Received = Hello | Envelope | Goodbye


class Socket:
    """One connection that is open. ``receive`` is for one thread, the others are for any."""

    def __init__(self, connection: ClientConnection) -> None:
        """Take the connection."""
        self._connection = connection

    def receive(self, timeout: float) -> Received | None:
        """Wait up to ``timeout`` seconds for what comes next; None where nothing came that is of interest."""
        try:
            text = self._connection.recv(timeout)
        except TimeoutError:
            return None
        except (ConnectionClosed, OSError, WebSocketException):
            return Goodbye.CLOSED
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return self._read(message) if isinstance(message, dict) else None

    def acknowledge(self, envelope_id: str, answer: Mapping[str, Any] | None = None) -> None:
        """Tell Slack that a press has arrived, and with a form, what to show. A connection that is gone is no error."""
        said = {"envelope_id": envelope_id} | ({"payload": answer} if answer is not None else {})
        with suppress(ConnectionClosed, OSError, WebSocketException):
            self._connection.send(msgspec.json.encode(said).decode())

    def close(self) -> None:
        """Say goodbye, and close it."""
        with suppress(OSError, WebSocketException):
            self._connection.close()

    def _read(self, message: Mapping[str, Any]) -> Received | None:
        match message.get("type"):
            case "hello":
                return Hello(int(message.get("num_connections") or 1))
            case "disconnect":
                reason = message.get("reason")
                return Goodbye(reason) if reason in list(Goodbye) else Goodbye.REFRESH
            case "interactive" if isinstance(message.get("payload"), dict):
                return Envelope(str(message.get("envelope_id")), message["payload"])
            case _:
                if envelope := message.get("envelope_id"):
                    self.acknowledge(str(envelope))  # of a kind that is not ours: Slack would send it again
                return None


class SocketMode:
    """Opens connections with the app-level token. Safe to use from several threads."""

    def __init__(self, app_token: str, base_url: str, timeout: float) -> None:
        """Take the token, the API's address with its final slash, and how long opening may take, in seconds."""
        self._client = app_client(app_token, base_url, timeout)
        self._timeout = timeout
        self._transport = Transport(timeout)
        self._context = ssl.create_default_context()

    def open(self) -> Socket:
        """Open a connection. Raises SlackError."""
        url = self._client.open_connection()
        target = urlsplit(url)
        if target.scheme not in ("ws", "wss") or not target.hostname:
            raise SlackError(FailureKind.TRANSIENT, "bad_address", "Slack gives no address for Socket Mode")
        is_secure = target.scheme == "wss"
        sock = self._transport.dial(target.hostname, target.port or (443 if is_secure else 80), tunnelled=is_secure)
        try:
            return Socket(
                connect(
                    url,
                    sock=sock,
                    ssl=self._context if is_secure else None,
                    server_hostname=target.hostname if is_secure else None,
                    proxy=None,  # the socket leads through it
                    compression=None,
                    open_timeout=self._timeout,
                    ping_interval=_PING_EVERY,
                    ping_timeout=_PONG_WITHIN,
                    close_timeout=_GOODBYE,
                    max_size=_MAX_MESSAGE,
                    logger=_library_log,
                    legacy=True,
                )
            )
        except (OSError, WebSocketException, ValueError) as error:
            sock.close()
            # Its text may hold the address, and so the ticket.
            text = f"no WebSocket with {target.hostname} ({type(error).__name__}): check proxy and firewall"
            raise SlackError(FailureKind.TRANSIENT, "websocket", text) from error
