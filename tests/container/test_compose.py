"""compose.yaml, run as it is: with podman-compose, on stand-ins for the images that a registry would have."""

import json
import urllib.request
from collections.abc import Callable
from contextlib import suppress

from harness.containers import Podman
from harness.servers import HOST
from harness.service import CHANNEL, wait_for
from harness.story import GREEN, RED, assert_delivered
from harness.webhooks import FIRED, RESOLVED, print_of, webhook
from slack_sandbox.workspace import Workspace
from tests.container.compose import PATIENCE, SLACK, Compose
from tests.container.kit import PORT, SLACK_PORT


def test_file(make_compose: Callable[[str], Compose], workspace: Workspace) -> None:
    """One service: its threads outlive its container."""
    compose = make_compose("file")
    compose.install()
    compose.up(SLACK_API_URL=SLACK)
    compose.wait_until_served(PORT)
    compose.send(webhook("DiskFull"))
    compose("down")
    compose.up(SLACK_API_URL=SLACK)
    compose.wait_until_served(PORT)
    compose.send(webhook("DiskFull", {"db01": RESOLVED}))
    wait_for(lambda: len(workspace.messages(CHANNEL)) == 2, PATIENCE, compose.logs)
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED, RESOLVED]})


def test_redis(make_compose: Callable[[str], Compose], workspace: Workspace) -> None:
    """Two replicas share their threads, which outlive all containers, Redis's too; one replica alone goes on."""
    compose = make_compose("redis")
    compose.install()
    compose.up(SLACK_API_URL=SLACK)
    compose.wait_until_served(PORT, PORT + 1)
    compose.send(webhook("DiskFull"), PORT)
    compose("down")
    compose.up(SLACK_API_URL=SLACK)
    compose("stop", "alert-threader-1")
    compose.wait_until_served(PORT + 1)
    compose.send(webhook("DiskFull", {"db01": RESOLVED}), PORT + 1)
    wait_for(lambda: len(workspace.messages(CHANNEL)) == 2, PATIENCE, compose.logs)
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED, RESOLVED]})


def test_try(make_compose: Callable[[str], Compose], podman: Podman) -> None:
    """Without any setting an alert goes from Alertmanager to the page; resolved, its thread turns green."""
    compose = make_compose("try")
    compose.options = ("--profile=try",)

    def threads() -> list[str]:
        with urllib.request.urlopen(f"http://{HOST}:{SLACK_PORT}/sandbox/state", timeout=10) as answer:
            channels = json.load(answer)["channels"]
        roots = [root for channel in channels for root in channel["messages"]]
        return [f"{root['metadata']['event_payload']['key']} {root['attachments'][0]['color']}" for root in roots]

    def is_shown(colour: str) -> bool:
        with suppress(OSError):
            return podman.ask(threads) == [f"DiskFull|critical|database|default|production {colour}"]
        return False

    compose.up()
    wait_for(lambda: is_shown(RED), PATIENCE, compose.logs)
    labels = ("DiskFull", "severity=critical", "service=database", "instance=db01")
    ended = ("--end=2020-01-01T00:00:00Z", "--alertmanager.url=http://127.0.0.1:9093")
    podman("exec", "alert-threader_alertmanager_1", "amtool", "alert", "add", *labels, *ended)
    wait_for(lambda: is_shown(GREEN), PATIENCE, compose.logs)
