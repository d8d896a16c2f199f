"""Real servers for tests: started here, on free ports of 127.0.0.1, and ended here."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis

HOST = "127.0.0.1"
#: Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range begins at 32768): such a one could take
#: the port of a server that is being restarted.
_PORTS = range(20_000, 32_000)
#: How long a server may take to answer for the first time, in seconds: far more than it needs on a slow machine.
_STARTING = 20.0


def program(name: str) -> str:
    """The path of a program. Without it the test is skipped on a laptop, and fails in CI, which installs it."""
    path = shutil.which(name)
    if path is None:
        missing = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection takes meanwhile."""
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.create_server((HOST, port)):
            return port


class RedisServer:
    """Debian's redis-server, with its data in a folder. Settings are redis.conf's; without any, it keeps an AOF."""

    def __init__(self, folder: Path, port: int = 0, **settings: str) -> None:
        self.port = port or free_port()
        self.folder = folder
        self._settings = {"appendonly": "yes", "appendfsync": "always", "save": "", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [text for name, value in self._settings.items() for text in (f"--{name}", value)]
        command = [
            program("redis-server"),
            "--port",
            str(self.port),
            "--bind",
            HOST,
            "--dir",
            str(self.folder),
            *options,
        ]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + _STARTING
        with redis.Redis(host=HOST, port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return self
                except redis.RedisError:
                    assert self._process.poll() is None, (self.folder / "redis.log").read_text()
                    assert time.monotonic() < until, "redis-server does not answer"
                    time.sleep(0.02)

    def stop(self) -> None:
        """End it as systemd does."""
        self._end("terminate")

    def kill(self) -> None:
        """End it with kill -9."""
        self._end("kill")

    def _end(self, how: str) -> None:
        if self._process is not None:
            getattr(self._process, how)()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
