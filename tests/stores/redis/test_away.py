"""A Redis that does not serve: an error within two seconds, never "no such thread"."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from alert_threader.store import RedisStore, Threads
from alert_threader.store.redis.client import connect
from alert_threader.threads import Policy, Reason
from harness.servers import HOST, RedisServer, free_port, program
from tests.build import NOW
from tests.stores.redis.kit import (
    PREFIX,
    QUOTED,
    WRITES,
    Open,
    failure_of,
    failures_of,
    protected,
    snapshot,
    wait_until,
)
from tests.stores.sending import claimed, due, fires, kept


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on which connections are refused, kept from others."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield bound.getsockname()[1]


class TestAway:
    """A Redis that does not serve: an error within two seconds, never "no such thread"."""

    def test_refused(self, open_verbs: Open, unused_port: int) -> None:
        """Nothing listens there."""
        verbs = open_verbs(f"redis://:{QUOTED}@{HOST}:{unused_port}/0")
        for text in failures_of(verbs):
            assert text.startswith("Redis cannot be reached: check that it runs, REDIS_URL and the network")
            assert str(unused_port) in text

    def test_hanging(self, open_verbs: Open) -> None:
        """It takes the connection and says nothing."""
        with socket.create_server((HOST, 0), backlog=128) as mute:
            verbs = open_verbs(f"redis://:{QUOTED}@{HOST}:{mute.getsockname()[1]}/0")
            for text in failures_of(verbs):
                assert text.startswith("Redis does not answer: check that it runs and is not overloaded")

    def test_frozen(self, tmp_path: Path, open_verbs: Open) -> None:
        """It stops in the middle: the connections that there are hang, and every later one."""
        with RedisServer(tmp_path) as server:
            verbs = open_verbs(server.url)
            verbs.notify([fires("a", "1")], NOW)
            lease = claimed(verbs.store)
            # As one does whose machine or disk stands still.
            frozen = server._process
            assert frozen is not None
            frozen.send_signal(signal.SIGSTOP)
            for text in failures_of(verbs, lease):
                assert text.startswith("Redis does not answer")
            frozen.send_signal(signal.SIGCONT)
            assert kept(verbs.store).firing == 1

    def test_other_service(self, open_verbs: Open) -> None:
        """What listens there speaks another language."""
        with ExitStack() as closing, ThreadPoolExecutor(1) as pool:
            web = closing.enter_context(socket.create_server((HOST, 0), backlog=128))

            def answer() -> None:
                client, _ = web.accept()
                with client:
                    client.recv(1000)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

            answering = pool.submit(answer)
            verbs = open_verbs(f"redis://{HOST}:{web.getsockname()[1]}/0")
            assert "Redis" in failure_of(lambda: verbs.store.read("a"))
            answering.result()

    @pytest.mark.parametrize("login", ["", ":wrong", f"nobody:{QUOTED}"])
    def test_wrong_password(self, tmp_path: Path, open_verbs: Open, login: str) -> None:
        """The line says that the login is wrong, without showing it."""
        with protected(RedisServer(tmp_path)) as server:
            verbs = open_verbs(f"redis://{login}@{HOST}:{server.port}/0".replace("//@", "//"))
            for text in failures_of(verbs):
                assert text.startswith("Redis refuses the login: correct user and password in REDIS_URL")
                assert "wrong" not in text

    def test_replica(self, tmp_path: Path, open_verbs: Open) -> None:
        """A replica that is only read takes no change, and knows every thread."""
        with RedisServer(tmp_path / "master") as master, RedisServer(tmp_path / "replica") as replica:
            source = open_verbs(master.url)
            source.notify([fires("a", "1")], NOW)
            lease = claimed(source.store)
            with redis.Redis(port=replica.port) as client, redis.Redis(port=master.port) as asked:
                asked.config_set("repl-diskless-sync-delay", "0")
                client.replicaof(HOST, str(master.port))
                wait_until(lambda: client.exists(f"{PREFIX}-record:a"))
            verbs = open_verbs(replica.url)
            for text in failures_of(verbs, lease, (*WRITES, "renew", "release", "record")):
                assert "read only replica" in text
            assert kept(verbs.store).firing == 1
            assert due(verbs.store) == ["a"]

    def test_full(self, tmp_path: Path, open_verbs: Open) -> None:
        """Without memory no change is taken, not even half of one, and every thread is still known."""
        with RedisServer(tmp_path) as server, redis.Redis(port=server.port) as client:
            verbs = open_verbs(server.url)
            verbs.notify([fires("a", "1")], NOW)
            lease = claimed(verbs.store)
            names = snapshot(client)
            client.config_set("maxmemory", "1024")
            client.config_set("maxmemory-policy", "noeviction")
            for text in failures_of(verbs, lease, WRITES):
                assert text.startswith("Redis is full: give it more memory")
            assert snapshot(client) == names
            assert kept(verbs.store).firing == 1
            client.config_set("maxmemory", "0")
            assert verbs.notify([fires("a", "2")], NOW)[0].reason is Reason.FIRED

    def test_disk_full(self, tmp_path: Path, open_verbs: Open) -> None:
        """A Redis whose snapshots fail refuses changes, and the line hands on why."""
        # A snapshot is a file, which cannot take the place of a folder.
        (tmp_path / "dump.rdb").mkdir(parents=True)
        with RedisServer(tmp_path, save="3600 1") as server, redis.Redis(port=server.port) as client:
            verbs = open_verbs(server.url)
            verbs.notify([fires("a", "1")], NOW)
            client.bgsave()
            wait_until(lambda: client.info()["rdb_last_bgsave_status"] != "ok")
            for text in failures_of(verbs, None, ("notify", "ping")):
                assert "MISCONF" in text
                assert "disk" in text
            assert kept(verbs.store).firing == 1

    def test_comes_back(self, tmp_path: Path, open_verbs: Open) -> None:
        """After a restart the same store serves again at once, with all that was kept."""
        server = RedisServer(tmp_path)
        with server:
            verbs = open_verbs(server.url)
            verbs.notify([fires("a", "1")], NOW)
            for end in (server.stop, server.kill):
                end()
                failure_of(lambda: verbs.notify([fires("a", "2")], NOW))
                server.start()
                assert kept(verbs.store).firing == 1
            assert verbs.notify([fires("a", "2")], NOW)[0].reason is Reason.FIRED


class TestSentinels:
    """Sentinels that do not say where Redis is, as long as they do not."""

    @pytest.fixture
    def ask(self) -> Iterator[Callable[[Sequence[int]], Threads]]:
        """A store that asks Sentinels on these ports."""
        with ExitStack() as closing:

            def ask_them(ports: Sequence[int]) -> Threads:
                client = connect(f"redis://:{QUOTED}@ignored/0", [(HOST, port) for port in ports], "threads")
                store = RedisStore(client, PREFIX, Policy())
                closing.callback(store.close)
                return Threads(store, Policy())

            yield ask_them

    def test_refused(self, ask: Callable[[Sequence[int]], Threads], unused_port: int) -> None:
        """Nothing listens there."""
        text = failure_of(lambda: ask([unused_port] * 3).store.read("a"))
        assert "threads" in text
        assert "<" not in text, "a line for a person"

    def test_hanging(self, ask: Callable[[Sequence[int]], Threads]) -> None:
        """All of them hang: the webhook is answered in time all the same."""
        with ExitStack() as closing:
            mute = [closing.enter_context(socket.create_server((HOST, 0), backlog=128)) for _ in range(3)]
            verbs = ask([each.getsockname()[1] for each in mute])
            for text in failures_of(verbs):
                assert "<" not in text

    def test_other_master(self, ask: Callable[[Sequence[int]], Threads], tmp_path: Path) -> None:
        """They watch over a master of another name."""
        config = tmp_path / "sentinel.conf"
        port = free_port()
        config.write_text(f"port {port}\nbind {HOST}\ndir {tmp_path}\nsentinel monitor other {HOST} {port} 1\n")
        log = (tmp_path / "sentinel.log").open("wb")
        with log, subprocess.Popen([program("redis-server"), str(config), "--sentinel"], stdout=log) as sentinel:
            try:
                wait_until(lambda: answers(port))
                text = failure_of(lambda: ask([port]).store.read("a"))
            finally:
                sentinel.kill()
        assert "threads" in text
        assert "<" not in text


def answers(port: int) -> bool:
    """Whether a Redis or a Sentinel is there."""
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
