"""The parts of an end-to-end test: a Slack that can be made to fail, and services that run against it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.service import Service
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace
from tests.e2e.outages import OUTAGES, Outage


@pytest.fixture(scope="session", autouse=True)
def outages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outage]]:
    """The outages by name. They begin with the first test, and ``test_outages.py`` asks how they went."""
    wanted = any(item.path.name == "test_outages.py" for item in request.session.items)
    with ExitStack() as closing:
        running = {}
        for name, tale in OUTAGES.items() if wanted else ():
            running[name] = Outage(tmp_path_factory.mktemp("outage"), tale)
            closing.callback(running[name].close)
        yield running


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """Slack without rate limits; a test that is about them sets its own."""
    with SandboxServer(port=0, rate_limits=False) as server:
        yield server


@pytest.fixture
def workspace(slack: SandboxServer) -> Workspace:
    """What stands in Slack."""
    return slack.workspace


@pytest.fixture
def make_service(tmp_path: Path, slack: SandboxServer) -> Iterator[Callable[..., Service]]:
    """Make services, not yet started. At the end they are killed, and nothing they wrote may hold a secret."""
    with ExitStack() as closing:

        def make(name: str = "service", **settings: str) -> Service:
            service = Service(tmp_path / name, **{"SLACK_API_URL": slack.api_url, **settings})
            closing.callback(service.close)
            return service

        yield make


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service."""
    started = make_service()
    started.start()
    return started
