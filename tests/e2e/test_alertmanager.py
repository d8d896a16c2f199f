"""A real Alertmanager drives the service: its timers, its groups, its retries."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.servers import HOST, free_port
from harness.service import CHANNEL, Service, wait_for
from harness.story import GREEN, RED, assert_delivered, delivered, root_of, said, words
from harness.webhooks import FIRED, RESOLVED, key, labels, print_of
from slack_sandbox.workspace import Workspace

_PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
_WEBHOOK_TOKEN = "webhook-token-never-to-be-seen"
_OTHER_CHANNEL = "C0DATABASE1"

#: group_interval and repeat_interval of the story, in seconds.
_GROUP_INTERVAL, _REPEAT_INTERVAL = 5, 20
#: What Alertmanager needs beyond its timers, on a busy machine.
_SLACK = 10.0

_CONFIG = """
route:
  receiver: threader
  group_by: [alertname]
  group_wait: 1s
  group_interval: {group_interval}s
  repeat_interval: {repeat_interval}s
  routes:
    - receiver: database-team
      matchers: [team="database"]
receivers:
  - name: threader
    webhook_configs:
      - url: {url}/alert
        send_resolved: true
        http_config: &http
          authorization:
            credentials: {token}
  - name: database-team
    webhook_configs:
      - url: {url}/alert/{other_channel}
        send_resolved: true
        http_config: *http
"""


class Alertmanager:
    """A running Alertmanager, which gets alerts as Prometheus sends them."""

    def __init__(self, folder: Path, service: Service) -> None:
        """Start one that notifies a service."""
        folder.mkdir()
        self._port = free_port()
        self.log_file = folder / "alertmanager.log"
        config = folder / "alertmanager.yml"
        config.write_text(
            _CONFIG.format(
                url=f"http://{HOST}:{service.port}",
                token=_WEBHOOK_TOKEN,
                other_channel=_OTHER_CHANNEL,
                group_interval=_GROUP_INTERVAL,
                repeat_interval=_REPEAT_INTERVAL,
            )
        )
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(_PROGRAM),
                    f"--config.file={config}",
                    f"--storage.path={folder / 'data'}",
                    f"--web.listen-address={HOST}:{self._port}",
                    "--cluster.listen-address=",
                    "--log.level=debug",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._is_ready, 20, lambda: self.log)

    @property
    def log(self) -> str:
        """What it logged."""
        return self.log_file.read_text()

    def push(self, name: str, states: Mapping[str, str], **more: str) -> None:
        """Say which instances of an alert fire, and which have just stopped."""
        now = datetime.now(UTC)
        alerts = [
            {
                "labels": labels(name, instance) | more,
                "annotations": {"summary": f"{name} is broken"},
                "startsAt": (now - timedelta(minutes=5)).isoformat(),
                "endsAt": (now + (timedelta(hours=1) if state == FIRED else timedelta(0))).isoformat(),
                "generatorURL": "http://prometheus.example.test:9090/graph",
            }
            for instance, state in states.items()
        ]
        assert self._ask("POST", "/api/v2/alerts", json.dumps(alerts)) == 200, self.log

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log
        with contextlib.suppress(OSError):
            return self._ask("GET", "/-/ready") == 200
        return False

    def _ask(self, method: str, path: str, body: str | None = None) -> int:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service that asks for a token."""
    started = make_service(WEBHOOK_TOKEN=_WEBHOOK_TOKEN, SLACK_TIMEOUT="1s")
    started.start()
    return started


@pytest.fixture
def alertmanager(tmp_path: Path, service: Service) -> Iterator[Alertmanager]:
    """An Alertmanager that notifies the service."""
    if _PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus-alertmanager is not installed, and CI must not skip it")
        pytest.skip("prometheus-alertmanager is not installed")
    running = Alertmanager(tmp_path / "alertmanager", service)
    yield running
    running.stop()


def test_an_incident(alertmanager: Alertmanager, service: Service, workspace: Workspace) -> None:
    """Firing, a member joins, part resolves, a repeat, all resolve; in between the service is killed and comes back."""
    name = "DatabaseCriticalFailure"
    sent = {print_of(name): [FIRED]}
    turn = _GROUP_INTERVAL + _SLACK

    # It opens; beside it an alert of another team's, by another route, into that team's channel.
    alertmanager.push(name, {"db01": FIRED})
    alertmanager.push("DiskFull", {"db09": FIRED}, team="database")
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, _SLACK)
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == RED
    assert root.mentions == ()
    workspace.wait_for(lambda: workspace.roots(_OTHER_CHANNEL), _SLACK)
    assert root_of(workspace, _OTHER_CHANNEL, f"{key('DiskFull')}@{_OTHER_CHANNEL}").color == RED

    # A member joins while the service is dead; Alertmanager tries again until it is back.
    service.kill()
    alertmanager.push(name, {"db02": FIRED})
    wait_for(lambda: "Notify attempt failed" in alertmanager.log, turn, lambda: alertmanager.log)
    assert delivered(workspace, CHANNEL) == sent
    service.start()
    sent[print_of(name, "db02")] = [FIRED]
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    assert_delivered(workspace, CHANNEL, sent)

    # One of the two resolves: said in a reply, the root still burns.
    alertmanager.push(name, {"db01": RESOLVED})
    sent[print_of(name)].append(RESOLVED)
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    service.wait_until_delivered()
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == RED
    assert "Firing: 1 | Resolved: 1" in words(root)

    # Alertmanager repeats itself, which changes nothing in the channel.
    before = workspace.messages(CHANNEL)
    before_repeat = webhooks(service)
    repeated = time.monotonic() + _REPEAT_INTERVAL + turn
    wait_for(lambda: webhooks(service) > before_repeat, repeated - time.monotonic(), lambda: alertmanager.log)
    service.wait_until_delivered()
    assert workspace.messages(CHANNEL) == before

    # All is well again.
    alertmanager.push(name, {"db02": RESOLVED})
    sent[print_of(name, "db02")].append(RESOLVED)
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, sent)
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == GREEN
    assert "RESOLVED" in root.text
    assert len(workspace.roots(CHANNEL)) == 1
    replies = workspace.replies(CHANNEL, root.ts)
    assert [reply.color for reply in replies] == [RED, GREEN, GREEN]
    assert [each.message for each in said(workspace, CHANNEL)] == [root, *replies]
    service.stop()


def webhooks(service: Service) -> int:
    """How many were answered since the service's start."""
    answer = service.request("GET", "/stats")
    return sum(answer.json["webhooks"].values())
