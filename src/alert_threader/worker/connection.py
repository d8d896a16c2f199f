"""One client's connection: its bytes in both directions, and what it waits for. Only ``stay`` waits itself."""

import enum
import errno
import os
import socket
import struct
import time
from typing import Any

from alert_threader.worker.arrival import Arrival

#: The most that is received at once, in bytes.
_PIECE = 64 * 1024
#: How long a thread stays with a connection for its next request: 20 ms, as the kernel takes it (a `struct timeval`).
_STAY = struct.pack("ll", 0, 20_000)


class Waits(enum.Enum):
    """What a connection waits for, of its client."""

    REQUEST = "the rest of a request"
    NEXT = "another request, or none"
    ANSWER_TAKEN = "the answer to be taken"
    END = "the client to close its end"


class Connection:
    """Belongs to the loop while it waits, and to one thread while a request is answered."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, max_body: int) -> None:
        """Take an accepted socket with the addresses of both ends, and the largest body in bytes."""
        # Each call says for itself that it does not wait (MSG_DONTWAIT). To change it each time would cost a system
        # call and a hand-over of the interpreter's lock.
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _STAY)
        self._cfg = cfg
        self._max_body = max_body
        self._received = bytearray()
        self._requests = 1
        self._arrival = Arrival(cfg, client, self._requests, max_body)
        self.socket = sock
        #: gunicorn's names: whose connection it is, and in place of the socket what collects the answer.
        self.client = client
        self.server = server
        self.sock = Answer()
        #: What it waits for and until when (monotonic); None while a request is answered.
        self.waits: Waits | None = None
        self.deadline = 0.0
        #: When this request began to arrive; before its first byte, when it could have (monotonic).
        self.began = time.monotonic()
        #: Whether it ends with the answer.
        self.closing = False
        #: Whether the client has closed it.
        self.gone = False

    @property
    def sender(self) -> str:
        """Who it is, for the log."""
        return str(self.client[0] if isinstance(self.client, tuple) else self.client or "unix socket")

    @property
    def has_begun(self) -> bool:
        """Whether anything of the next request is there."""
        return bool(self._received) or self.has_head

    @property
    def has_head(self) -> bool:
        """Whether the next request's head is there."""
        return self._arrival.request is not None

    @property
    def is_new(self) -> bool:
        """Whether no request was answered yet."""
        return self._requests == 1

    @property
    def size(self) -> int:
        """How many bytes it keeps in memory."""
        return len(self._received) + self._arrival.size + len(self.sock)

    def receive(self, flags: int = socket.MSG_DONTWAIT) -> None:
        """Take what has arrived."""
        try:
            piece = self.socket.recv(_PIECE, flags)
        except BlockingIOError:
            return
        except OSError:
            self.gone = True
            return
        if not self.has_begun:
            self.began = time.monotonic()
        self._received += piece
        if not piece and self.has_head:
            # Cut off. The sender may still read what is wrong with its request.
            self._arrival.cut_off(self._received)
        else:
            self.gone = not piece

    def stay(self) -> None:
        """Take what arrives within ``STAY``: the one call that waits, for a thread. The kernel keeps the time."""
        self.receive(flags=0)

    def take(self) -> bool:
        """Whether a whole request is there. Raises what ``Arrival.take`` raises."""
        had_head = self.has_head
        whole = self._arrival.take(self._received)
        if self.has_head and not had_head:
            self._go_on(whole=whole)
        return whole

    def begin(self) -> Any:
        """The request that is to be answered; what arrives from now on belongs to the next one."""
        request = self._arrival.request
        self._requests += 1
        self._arrival = Arrival(self._cfg, self.client, self._requests, self._max_body)
        self.began = time.monotonic()
        return request

    def send(self) -> bool:
        """Send as much of the answer as the client takes at once; return whether that is all of it."""
        try:
            return self.sock.send_to(self.socket)
        except OSError:
            self.gone = True
            return True

    def end(self) -> None:
        """Say that nothing more comes, and leave our end open: closed over unread bytes, it would cost the answer."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.gone = True

    def discard(self) -> None:
        """Read, after the end, what nobody needs."""
        self.receive()
        self._received.clear()

    def _go_on(self, *, whole: bool) -> None:
        """Answer ``Expect: 100-continue`` here: gunicorn would say it only once the body is there."""
        request = self._arrival.request
        expected = request._expected_100_continue  # noqa: SLF001 - gunicorn has no other name for it
        request._expected_100_continue = False  # noqa: SLF001
        if expected and not whole:
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.send()


class Answer:
    """What goes to the client, in place of the socket that gunicorn writes to.

    It is collected and sent in one piece, and a client that does not take it keeps no thread.
    """

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def sendall(self, data: bytes) -> None:
        """Add to what is to be sent."""
        self._data += data

    def discard(self) -> None:
        """Forget it."""
        self._data.clear()

    def shutdown(self, _how: int) -> None:
        """Called by gunicorn after an answer that failed half-way; it would linger where this raised no OSError."""
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def close(self) -> None:
        """Called by gunicorn as ``shutdown`` is: half an answer is none."""
        self.discard()

    def send_to(self, sock: socket.socket) -> bool:
        """Send what goes at once; return whether that is all. Raises OSError where the client is gone."""
        if self._data:
            try:
                sent = sock.send(self._data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            del self._data[:sent]
        return not self._data
