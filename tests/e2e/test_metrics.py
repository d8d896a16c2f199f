"""The metrics of several workers are one service's, whichever of them is asked and whatever becomes of them."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.replicas import MakeReplica, replicas
from harness.servers import RedisServer, program
from harness.service import Service, wait_for
from harness.webhooks import webhook
from slack_sandbox import SandboxServer


@pytest.fixture
def make_replica(tmp_path: Path, slack: SandboxServer) -> Iterator[MakeReplica]:
    """Make replicas with a Redis of their own, and their temporary files where they can be looked at."""
    (tmp_path / "temporary").mkdir()
    with (
        RedisServer(tmp_path / "redis") as server,
        replicas(tmp_path, slack.api_url) as make,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", str(tmp_path / "temporary"))
        yield lambda name, **settings: make(name, server.url, **settings)


def scraped(service: Service) -> dict[tuple[str, ...], float]:
    """Every series with its value, by its name and the values of its labels."""
    families = text_string_to_metric_families(service.get("/metrics").text)
    return {
        (sample.name.removeprefix("alert_threader_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_several_workers(make_replica: MakeReplica, tmp_path: Path) -> None:
    """Counts are the sum over workers, outlive a killed one, and their files go with the service."""
    service = make_replica("one", WEB_CONCURRENCY="3")
    service.start()
    wait_for(lambda: service.log.count(" ready ") == 3, 20)
    fresh = scraped(service)
    assert fresh["webhooks_total", "202"] == fresh["slack_calls_total", "chat.update", "auth"] == 0
    for number in range(30):
        service.send_until_taken(webhook(f"Count{number}"))
    service.wait_until_delivered()

    def counted(stored: int) -> None:
        for _ in range(10):
            series = scraped(service)
            assert sum(series["webhooks_total", code] for code in ("200", "202")) == stored
            assert series["alerts_received_total", "firing"] == stored
            assert (series["threads",], series["open_threads",], series["pending_threads",]) == (30, 30, 0)
            assert sum(service.get("/stats").json["webhooks"].values()) == stored

    counted(30)
    wait_for(lambda: scraped(service)["delivery_delay_seconds_count",] == 30, 10)
    started = scraped(service)["start_time_seconds",]
    check = [program("promtool"), "check", "metrics"]
    result = subprocess.run(check, input=service.get("/metrics").text, text=True, capture_output=True, check=False)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")

    # A worker that is killed is counted on, and seen to have been started again.
    os.kill(service.workers[0], signal.SIGKILL)
    wait_for(lambda: service.log.count(" ready ") == 4, 20)
    counted(30)
    assert scraped(service)["start_time_seconds",] > started
    service.reload()
    wait_for(lambda: service.log.count(" ready ") == 7, 20)
    service.send_until_taken(webhook("Count0"))
    counted(31)

    (folder,) = (tmp_path / "temporary").glob("alert-threader-metrics-*")
    workers = wait_for(lambda: service.workers if len(service.workers) == 3 else None, 20)
    files = {f"gauge_{mode}_{pid}.db" for mode in ("livemax", "livemin") for pid in workers}
    wait_for(lambda: files == {file.name for file in folder.glob("gauge_*")}, 10)
    service.stop()
    assert not folder.exists()

    # Nothing of a former run is counted again.
    service.start()
    assert scraped(service)["alerts_received_total", "firing"] == 0
    service.stop()


def test_scrapes_while_workers_come_and_go(make_replica: MakeReplica, tmp_path: Path) -> None:
    """None of them fails. A service that is killed leaves nothing behind for longer than until the next start."""
    service = make_replica("one", WEB_CONCURRENCY="2")
    service.start()
    wait_for(lambda: service.log.count(" ready ") == 2, 20)
    for number in range(3, 9):
        os.kill(service.workers[0], signal.SIGKILL)
        while service.log.count(" ready ") < number:
            # A connection may have been the killed worker's.
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert service.get("/metrics").status == 200, service.log
    for workers in ("2", "1"):
        service.kill()
        service.settings["WEB_CONCURRENCY"] = workers
        service.start()
        left = list((tmp_path / "temporary").glob("alert-threader-metrics-*"))
        assert len(left) == int(workers) - 1
    service.stop()


def test_listening_to_everybody_without_a_token(make_replica: MakeReplica) -> None:
    """Is warned of at the start; not so with a token, or where only this machine can reach the service."""
    # Another way to write 127.0.0.1, which only the resolver understands.
    for settings, warned in (
        ({"BIND_HOST": "127.1"}, True),
        ({"BIND_HOST": "127.1", "WEBHOOK_TOKEN": "open-sesame"}, False),
        ({}, False),
    ):
        service = make_replica("one", **settings)
        service.log_file.unlink(missing_ok=True)
        service.start()
        assert ("set WEBHOOK_TOKEN, or BIND_HOST=127.0.0.1" in service.log) is warned
        service.stop()


def test_folder_that_is_cleaned_away(make_replica: MakeReplica, tmp_path: Path) -> None:
    """Whoever tidies up /tmp costs some numbers, never the service: what is replaced starts as ever."""
    service = make_replica("one", WEB_CONCURRENCY="2")
    service.start()
    wait_for(lambda: service.log.count(" ready ") == 2, 20)
    (folder,) = (tmp_path / "temporary").glob("alert-threader-metrics-*")
    shutil.rmtree(folder)
    assert (service.get("/metrics").status, service.get("/stats").status) == (200, 200)
    os.kill(service.workers[0], signal.SIGKILL)
    wait_for(lambda: service.log.count(" ready ") == 3, 20)
    service.send_until_taken(webhook("After"))
    service.stop()
