"""Sentinels watch over Redis: when the master dies, the service goes on with its successor by itself."""

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis

from harness.replicas import Replica, asked, replicas, start_all
from harness.servers import HOST, RedisServer, free_port, program
from harness.service import CHANNEL, Background, Service, wait_for
from harness.story import assert_delivered
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

_MASTER = "threads"
_PASSWORD = "sentinel-never-to-be-seen"
#: So soon the service must serve again, in seconds.
_RECOVERING = 15.0

_CONFIG = """
port {port}
bind {host}
dir {folder}
sentinel monitor {master} {host} {master_port} 2
sentinel auth-pass {master} {password}
sentinel down-after-milliseconds {master} 2000
sentinel failover-timeout {master} 6000
"""


class Watched:
    """A master, two replicas, and three Sentinels.

    A master that has lost its replicas refuses changes: else it would take some after its successor was chosen, and
    forget them.
    """

    def __init__(self, folder: Path) -> None:
        """Take where their files are."""
        self._folder = folder
        self.servers = [RedisServer(folder / name, appendfsync="everysec") for name in ("one", "two", "three")]
        self.ports = [free_port() for _ in range(3)]
        self._closing = ExitStack()

    @property
    def sentinels(self) -> str:
        """Where the Sentinels are, as REDIS_SENTINELS says it."""
        return ",".join(f"{HOST}:{port}" for port in self.ports)

    @property
    def master(self) -> RedisServer:
        """The one that a Sentinel takes for the master."""
        with redis.Redis(port=self.ports[0], decode_responses=True) as client:
            _, port = client.sentinel_get_master_addr_by_name(_MASTER)
        return next(server for server in self.servers if server.port == port)

    def start(self, server: RedisServer) -> None:
        """Start a Redis, which asks for a password like the others."""
        server.start()
        with redis.Redis(port=server.port) as client:
            client.config_set("repl-diskless-sync-delay", "0")
            client.config_set("min-replicas-to-write", "1")
            client.config_set("masterauth", _PASSWORD)
            client.config_set("requirepass", _PASSWORD)

    def client(self, server: RedisServer) -> redis.Redis:
        """A connection to one of them."""
        return redis.Redis(port=server.port, password=_PASSWORD, decode_responses=True)

    def freeze(self, server: RedisServer) -> None:
        """Let one stand still, with the connections to it."""
        assert server._process is not None
        server._process.send_signal(signal.SIGSTOP)

    def thaw(self, server: RedisServer) -> None:
        """Let it go on."""
        assert server._process is not None
        server._process.send_signal(signal.SIGCONT)

    def fail_over(self) -> None:
        """Have the Sentinels change master and replica, as before maintenance."""
        for port in self.ports:
            wait_for(partial(self._is_settled, port), 30, lambda: self.log)
        with redis.Redis(port=self.ports[0]) as client:
            wait_for(partial(_agreed, client), 20)

    def __enter__(self) -> Self:
        with self._closing as closing:
            for server in self.servers:
                closing.callback(server.kill)
                self.start(server)
            for server in self.servers[1:]:
                with self.client(server) as client:
                    client.replicaof(HOST, str(self.servers[0].port))
                    wait_for(partial(_is_linked, client), 20)
            for port in self.ports:
                self._watch(port, closing)
            for port in self.ports:
                wait_for(partial(self._is_ready, port), 30, lambda: self.log)
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def log(self) -> str:
        """What the Sentinels logged."""
        return "\n".join(file.read_text() for file in sorted(self._folder.glob("sentinel*.log")))

    def _watch(self, port: int, closing: ExitStack) -> None:
        config = self._folder / f"sentinel{port}.conf"
        config.write_text(
            _CONFIG.format(
                port=port,
                host=HOST,
                folder=self._folder,
                master=_MASTER,
                master_port=self.servers[0].port,
                password=_PASSWORD,
            )
        )
        with config.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen([program("redis-server"), str(config), "--sentinel"], stdout=log, stderr=log)
        closing.callback(process.wait)
        closing.callback(process.kill)

    def _is_ready(self, port: int) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port, decode_responses=True) as client:
            known = client.sentinel_master(_MASTER)
            return (known["num-slaves"], known["num-other-sentinels"]) == (2, 2)
        return False

    def _is_settled(self, port: int) -> bool:
        """Whether a Sentinel takes all of them for healthy, so that none begins a failover of its own meanwhile."""
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port, decode_responses=True) as client:
            followers = client.sentinel_slaves(_MASTER)
            healthy = client.sentinel_master(_MASTER)["flags"] == "master" and len(followers) == 2
            return healthy and all(
                each["flags"] == "slave" and each["master-link-status"] == "ok" for each in followers
            )
        return False


def _is_linked(client: redis.Redis) -> bool:
    """Whether a replica follows its master."""
    return bool(client.info("replication").get("master_link_status") == "up")


def _agreed(client: redis.Redis) -> bool:
    """Whether a Sentinel begins a failover: it refuses while it does not know a good replica."""
    with contextlib.suppress(redis.ResponseError):
        return bool(client.sentinel_failover(_MASTER))
    return False


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A running set of them."""
    with Watched(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def services(tmp_path: Path, slack: SandboxServer, watched: Watched) -> Iterator[list[Replica]]:
    """Two replicas of the service that ask the Sentinels where Redis is."""
    with replicas(tmp_path, slack.api_url) as make:
        settings = {"REDIS_SENTINELS": watched.sentinels, "REDIS_SENTINEL_MASTER": _MASTER}
        # The host is the Sentinels' to say, the login is the URL's.
        url = f"redis://:{_PASSWORD}@{_MASTER}/0"
        yield start_all([make(name, url, **settings) for name in ("one", "two")])


@pytest.mark.parametrize("end", ["killed", "frozen"])
def test_failover(services: list[Replica], watched: Watched, workspace: Workspace, end: str) -> None:
    """The master is lost in the middle of traffic, later its successor makes way: nothing is lost or told twice."""
    first = watched.master
    sent: dict[str, list[str]] = {}
    for name in ("Before0", "Before1"):
        services[0].send_until_taken(webhook(name))
        sent[print_of(name)] = [FIRED]
    services[0].wait_until_delivered()
    threads = services[0].cache

    enough = threading.Event()
    senders = [Background(partial(traffic, each, name, enough)) for each, name in zip(services, "AB", strict=True)]
    time.sleep(1)
    if end == "killed":
        first.kill()
    else:
        watched.freeze(first)
    for took in taken_again(services, "db02", lambda: watched.master is not first):
        assert took < _RECOVERING, watched.log
    sent |= {print_of(f"Moved-{service.folder.name}", "db02"): [FIRED] for service in services}
    assert services[0].cache.items() >= threads.items(), "a thread was forgotten"

    # The old master comes back, and learns that it is a replica. Another one takes over, as before maintenance.
    if end == "frozen":
        watched.thaw(first)
    else:
        second = watched.master
        watched.start(first)
        watched.fail_over()
        for took in taken_again(services, "db03", lambda: watched.master is not second):
            assert took < _RECOVERING, watched.log
        sent |= {print_of(f"Moved-{service.folder.name}", "db03"): [FIRED] for service in services}
    assert services[0].cache.items() >= threads.items(), "a thread was forgotten"

    for name in ("Before0", "Before1"):
        services[1].send_until_taken(webhook(name, {"db01": RESOLVED}))
        sent[print_of(name)].append(RESOLVED)
    enough.set()
    for sender in senders:
        sent |= sender.finish(30)
    services[0].wait_healthy(30)
    assert_delivered(workspace, CHANNEL, sent, folded=True)
    names = ("Before0", "Before1", "TrafficA", "TrafficB", "Moved-one", "Moved-two")
    assert set(services[0].cache) == {key(name) for name in names}
    for service in services:
        for place in (service.log, *service.answers):
            assert _PASSWORD not in place
        service.stop()


def traffic(service: Service, name: str, enough: threading.Event) -> dict[str, list[str]]:
    """Let one instance after the other fire and resolve, until it is enough; return what was taken of each."""
    taken: dict[str, list[str]] = {}
    number = 0
    while not enough.wait(0.15):
        instance = f"db{number // 2}"
        what = (FIRED, RESOLVED)[number % 2]
        service.send_until_taken(webhook(f"Traffic{name}", {instance: what}))
        taken.setdefault(print_of(f"Traffic{name}", instance), []).append(what)
        number += 1
    return taken


def taken_again(services: list[Replica], instance: str, changed: Callable[[], bool]) -> list[float]:
    """After how many seconds each service took a webhook in Redis' new place. Until then /health answers at once."""
    began = time.monotonic()
    times = []
    for service in services:
        notification = webhook(f"Moved-{service.folder.name}", {instance: FIRED})
        while not (changed() and asked(partial(service.send, notification)).ok):
            asked(partial(service.get, "/health"))
            assert time.monotonic() - began < 3 * _RECOVERING, service.log
            time.sleep(0.1)
        times.append(time.monotonic() - began)
    return times
