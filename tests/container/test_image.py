"""What is in the image, and what it says of itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from alert_threader import __version__
from harness import images
from harness.containers import Podman
from harness.service import ROOT

#: How much the image may add to the one it is built from, in bytes.
_MOST = 80_000_000

_DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps({each.name.lower(): each.version for each in importlib.metadata.distributions()}))
"""


def run(podman: Podman, image: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the image as its own user."""
    return podman.run(["podman", "run", "--rm", "--read-only", f"--entrypoint={program}", image, *arguments])


def test_what_it_says_of_itself(podman: Podman, image: str) -> None:
    """Labels, user, port, volume, signal: whoever runs it finds what they need, and no setting but the address."""
    found = podman.inspect(image)
    config = found["Config"]
    assert found["Healthcheck"]["Test"] == ["CMD", "alert-threader", "health"]
    assert config["User"] == "10001:0"
    assert config["Entrypoint"] == ["alert-threader"]
    assert config["Cmd"] == ["serve"]
    assert list(config["ExposedPorts"]) == ["9009/tcp"]
    assert list(config["Volumes"]) == ["/var/lib/alert-threader"]
    assert config["StopSignal"] == "SIGTERM"
    environ = dict(each.split("=", 1) for each in config["Env"])
    assert environ.pop("PATH").startswith("/opt/alert-threader/bin:")
    assert environ == {"BIND_HOST": "0.0.0.0"}
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in found["Labels"].items()}
    assert (labels["title"], labels["licenses"]) == ("Alert Threader", "MIT")
    assert labels["version"] == __version__
    assert labels["base.name"] == images.base_name()
    assert labels["description"]


def test_the_version(podman: Podman, image: str) -> None:
    """Any command can be given instead of `serve`."""
    assert podman("run", "--rm", image, "--version") == f"alert-threader {__version__}\n"


def test_it_is_small(podman: Podman, image: str) -> None:
    """It adds little to the image that it is built from."""
    added = podman.inspect(image)["Size"] - podman.inspect(images.base_name())["Size"]
    assert 10_000_000 < added < _MOST


def test_it_holds_the_pinned_versions_and_nothing_to_build_with(podman: Podman, image: str) -> None:
    """What was tested runs, and neither pip nor what it builds with came along."""
    pins = (line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if line[0] != "#")
    wanted = {name.lower(): version for name, version in pins}
    found = json.loads(run(podman, image, "python", "-c", _DISTRIBUTIONS).stdout)
    assert found == {**wanted, "alert-threader": __version__}


def test_it_adds_two_folders(podman: Podman, image: str) -> None:
    """No cache, no source and no wheel: only the program, and the state folder."""
    changes = (each.split(" ", 1) for each in podman("diff", image, images.base_name()).splitlines())
    added = {path for kind, path in changes if kind != "C" and not path.startswith("/opt/alert-threader/")}
    assert added == {"/opt/alert-threader", "/var/lib/alert-threader"}


def test_who_may_write_where(podman: Podman, image: str) -> None:
    """Any user in group 0 may write into the state folder, and others may not even look; nobody changes the program."""
    assert run(podman, image, "stat", "-c", "%a %u:%g", "/var/lib/alert-threader").stdout == "770 0:0\n"
    writable = ("!", "-type", "l", "-perm", "/022")
    assert run(podman, image, "find", "/opt/alert-threader", *writable, "-o", "!", "-user", "0").stdout == ""


def test_it_is_compiled(podman: Podman, image: str) -> None:
    """A start reads byte code: its user could not write any, and each start would compile all of it."""
    said = run(podman, image, "python", "-v", "-c", "import alert_threader.app, gunicorn.app.wsgiapp").stderr
    read = re.findall(r"^# code object from '?(/opt/alert-threader/.+?)'?$", said, re.MULTILINE)
    assert len(read) > 100
    assert [file for file in read if not file.endswith(".pyc")] == []


def test_only_the_sources_are_sent_to_the_builder() -> None:
    """Whatever else lies in the folder, such as a token, gets into no layer: the list names what is copied."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for line in images.CONTAINERFILE.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert allowed == copied
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_hadolint_is_silent() -> None:
    """The Containerfile follows the habits that its linter knows."""
    linter = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([linter, images.CONTAINERFILE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_missing_settings(podman: Podman, image: str, command: str) -> None:
    """Without settings it ends at once, and names what is missing."""
    ended = podman.run(["podman", "run", "--rm", "--read-only", image, command], check=False)
    assert ended.returncode == 1
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
        assert f"{name}: is not set" in ended.stdout + ended.stderr
