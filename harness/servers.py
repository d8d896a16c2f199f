"""Real servers for tests: started here, on free ports of 127.0.0.1, and ended here."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from redis.crc import key_slot

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
        self.settings = {"appendonly": "yes", "appendfsync": "always", "save": "", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [text for name, value in self.settings.items() for text in (f"--{name}", value)]
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


class RedisCluster:
    """Redis in cluster mode: some masters that share the slots, each with as many replicas as are wanted."""

    def __init__(self, folder: Path, masters: int = 3, replicas: int = 0) -> None:
        """Take where the servers' data is."""
        self.masters = [self._server(folder / f"master-{number}") for number in range(masters)]
        #: The replicas of each master, in the same order.
        self.replicas = [
            [self._server(folder / f"replica-{number}-{each}") for each in range(replicas)] for number in range(masters)
        ]

    @property
    def servers(self) -> list[RedisServer]:
        """All of them."""
        return [*self.masters, *(each for some in self.replicas for each in some)]

    @property
    def url(self) -> str:
        """The address of one of them; it knows the others."""
        return self.masters[0].url

    def holder(self, name: str) -> RedisServer:
        """The master that has this name; none of them may have failed."""
        slot = key_slot(name.encode())
        for first, last, holder, *_ in self._ask(self.masters[0], "CLUSTER SLOTS"):
            if first <= slot <= last:
                return next(each for each in self.masters if each.port == holder[1])
        raise AssertionError(f"no server holds {name}")

    def start(self) -> Self:
        """Start them, and wait until all agree that all is well."""
        for server in self.servers:
            server.start()
        share = 16384 // len(self.masters)
        first = self.masters[0]
        for number, server in enumerate(self.masters):
            last = 16383 if server is self.masters[-1] else (number + 1) * share - 1
            self._ask(server, "CLUSTER ADDSLOTSRANGE", number * share, last)
        for server in self.servers[1:]:
            self._ask(server, "CLUSTER MEET", HOST, first.port, int(first.settings["cluster-port"]))
        self._wait(lambda server: len(self._ask(server, "CLUSTER NODES")) == len(self.servers))
        for master, replicas in zip(self.masters, self.replicas, strict=True):
            for replica in replicas:
                self._ask(replica, "CLUSTER REPLICATE", self._ask(master, "CLUSTER MYID").decode())
        wanted = [1 + len(replicas) for replicas in self.replicas]
        # A replica is listed once it has its first copy.
        self._wait(
            lambda server: (
                self._ask(server, "CLUSTER INFO")["cluster_state"] == "ok"
                and sorted(len(each) - 2 for each in self._ask(server, "CLUSTER SLOTS")) == sorted(wanted)
            )
        )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()

    @staticmethod
    def _server(folder: Path) -> RedisServer:
        options: dict[str, str] = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
        options |= {"cluster-node-timeout": "1000", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
        return RedisServer(folder, 0, **options)

    @staticmethod
    def _ask(server: RedisServer, *command: str | int) -> Any:
        with redis.Redis(port=server.port) as client:
            return client.execute_command(*command)

    def _wait(self, is_so: Callable[[RedisServer], bool]) -> None:
        until = time.monotonic() + _STARTING
        while not all(map(is_so, self.servers)):
            assert time.monotonic() < until, "the cluster does not come together"
            time.sleep(0.02)
