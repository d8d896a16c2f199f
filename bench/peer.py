"""Alertmanager's own Slack receiver, to compare with: how it gets through the same troubles.

It posts to chat.postMessage itself, by the settings of its documentation
(https://prometheus.io/docs/alerting/latest/configuration/#slack_config), and gets alerts as Prometheus sends them.
"""

import contextlib
import http.client
import json
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.servers import HOST, free_port, program

NAME = "alertmanager"
CHANNEL = "C0BENCHALERTMANAGER"
_CONFIG = """
route:
  receiver: slack
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: slack
    slack_configs:
      - api_url: {api_url}chat.postMessage
        channel: {channel}
        http_config:
          authorization:
            credentials: xoxb-sandbox-bench
"""
_STARTING = 20.0


class Alertmanager:
    """Debian's Alertmanager, from `with` to the end of its block."""

    def __init__(self, folder: Path, api_url: str) -> None:
        """Take a folder for its files, and Slack's address."""
        self.channel = CHANNEL
        self._folder = folder
        self._api_url = api_url
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        config = self._folder / "alertmanager.yml"
        config.write_text(_CONFIG.format(api_url=self._api_url, channel=self.channel))
        command = [
            program("prometheus-alertmanager"),
            f"--config.file={config}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
            "--cluster.listen-address=",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + _STARTING
        while not self._is_ready():
            assert time.monotonic() < until, "Alertmanager does not start"
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    @property
    def version(self) -> str:
        """Which one it is."""
        return str(json.loads(self._ask("GET", "/api/v2/status"))["versionInfo"]["version"])

    def post(self, body: bytes) -> int:
        """Take the alerts of a webhook, as Prometheus would send them; return 200."""
        alerts = [
            {"labels": alert["labels"], "annotations": alert["annotations"], "startsAt": alert["startsAt"]}
            for alert in json.loads(body)["alerts"]
        ]
        self._ask("POST", "/api/v2/alerts", json.dumps(alerts))
        return http.client.OK

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            self._ask("GET", "/-/ready")
            return True
        return False

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        with contextlib.closing(http.client.HTTPConnection(HOST, self._port, timeout=10)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == http.client.OK, text
            return text
