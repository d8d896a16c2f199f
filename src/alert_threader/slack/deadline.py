"""The end of the time that one call may take, whatever stands still meanwhile."""

import io
import socket
import time
from typing import Any


class Deadline:
    """A call's time, which begins now. Every wait of the call asks what is left of it."""

    def __init__(self, seconds: float) -> None:
        """Take how long the call may take, in seconds."""
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, more than 0. Raises TimeoutError when the time is over."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class TimedSocket:
    """As much of a socket as ``http.client`` uses, until a deadline.

    A socket's own timeout is for one operation: a server that sends a byte a second would never exceed it.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Send everything. Raises TimeoutError and other OSErrors."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._deadline.left())
            rest = rest[self._sock.send(rest) :]

    def makefile(self, *_: Any) -> io.BufferedReader:
        """What is received, as a file. Reading it raises TimeoutError and other OSErrors."""
        return io.BufferedReader(_Received(self._sock, self._deadline))

    def close(self) -> None:
        """Leave the socket open: it is its owner's to close, when the answer has been read."""


class _Received(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)
