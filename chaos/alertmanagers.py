"""Real Alertmanagers in one cluster, which get alerts as Prometheus sends them."""

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.servers import HOST, free_port, program

_CONFIG = """
route:
  receiver: {default}
  group_by: [alertname]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
{routes}
receivers:
{receivers}
"""
_ROUTE = """
    - receiver: {channel}
      matchers: [channel="{channel}"]
"""
_RECEIVER = """
  - name: {channel}
    webhook_configs:
      - url: {url}/alert/{channel}
        send_resolved: true
"""
_STARTING = 40.0


class Alert(NamedTuple):
    """One alert: its labels, whether it fires, and since when."""

    labels: Mapping[str, str]
    firing: bool
    since: datetime


class Alertmanagers:
    """A cluster of them. Each is pushed every alert, and each notifies the same address."""

    def __init__(self, folder: Path, url: str, channels: Sequence[str], count: int = 2) -> None:
        """Take where their files are, whom they notify, and the channels, which the label ``channel`` chooses from."""
        self._folder = folder
        self._config = _CONFIG.format(
            default=channels[0],
            routes="".join(_ROUTE.format(channel=channel) for channel in channels),
            receivers="".join(_RECEIVER.format(channel=channel, url=url) for channel in channels),
        )
        self._ports = [free_port() for _ in range(count)]
        self._cluster_ports = [free_port() for _ in range(count)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> Self:
        """Start them, and wait until they know each other."""
        for number in range(len(self._ports)):
            self._processes.append(self._launch(number))
        until = time.monotonic() + _STARTING
        for port in self._ports:
            while not self._is_settled(port):
                assert all(process.poll() is None for process in self._processes), self.log
                assert time.monotonic() < until, f"the Alertmanagers do not find each other:\n{self.log}"
                time.sleep(0.05)
        return self

    def push(self, alerts: Sequence[Alert]) -> None:
        """Say which alerts fire and which have just stopped."""
        now = datetime.now(UTC)
        body = json.dumps(
            [
                {
                    "labels": alert.labels,
                    "annotations": {"summary": f"{alert.labels['instance']} is in trouble"},
                    "startsAt": alert.since.isoformat(),
                    "endsAt": (now + timedelta(hours=1) if alert.firing else now).isoformat(),
                    "generatorURL": "http://prometheus.example.test:9090/graph",
                }
                for alert in alerts
            ]
        )
        for port in self._ports:
            status, text = _ask(port, "POST", "/api/v2/alerts", body)
            assert status == 200, text

    @property
    def urls(self) -> list[str]:
        """Their addresses."""
        return [f"http://{HOST}:{port}" for port in self._ports]

    @property
    def log(self) -> str:
        """What they logged."""
        return "\n".join(file.read_text("utf-8", "replace") for file in sorted(self._folder.glob("*.log")))

    def stop(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, number: int) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "alertmanager.yml"
        config.write_text(self._config)
        own = f"{HOST}:{self._cluster_ports[number]}"
        command = [
            program("prometheus-alertmanager"),
            f"--config.file={config}",
            f"--storage.path={self._folder / f'data{number}'}",
            f"--web.listen-address={HOST}:{self._ports[number]}",
            f"--cluster.listen-address={own}",
            f"--cluster.advertise-address={own}",
            *(f"--cluster.peer={HOST}:{port}" for port in self._cluster_ports if f"{HOST}:{port}" != own),
            # A peer steps in after so long. It also has to hear soon of what the other one has sent.
            "--cluster.peer-timeout=1s",
            "--cluster.gossip-interval=50ms",
        ]
        with (self._folder / f"alertmanager{number}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _is_settled(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            status, text = _ask(port, "GET", "/api/v2/status")
            if status == 200:
                cluster: dict[str, Any] = json.loads(text)["cluster"]
                return cluster["status"] == "ready" and len(cluster["peers"]) == len(self._ports)
        return False


def _ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
