"""The wheel: built, looked at, and installed into an empty virtual environment."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from alert_threader import __version__
from harness.servers import HOST, free_port
from harness.service import wait_for
from harness.webhooks import webhook
from slack_sandbox import SandboxServer
from tests.documents import ROOT

_CHANNEL = "C0123456789"


def run(*command: object, **more: str) -> str:
    """Run a command to its end; return what it prints."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=more.get("cwd", ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel and the source package; they are made from a copy of what git knows."""
    clone, folder = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    run("cp", "-R", ROOT / "src", clone)
    run("rm", "-rf", *(clone / "src").glob("*.egg-info"))
    run(sys.executable, "-m", "build", "--outdir", folder, clone)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(built: list[Path]) -> Path:
    """The wheel."""
    (found,) = [path for path in built if path.suffix == ".whl"]
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an empty environment, into which it was installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    run(folder / "bin/pip", "install", "--quiet", "--constraint", ROOT / "requirements.txt", wheel)
    return folder / "bin"


def test_index_would_take_it(built: list[Path]) -> None:
    """The check of the package index finds nothing wrong with either package."""
    assert len(built) == 2
    assert run(sys.executable, "-m", "twine", "check", "--strict", *built).count("PASSED") == 2


def test_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Each file of src is in it, pages and type marker too, and no test."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licenses = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*") if path.is_file()}
    kept = {str(path) for path in sources if "__pycache__" not in path.parts and "egg-info" not in path.parts[0]}
    assert names == kept
    assert len(licenses) == 1


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """What stands in for Slack."""
    with SandboxServer(port=0) as server:
        yield server


def test_serves(installed: Path, slack: SandboxServer, tmp_path: Path) -> None:
    """`serve` runs from any folder; a webhook becomes a message, and the version is one everywhere."""
    assert run(installed / "alert-threader", "--version", cwd=str(tmp_path)).split()[-1] == __version__
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "SLACK_BOT_TOKEN": "xoxb-sandbox-1",
        "SLACK_CHANNEL": _CHANNEL,
        "SLACK_API_URL": slack.api_url,
        "BIND_PORT": str(port),
        "THREAD_STORE_FILE": str(tmp_path / "state/threads.json"),
    }
    url = f"http://{HOST}:{port}"
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen([installed / "alert-threader", "serve"], cwd="/", env=environ, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or _answers(url), 30, (tmp_path / "log").read_text)
            assert requests.post(f"{url}/alert", json=webhook("Packed"), timeout=30).status_code == 200
            assert f'version="{__version__}"' in requests.get(f"{url}/metrics", timeout=30).text
        finally:
            process.terminate()
            code = process.wait(30)
    assert code == 0, (tmp_path / "log").read_text()
    assert "Packed" in slack.workspace.roots(_CHANNEL)[0].text


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=10).ok
    except requests.ConnectionError:
        return False
