"""The application, with a sandbox for Slack."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alert_threader.app import create_app
from alert_threader.service import service_of
from alert_threader.settings.settings import Settings
from slack_sandbox import SandboxServer

CHANNEL = "C0DEFAULT01"

MakeApp = Callable[..., Flask]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A Slack that takes a hundred messages a second."""
    with SandboxServer(posts_per_second=100, post_burst=100, tier3_per_minute=5000) as server:
        yield server


@pytest.fixture
def make_app(sandbox: SandboxServer, tmp_path: Path) -> Iterator[MakeApp]:
    """Make a running application with some settings changed."""
    apps: list[Flask] = []

    def make(*, running: bool = True, **changes: str) -> Flask:
        environ = {
            "SLACK_BOT_TOKEN": "xoxb-sandbox-1",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": sandbox.api_url,
            "THREAD_STORE_FILE": str(tmp_path / "threads.json"),
            "SLACK_RATE": "100",
            "SLACK_BURST": "100",
            "SLACK_TIMEOUT": "1s",
        }
        app = create_app(Settings.from_environ({**environ, **changes}))
        apps.append(app)
        if running:
            service_of(app).start()
        return app

    yield make
    for app in apps:
        assert service_of(app).close(5)


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    """A client of an application with the usual settings."""
    return make_app().test_client()


def webhook(status: str = "firing", *names: str, **labels: str) -> dict[str, Any]:
    """A webhook with an alert for each instance name."""
    base = {"alertname": "TestCritical", "severity": "critical", "service": "database", "cluster": "production"}
    alerts = [
        {
            "labels": {**base, "instance": name, **labels},
            "annotations": {"summary": f"{name} is down"},
            "startsAt": "2026-01-15T14:30:25Z",
        }
        for name in names or ("db01",)
    ]
    return {"status": status, "alerts": alerts}
