"""A proxy before a Redis, which can act at the moment between a command's effect and its answer."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from harness.servers import HOST

_CHUNK = 1 << 20
#: Redis' answer to a script that it does not know yet: the client sends it again, in full.
_NO_SCRIPT = b"-NOSCRIPT"


class Proxy:
    """Hands everything through, but for the answer to the request that ``once`` names."""

    def __init__(self, port: int) -> None:
        """Take the port of the server on 127.0.0.1."""
        self._target = port
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        #: How much later each answer comes, in seconds.
        self.delay = 0.0
        self._guard = threading.Lock()
        self._parts: tuple[bytes, ...] = ()
        self._act: Callable[[], bool] = bool
        self._happened = threading.Event()
        self._open: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def once(self, act: Callable[[], bool], *parts: bytes) -> None:
        """Act when the server has answered the next request that holds all these parts.

        The answer is handed on if ``act`` says so, else the connection is cut.
        """
        with self._guard:
            self._act, self._parts = act, parts
            self._happened.clear()

    def cut_once(self, *parts: bytes) -> None:
        """Cut the connection of the next request that holds these parts, after its effect and before its answer."""
        self.once(lambda: False, *parts)

    def wait_until_happened(self, timeout: float = 15.0) -> None:
        """Wait until the request that ``once`` named has come and was acted on."""
        assert self._happened.wait(timeout), "no such request came"

    @property
    def happened(self) -> bool:
        """Whether the request that ``once`` named has come and was acted on."""
        return self._happened.is_set()

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        with self._guard:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection((HOST, self._target)) as server:
            with self._guard:
                self._open |= {client, server}
            try:
                self._hand_through(client, server)
            finally:
                with self._guard:
                    self._open -= {client, server}

    def _hand_through(self, client: socket.socket, server: socket.socket) -> None:
        act: Callable[[], bool] | None = None
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if client in ready:
                data = client.recv(_CHUNK)
                act = act or self._match(data)
                server.sendall(data)
            else:
                data = server.recv(_CHUNK)
                time.sleep(self.delay)
                if act is not None and not self._goes_on(act, data):
                    return
                act = None
                client.sendall(data)
            if not data:
                return

    def _match(self, data: bytes) -> Callable[[], bool] | None:
        with self._guard:
            return self._act if self._parts and all(part in data for part in self._parts) else None

    def _goes_on(self, act: Callable[[], bool], answer: bytes) -> bool:
        with self._guard:
            if answer.startswith(_NO_SCRIPT) or not self._parts:
                return True
            self._parts = ()
        goes_on = act()
        self._happened.set()
        return goes_on
