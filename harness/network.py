"""What stands between the service and Slack: servers that stand still, proxies, TLS with a CA of its own."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from harness.servers import HOST, program

_CHUNK = 1 << 16
#: How long closing waits for the connections under way, in seconds.
_LAST_WORDS = 5.0

#: What is done with a connection; the request's head has been read.
Serve = Callable[[socket.socket, bytes], None]


class Listener:
    """A server that does one thing with every connection, and keeps the heads of the requests that it got."""

    def __init__(self, serve: Serve, context: ssl.SSLContext | None = None, end: bytes = b"\r\n\r\n") -> None:
        """``serve`` gets the connection and the request's head, which ends in ``end``. With a context it speaks TLS."""
        self._serve = serve
        self._context = context
        self._end = end
        self._listening = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.heads: list[bytes] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listening.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_LAST_WORDS)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with connection, suppress(OSError):
                if self._context is None:
                    self._talk(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self._talk(secured)
        finally:
            self._open.discard(connection)

    def _talk(self, connection: socket.socket) -> None:
        head = connection.recv(_CHUNK)
        while self._end not in head and (data := connection.recv(_CHUNK)):
            head += data
        if head:
            self.heads.append(head)
            self._serve(connection, head)
            # To close what has not been read to its end would reset the connection under the answer.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(_CHUNK):
                pass


def answers(status: int, *headers: str, body: str = "") -> Serve:
    """Answer every request like this."""
    lines = [f"HTTP/1.1 {status} Whatever", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body]
    text = "\r\n".join(lines).encode()
    return lambda connection, _head: connection.sendall(text)


def drips(every: float, text: str) -> Serve:
    """Send an answer byte by byte, with so many seconds between two."""

    def serve(connection: socket.socket, _head: bytes) -> None:
        for byte in text.encode():
            connection.sendall(bytes([byte]))
            time.sleep(every)

    return serve


def stands_still(connection: socket.socket, _head: bytes) -> None:
    """Answer nothing for as long as the connection lasts."""
    while connection.recv(_CHUNK):
        pass


def connects(port: int) -> Serve:
    """Be a proxy that connects everybody to this port of 127.0.0.1, whatever they ask for."""

    def serve(client: socket.socket, head: bytes) -> None:
        with socket.create_connection((HOST, port)) as server:
            if head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            back = threading.Thread(target=_hand_on, args=(server, client), daemon=True)
            back.start()
            _hand_on(client, server)
            back.join()

    return serve


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def takes_no_connection(host: str, port: int = 0) -> Iterator[int]:
    """Hold a port whose queue is full, so that whoever connects waits for ever, as behind a firewall that drops."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as full:
        full.bind((host, port))
        full.listen(0)
        address = full.getsockname()[:2]
        with socket.socket(family, socket.SOCK_STREAM) as first, socket.socket(family, socket.SOCK_STREAM) as second:
            for each in (first, second):
                each.setblocking(False)
                each.connect_ex(address)
            yield address[1]


class Authority(NamedTuple):
    """A CA of a company's own, and a server's certificate that it has signed."""

    ca: Path
    context: ssl.SSLContext


def authority(folder: Path, name: str, days: int = 1) -> Authority:
    """Make a CA, and a certificate of it for a host's name."""

    def openssl(*arguments: str) -> None:
        subprocess.run([program("openssl"), *arguments], check=True, capture_output=True, cwd=folder)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=A Company", "-days", "2")
    openssl("req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name}")
    (folder / "san").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile",
            "san", "-out", "server.pem", "-days", str(days))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return Authority(folder / "ca.pem", context)
