"""What stands still, or nearly: a disk that syncs slowly or not at all, a Redis that answers late, an unread log."""

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.proxy import Proxy
from harness.servers import RedisServer
from harness.service import Background, Service, at_once, wait_for
from harness.slow_disk import SlowDisk
from harness.webhooks import webhook
from slack_sandbox.workspace import Workspace

#: How long a sync takes, in seconds, and within how many a webhook is delivered all the same.
SLOW, SOON = 3.5, 20.0


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    """A disk that is fast as yet."""
    return SlowDisk(tmp_path / "disk")


@pytest.fixture
def on_disk(make_service: Callable[..., Service], disk: SlowDisk) -> Service:
    """A service whose store is on that disk."""
    service = make_service(**disk.settings)
    service.start()
    return service


class TestDisk:
    """Every sync takes long."""

    def test_late_but_delivered(self, on_disk: Service, disk: SlowDisk, workspace: Workspace) -> None:
        """Webhooks are delivered, once each, and it is said that the disk is slow until it is not; SIGTERM ends it."""
        disk.delay(SLOW)
        began = time.monotonic()
        names = ("Slow1", "Slow2")
        answers = at_once([lambda name=name: on_disk.send(webhook(name)) for name in names])  # type: ignore[misc]
        assert [answer.status for answer in answers] == [202, 202]
        on_disk.wait_until_delivered(60)
        posts = [call for call in workspace.calls.all() if call.method == "chat.postMessage"]
        assert len(posts) == len(names)
        assert time.monotonic() - began < SOON + SLOW
        on_disk.wait_degraded("the disk takes 3.", "s to sync: ", "THREAD_STORE_FILE")
        assert on_disk.log.count("the disk takes 3.") == 1
        assert "may have passed" not in on_disk.log
        self._is_measured(on_disk)
        on_disk.stop()
        disk.delay(0)
        on_disk.start()
        assert on_disk.send(webhook("Slow3")).status == 200
        assert len(on_disk.stored()) == 3
        on_disk.wait_healthy()

    def test_disk_that_hangs(self, on_disk: Service, disk: SlowDisk) -> None:
        """``/health`` answers at once and says it; webhooks are refused instead of waiting for ever, and come back."""
        disk.delay(600)
        first = Background(lambda: on_disk.send(webhook("Hang1")))
        health = wait_for(lambda: on_disk.health if on_disk.health["problems"] else None, 15)
        assert health["status"] == "degraded"
        assert "s to sync: " in health["problems"][0]
        waiting = Background(lambda: on_disk.send(webhook("Hang2")))
        answer = waiting.finish(25)
        assert (answer.status, "s to sync: " in answer.error) == (503, True)
        began = time.monotonic()
        assert on_disk.send(webhook("Hang3")).status == 503
        assert on_disk.health["status"] == "unhealthy"
        assert time.monotonic() - began < 5
        disk.delay(0)
        assert first.finish(25).ok
        on_disk.send_until_taken(webhook("Hang2"))
        on_disk.wait_healthy()
        assert len(on_disk.stored()) == 2

    def test_check_says_it(self, make_service: Callable[..., Service], disk: SlowDisk) -> None:
        """It syncs where the store lies, and warns."""
        service = make_service(**disk.settings)
        command = [sys.executable, "-m", "alert_threader", "check"]

        def lines() -> list[str]:
            ended = subprocess.run(command, env=service.environ, capture_output=True, text=True, check=True)
            return [line for line in ended.stdout.splitlines() if line.startswith("warn  disk")]

        assert lines() == []
        disk.delay(1.5)
        (line,) = lines()
        assert "the disk takes 1." in line

    def _is_measured(self, service: Service) -> None:
        (seconds,) = re.findall(r"^alert_threader_store_seconds (\S+)$", service.get("/metrics").text, re.MULTILINE)
        assert float(seconds) > SLOW


class TestRedis:
    """Redis answers late."""

    def test_slow_answers_are_said(self, make_service: Callable[..., Service], tmp_path: Path) -> None:
        """As long as it answers in time, all is delivered, and it is said that it is slow."""
        with RedisServer(tmp_path / "redis") as redis, Proxy(redis.port) as proxy:
            service = make_service(THREAD_STORE="redis", REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
            service.start()
            proxy.delay = 0.6
            assert service.send(webhook("Late")).ok
            service.wait_until_delivered(60)
            service.wait_degraded("Redis takes ", "s to store a change: ", timeout=30)
            proxy.delay = 0.0
            service.wait_healthy(60)


class TestLog:
    """Nobody reads what the service writes."""

    def test_unread_log_holds_up_nobody(self, make_service: Callable[..., Service], workspace: Workspace) -> None:
        """Webhooks are answered and delivered, and ``/health`` says that log lines are dropped."""
        service = make_service(LOG_LEVEL="DEBUG")
        unread, service.stderr = os.pipe()
        fcntl.fcntl(unread, fcntl.F_SETPIPE_SZ, 4096)
        service.start()
        for _ in range(1200):  # a line each
            assert service.send(webhook("Unread")).ok
        assert service.send(webhook("Another")).status == 200
        assert [call.method for call in workspace.calls.all()].count("chat.postMessage") == 2
        service.wait_degraded("nobody reads the log", "lines were dropped")
        assert service.get("/stats").json["log_lines_dropped"] > 0
        service.stop()
        os.close(unread)
        os.close(service.stderr)
