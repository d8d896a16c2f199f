"""Where an installation is: a Slack and a port, outside the box, so that they outlive a reboot."""

from collections.abc import Iterator

import pytest

from harness.servers import free_port
from slack_sandbox import SandboxServer
from tests.install.kit import Place


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A Slack that takes a hundred messages a second, and a port for the service."""
    with SandboxServer(posts_per_second=100, post_burst=100, tier3_per_minute=5000) as slack:
        yield Place(free_port(), slack)
