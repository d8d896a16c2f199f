"""An HTTP server of a test's own."""

import threading
from http.server import ThreadingHTTPServer
from typing import Self


class Serving:
    """Serves in a thread, from ``with`` to the end of its block."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        """Take a server that listens already."""
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> Self:
        """Start it."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()
