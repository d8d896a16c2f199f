"""The delivered ``alertmanager-threader.yml`` in a real Alertmanager: what it sends where, and what it holds back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.alertmanager import Alertmanager
from harness.servers import HOST
from harness.service import CHANNEL, Service, wait_for
from harness.webhooks import FIRED, RESOLVED
from slack_sandbox.workspace import Workspace

_CONFIG = Path(__file__).parents[2] / "alertmanager-threader.yml"
_TOKEN = "webhook-token-never-to-be-seen"
_DATABASE_CHANNEL = "C0123456789"
_GREEN = "#2EB67D"


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service that asks for a token."""
    started = make_service(WEBHOOK_TOKEN=_TOKEN, SLACK_TIMEOUT="1s")
    started.start()
    return started


@pytest.fixture
def alertmanager(tmp_path: Path, service: Service) -> Iterator[Alertmanager]:
    """An Alertmanager with the delivered configuration; only addresses and times are this test's."""
    token = tmp_path / "token"
    token.write_text(f"{_TOKEN}\n")
    config = _CONFIG.read_text()
    for delivered, here in (
        ("http://127.0.0.1:9009/", f"http://{HOST}:{service.port}/"),
        ("credentials_file: /etc/prometheus/alert-threader-token", f"credentials_file: {token}"),
        ("group_wait: 10s", "group_wait: 1s"),
        ("group_interval: 1m", "group_interval: 2s"),
    ):
        assert delivered in config
        config = config.replace(delivered, here)
    running = Alertmanager(tmp_path / "alertmanager", config)
    yield running
    running.stop()


def test_delivered_configuration(alertmanager: Alertmanager, workspace: Workspace) -> None:
    """A critical alert opens a thread that turns green; its warning is held back; databases have their channel."""
    problem = {"service": "api", "cluster": "production"}
    alertmanager.push("Down", {"api01": FIRED}, severity="critical", **problem)
    alertmanager.push("Down", {"api01": FIRED}, severity="warning", **problem)
    alertmanager.push("Full", {"db01": FIRED}, severity="critical", service="database")
    wait_for(lambda: workspace.roots(CHANNEL) and workspace.roots(_DATABASE_CHANNEL), 15, lambda: alertmanager.log)
    alertmanager.push("Down", {"api01": RESOLVED}, severity="warning", **problem)
    alertmanager.push("Down", {"api01": RESOLVED}, severity="critical", **problem)
    wait_for(lambda: [root for root in workspace.roots(CHANNEL) if root.color == _GREEN], 15, lambda: alertmanager.log)
    assert len(workspace.roots(CHANNEL)) == len(workspace.roots(_DATABASE_CHANNEL)) == 1
