"""The image, built once for all tests of the folder, and what they run it with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import images
from harness.containers import Podman
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace
from tests.container.compose import Compose, make_stand_ins
from tests.container.kit import SLACK_PORT, Container


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman, without images."""
    with Podman(tmp_path_factory.mktemp("podman")) as podman:
        yield podman


@pytest.fixture(scope="session")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The project's image, by its name."""
    images.build(podman, tmp_path_factory.mktemp("image"))
    return images.IMAGE


@pytest.fixture
def slack(podman: Podman) -> Iterator[SandboxServer]:
    """Slack in the containers' network, without rate limits."""
    # On every address of a network that nobody else is in.
    server = SandboxServer(SLACK_PORT, "0.0.0.0", rate_limits=False)
    podman.ask(server.start)
    yield server
    server.stop()


@pytest.fixture
def workspace(slack: SandboxServer) -> Workspace:
    """What stands in Slack."""
    return slack.workspace


@pytest.fixture
def make(podman: Podman, image: str, slack: SandboxServer) -> Iterator[Callable[..., Container]]:  # noqa: ARG001
    """Make containers of the image, not yet started. At the end they are removed, with their volumes."""
    with ExitStack() as closing:

        def make(**more: str) -> Container:
            container = Container(podman, image, **more)
            closing.callback(container.remove)
            return container

        yield make


@pytest.fixture
def service(make: Callable[..., Container]) -> Container:
    """A running service."""
    container = make()
    container.start()
    return container


@pytest.fixture(scope="session")
def _stand_ins(podman: Podman, image: str, tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: ARG001
    """Images for what compose.yaml runs beside the service."""
    make_stand_ins(podman, tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture
def make_compose(podman: Podman, tmp_path: Path, _stand_ins: None) -> Iterator[Callable[[str], Compose]]:
    """Make the project in a folder of its own, for a profile; at the end nothing of it is left."""
    with ExitStack() as closing:

        def make(profile: str) -> Compose:
            compose = Compose(podman, tmp_path, profile)
            closing.callback(compose, "down", "--volumes")
            return compose

        yield make


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a bot token."""
    path = tmp_path / "slack_bot_token"
    path.write_text("xoxb-sandbox-from-a-file\n")
    return path
