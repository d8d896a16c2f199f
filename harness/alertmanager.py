"""Debian's Alertmanager: it gets alerts as Prometheus sends them, and notifies a service."""

import contextlib
import http.client
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.servers import HOST, free_port, program
from harness.service import wait_for
from harness.webhooks import FIRED, labels

#: group_interval and repeat_interval, in seconds.
GROUP_INTERVAL, REPEAT_INTERVAL = 5, 20
#: Where alerts with the label team="database" go.
OTHER_CHANNEL = "C0DATABASE1"

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
          tls_config:
            ca_file: {ca}
  - name: database-team
    webhook_configs:
      - url: {url}/alert/{other_channel}
        send_resolved: true
        http_config: *http
"""


def notifying(url: str, token: str, *, ca: Path | None = None) -> str:
    """The configuration that notifies the service at an address, with its webhook token; ``ca`` is trusted for TLS."""
    return _CONFIG.format(
        url=url,
        token=token,
        ca=ca or "''",
        other_channel=OTHER_CHANNEL,
        group_interval=GROUP_INTERVAL,
        repeat_interval=REPEAT_INTERVAL,
    )


class Alertmanager:
    """A running Alertmanager, which gets alerts as Prometheus sends them."""

    def __init__(self, folder: Path, configuration: str) -> None:
        """Start one with this configuration (``notifying``)."""
        folder.mkdir()
        self._port = free_port()
        self._folder = folder
        self.log_file = folder / "alertmanager.log"
        (folder / "alertmanager.yml").write_text(configuration)
        self.start()

    def start(self) -> None:
        """Start it, again with what it had stored."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus-alertmanager"),
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--storage.path={self._folder / 'data'}",
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
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._port}"

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
