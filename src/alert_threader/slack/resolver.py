"""Looking a name up in bounded time: ``getaddrinfo`` has no timeout, and a resolver may never answer."""

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from aiohappyeyeballs import AddrInfoType

_Found = Future[Sequence[AddrInfoType]]


class Resolver:
    """Looks names up in threads, which are left behind while the system's resolver stands still.

    There is one thread for a name at a time: whoever asks for it meanwhile waits for the same one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._under_way: dict[tuple[str, int], _Found] = {}

    def look_up(self, host: str, port: int, timeout: float) -> Sequence[AddrInfoType]:
        """The addresses of a host, best first. Raises socket.gaierror, and TimeoutError after ``timeout`` seconds."""
        with suppress(socket.gaierror):
            # An address needs no resolver.
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        with self._guard:
            known = self._under_way.get((host, port))
            found = known or self._under_way.setdefault((host, port), Future())
        if known is None:
            self._start(host, port, found)
        return found.result(timeout)

    def _start(self, host: str, port: int, found: _Found) -> None:
        try:
            threading.Thread(target=self._ask, args=(host, port, found), name="resolver", daemon=True).start()
        except RuntimeError:
            # The system gives us no more threads: better without a bound than not at all.
            self._ask(host, port, found)

    def _ask(self, host: str, port: int, found: _Found) -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
            found.set_exception(error)
        finally:
            with self._guard:
                del self._under_way[host, port]
