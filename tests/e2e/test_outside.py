"""The service in the world of docs/network.md: behind a reverse proxy with TLS, and over IPv6."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from harness.alertmanager import Alertmanager, notifying
from harness.servers import HOST, RedisServer, free_port, program
from harness.service import CHANNEL, Service, wait_for
from harness.webhooks import FIRED, webhook
from slack_sandbox.workspace import Workspace
from tests.documents import blocks

_WEBHOOK_TOKEN = "webhook-token-never-to-be-seen"


class Nginx:
    """Debian's nginx with the documents' server block, on a port of its own and with a certificate for this machine."""

    def __init__(self, folder: Path, service: Service) -> None:
        """Start it in front of a service."""
        folder.mkdir()
        self.port = free_port()
        self.certificate, private = folder / "alerts.pem", folder / "alerts.key"
        request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        files = ["-keyout", str(private), "-out", str(self.certificate)]
        subprocess.run([program("openssl"), *request.split(), *files], check=True, capture_output=True)
        (block,) = blocks("nginx")
        for example, here in (
            ("443", f"{HOST}:{self.port}"),
            ("alerts.example.com", "localhost"),
            ("/etc/ssl/certs/alerts.pem", str(self.certificate)),
            ("/etc/ssl/private/alerts.key", str(private)),
            ("127.0.0.1:9009", f"{HOST}:{service.port}"),
        ):
            assert example in block
            block = block.replace(example, here)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
        config = folder / "nginx.conf"
        # As root, its workers would become another user, who may not look into this folder.
        config.write_text(
            f"user root;\npid {folder}/pid;\ndaemon off;\nworker_processes 1;\nerror_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; {paths}\n{block} }}\n"
        )
        self.log_file = folder / "said.log"
        with self.log_file.open("wb") as log:
            command = [program("nginx"), "-e", str(folder / "error.log"), "-c", str(config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, 20, self.log_file.read_text)

    @property
    def url(self) -> str:
        """The service's address behind it."""
        return f"https://localhost:{self.port}/threader"

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log_file.read_text()
        try:
            return requests.get(f"{self.url}/health", verify=str(self.certificate), timeout=10).ok
        except requests.ConnectionError:
            return False


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service that asks for a token."""
    started = make_service(WEBHOOK_TOKEN=_WEBHOOK_TOKEN)
    started.start()
    return started


@pytest.fixture
def nginx(tmp_path: Path, service: Service) -> Iterator[Nginx]:
    """A proxy in front of it."""
    running = Nginx(tmp_path / "nginx", service)
    yield running
    running.stop()


def test_reverse_proxy(nginx: Nginx, workspace: Workspace, tmp_path: Path) -> None:
    """Alertmanager sends to a path of the proxy over TLS, and the service's own answers come back."""
    configuration = notifying(nginx.url, _WEBHOOK_TOKEN, ca=nginx.certificate)
    alertmanager = Alertmanager(tmp_path / "alertmanager", configuration)
    try:
        alertmanager.push("Proxied", {"db01": FIRED})
        wait_for(lambda: bool(workspace.roots(CHANNEL)), 20, lambda: alertmanager.log)
    finally:
        alertmanager.stop()
    assert "Proxied" in workspace.roots(CHANNEL)[0].text
    refused = requests.post(f"{nginx.url}/alert", json=webhook("Refused"), verify=str(nginx.certificate), timeout=10)
    assert refused.status_code == 401
    assert refused.json()["ok"] is False


def test_large_webhook_through_the_proxy(nginx: Nginx, workspace: Workspace) -> None:
    """What the service takes, the documented proxy lets through; nginx alone would stop at 1 MB."""
    body = webhook("Large")
    body["alerts"][0]["annotations"]["description"] = "x" * 8_000_000
    headers = {"Authorization": f"Bearer {_WEBHOOK_TOKEN}"}
    answer = requests.post(f"{nginx.url}/alert", json=body, headers=headers, verify=str(nginx.certificate), timeout=60)
    assert answer.ok, answer.text
    wait_for(lambda: bool(workspace.roots(CHANNEL)), 20)


@pytest.fixture
def ipv6() -> None:
    """The test is skipped where the system has no IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("there is no IPv6 here")


@pytest.mark.usefixtures("ipv6")
def test_ipv6(make_service: Callable[..., Service], workspace: Workspace, tmp_path: Path) -> None:
    """It listens on all addresses of both kinds, and finds a Redis by its IPv6 address."""
    with RedisServer(tmp_path / "redis", bind="127.0.0.1 ::1") as server:
        url = f"redis://[::1]:{server.port}/0"
        service = make_service(BIND_HOST="::", THREAD_STORE="redis", REDIS_URL=url, WEBHOOK_TOKEN=_WEBHOOK_TOKEN)
        service.start()
        for name, host in (("Old", HOST), ("New", "[::1]")):
            answer = requests.post(
                f"http://{host}:{service.port}/alert",
                json=webhook(name),
                headers={"Authorization": f"Bearer {_WEBHOOK_TOKEN}"},
                timeout=10,
            )
            assert answer.status_code == 200, answer.text
        service.stop()
    assert len(workspace.roots(CHANNEL)) == 2
