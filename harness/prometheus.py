"""Debian's Prometheus: it scrapes numbers that a test sets, evaluates a rule, and tells an Alertmanager."""

import contextlib
import http.client
import json
import subprocess
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.servers import HOST, free_port, program
from harness.service import wait_for
from harness.serving import Serving
from harness.webhooks import labels

_CONFIG = """
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["{alertmanager}"]}}]
scrape_configs:
  - job_name: trial
    honor_labels: true
    static_configs: [{{targets: ["{target}"]}}]
"""
_RULES = {
    "groups": [
        {
            "name": "trial",
            "rules": [
                {
                    "alert": name,
                    "expr": f'broken{{what="{name}"}} == 1',
                    "labels": {
                        label: value for label, value in labels(name).items() if label not in ("alertname", "instance")
                    },
                    "annotations": {"summary": f"{name} is broken on {{{{ $labels.instance }}}}"},
                }
                for name in ("Watchdog", "DiskFull", "NodeDown")
            ],
        }
    ]
}


class Prometheus:
    """A running Prometheus with three rules (Watchdog, DiskFull, NodeDown), each of which fires where it is told to."""

    def __init__(self, folder: Path, alertmanager: str) -> None:
        """Take where its files are, and the URL of an Alertmanager."""
        self._folder = folder
        self._alertmanager = alertmanager
        self._broken: dict[tuple[str, str], int] = {}
        self._port = free_port()
        handler = type("Handler", (_Numbers,), {"prometheus": self})
        self._target = Serving(ThreadingHTTPServer((HOST, 0), handler))

    def set(self, name: str, states: Mapping[str, bool]) -> None:
        """Say on which instances something is broken."""
        self._broken |= {(name, instance): int(is_broken) for instance, is_broken in states.items()}

    @property
    def numbers(self) -> str:
        """What it scrapes."""
        return "".join(
            f'broken{{what="{name}",instance="{instance}"}} {value}\n'
            for (name, instance), value in list(self._broken.items())
        )

    @property
    def log(self) -> str:
        """What it logged."""
        return (self._folder / "prometheus.log").read_text()

    def __enter__(self) -> Self:
        """Start it, and wait until it is ready."""
        self._folder.mkdir(parents=True)
        target = f"{HOST}:{self._target.start().port}"
        alertmanager = self._alertmanager.removeprefix("http://")
        (self._folder / "prometheus.yml").write_text(_CONFIG.format(alertmanager=alertmanager, target=target))
        (self._folder / "rules.yml").write_text(json.dumps(_RULES))
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
            # An Alertmanager that starts again hears of what fires soon.
            "--rules.alert.resend-delay=1s",
        ]
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(self._is_ready, 30, lambda: self.log)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        self._target.stop()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
            connection.request("GET", "/-/ready")
            is_ready = connection.getresponse().status == 200
            connection.close()
            return is_ready
        return False


class _Numbers(BaseHTTPRequestHandler):
    prometheus: Prometheus

    def do_GET(self) -> None:
        """Show the numbers."""
        text = self.prometheus.numbers.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Write nothing."""
