"""The documentation's section "Container" (docs/install.md), typed: podman for docker, on the image that is here."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import images
from harness.containers import Podman
from harness.service import CHANNEL, ROOT, wait_for
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace
from tests.container.compose import PATIENCE, SLACK, Compose
from tests.container.kit import PORT, SLACK_PORT, gateway

#: A person takes longer than the service to start.
_PATIENT = """
podman() {
  if [[ $1 == exec ]]; then
    until command podman exec alert-threader alert-threader health >/dev/null 2>&1; do sleep 0.1; done
  fi
  command podman "$@"
}
"""


def section(title: str) -> list[str]:
    """The commands of a part of the section, a block each."""
    container = re.split(r"^## ", (ROOT / "docs" / "install.md").read_text("utf-8"), flags=re.MULTILINE)
    text = next(each for each in container if each.startswith("Container\n"))
    parts = re.split(r"^### ", text, flags=re.MULTILINE)
    part = next(each for each in parts if each.startswith(f"{title}\n"))
    return re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


@pytest.fixture
def types(podman: Podman, image: str, slack: SandboxServer, tmp_path: Path) -> Iterator[Callable[[str], str]]:  # noqa: ARG001
    """Type commands into a shell. Slack is another one, and may be asked as often as one likes."""
    elsewhere = f"--env SLACK_API_URL=http://{gateway(podman)}:{SLACK_PORT}/api/ --env SLACK_CHANNEL={CHANNEL}"

    def types(commands: str) -> str:
        here = re.sub(r"\bdocker\b", "podman", commands.replace("xoxb-…", "xoxb-sandbox"))
        here = here.replace("--env SLACK_CHANNEL=C0123456789", elsewhere)
        ended = podman.run(["bash", "-euo", "pipefail", "-c", _PATIENT + here], cwd=tmp_path)
        return ended.stdout

    yield types
    podman("rm", "--force", "--time=0", "--ignore", "alert-threader")
    podman("volume", "rm", "--force", "alert-threader")


def test_one_container(types: Callable[[str], str], workspace: Workspace, tmp_path: Path) -> None:
    """It runs as the page says, and what was backed up is there again."""
    secrets, run = section("Run one container")
    types(secrets)
    said = types(run)
    assert "FAIL" not in said
    assert "resolved: " in said
    root, reply = workspace.messages(CHANNEL)
    assert reply.thread_ts == root.ts
    backup, restore = section("Backups and upgrades")
    types(backup)
    assert len(list((tmp_path / "backups").iterdir())) == 1
    types(restore)
    said = types("docker exec alert-threader alert-threader check")
    assert "1 thread" in said
    assert "FAIL" not in said


def test_build() -> None:
    """The commands are the ones with which the image is built here."""
    [command] = section("Container")
    assert command == f"docker build --file {images.CONTAINERFILE.name} --tag alert-threader .\n"


def test_compose(make_compose: Callable[[str], Compose], slack: SandboxServer, podman: Podman) -> None:  # noqa: ARG001
    """The settings that the page gives start the profile that it names."""
    compose = make_compose("file")
    compose.install()
    settings = section("Compose")[0].partition("docker compose")[0]
    podman.run(["bash", "-euo", "pipefail", "-c", settings], cwd=compose.folder)
    compose.up(SLACK_API_URL=SLACK)
    compose.wait_until_served(PORT)
    said = compose("exec", "-T", "alert-threader", "alert-threader", "check").stdout
    assert "C0123456789" in said
    assert "FAIL" not in said


def test_another_alert(make_compose: Callable[[str], Compose], podman: Podman) -> None:
    """The alert that one can send from another terminal gets to Alertmanager."""
    compose = make_compose("try")
    compose.options = ("--profile=try",)
    compose.up()
    up, alert = section("Try it without Slack")
    assert up == "docker compose --profile try up --build\n"
    words = alert.replace("\\\n", " ").split()
    assert words[:5] == ["docker", "compose", "--profile", "try", "exec"]
    wait_for(
        lambda: podman.run(["podman", "exec", f"alert-threader_{words[5]}_1", *words[6:]], check=False).returncode == 0,
        PATIENCE,
    )
    said = podman(
        "exec", "alert-threader_alertmanager_1", "amtool", "alert", "--alertmanager.url=http://127.0.0.1:9093"
    )
    assert "HighLoad" in said
