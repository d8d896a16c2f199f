"""Looking a name up in bounded time: ``getaddrinfo`` has no timeout, and a resolver may never answer."""

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from aiohappyeyeballs import AddrInfoType

#: After so many seconds a look-up is no longer waited for but asked anew: what it waits for may have been lost. Each
#: time twice as long, up to an hour, for the thread of one that never ends stays.
_PATIENCE = 15.0
_LONGEST_PATIENCE = 3600.0


@dataclass(frozen=True, eq=False)
class _LookUp:
    """A look-up that is under way."""

    patience: float
    found: Future[Sequence[AddrInfoType]] = field(default_factory=Future)
    started: float = field(default_factory=time.monotonic)

    @property
    def is_late(self) -> bool:
        return time.monotonic() - self.started > self.patience


class Resolver:
    """Looks names up in threads, which are left behind while the system's resolver stands still.

    There is one thread for a name at a time: whoever asks for it meanwhile waits for the same one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._under_way: dict[tuple[str, int], _LookUp] = {}

    def look_up(self, host: str, port: int, timeout: float) -> Sequence[AddrInfoType]:
        """The addresses of a host, best first. Raises socket.gaierror, and TimeoutError after ``timeout`` seconds."""
        with suppress(socket.gaierror):
            # An address needs no resolver.
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        with self._guard:
            known = self._under_way.get((host, port))
            if is_new := known is None or known.is_late:
                patience = min(known.patience * 2, _LONGEST_PATIENCE) if known else _PATIENCE
                known = self._under_way[host, port] = _LookUp(patience)
        if is_new:
            self._start(host, port, known)
        return known.found.result(timeout)

    def _start(self, host: str, port: int, mine: _LookUp) -> None:
        try:
            threading.Thread(target=self._ask, args=(host, port, mine), name="resolver", daemon=True).start()
        except RuntimeError:
            # The system gives us no more threads: better without a bound than not at all.
            self._ask(host, port, mine)

    def _ask(self, host: str, port: int, mine: _LookUp) -> None:
        try:
            mine.found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
            mine.found.set_exception(error)
        finally:
            with self._guard:
                if self._under_way.get((host, port)) is mine:
                    del self._under_way[host, port]
