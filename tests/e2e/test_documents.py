"""The documented commands as a person types them in a clone. Those with sudo are run by tests/install."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from harness.servers import HOST, RedisServer, free_port, program
from harness.service import wait_for
from slack_sandbox import SandboxServer
from tests.documents import HTTP, OPERATIONS, README, ROOT, TWO_WAY, blocks

CHANNEL = "C0123456789"
#: The command that runs until Ctrl-C.
SERVES = "alert-threader serve"
#: How long a command may take, in seconds: one of them installs from the network.
PATIENCE = 180.0
#: What a clone needs to be installed from.
SOURCES = ("src", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")


def lines_of(part: str, document: str = README) -> list[str]:
    """The lines of a document's only block of commands in which this stands."""
    (found,) = [block for block in blocks("sh", of=document) if part in block]
    return found.splitlines()


class Person:
    """Somebody with a terminal in a clone."""

    def __init__(self, folder: Path, slack_url: str, redis_url: str) -> None:
        """Take an empty folder, and what stands in for Slack and for the Redis of the documents."""
        self.port = free_port()
        self._clone = folder / "clone"
        self._clone.mkdir()
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self._clone / name)
        (self._clone / "tests").symlink_to(ROOT / "tests")
        self._redis_url = redis_url
        self._environ = {
            **{name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")},
            "HOME": str(folder),
            "SLACK_API_URL": slack_url,
            "BIND_PORT": str(self.port),
        }

    def types(self, *lines: str) -> str:
        """Type lines; return what they print. The test fails where one of them does."""
        ended = subprocess.run(
            ["bash", "-ec", self._here("\n".join(lines))],
            cwd=self._clone,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    @contextmanager
    def runs(self, *lines: str) -> Iterator[None]:
        """Type lines of which the last one serves; inside, the service answers."""
        assert lines[-1] == SERVES
        script = self._here("\n".join([*lines[:-1], f"exec {SERVES}"]))
        with (self._clone / "said").open("w+") as said:
            process = subprocess.Popen(
                ["bash", "-ec", script], cwd=self._clone, env=self._environ, stdout=said, stderr=said
            )
            try:
                wait_for(lambda: process.poll() is not None or self._is_healthy(), PATIENCE)
                assert process.poll() is None, (self._clone / "said").read_text()
                yield
            finally:
                process.terminate()
                process.wait(PATIENCE)
            assert process.returncode == 0, (self._clone / "said").read_text()

    def press_unsigned(self) -> int:
        """Send what is not from Slack to where Slack sends presses; return the answer's status."""
        answer = requests.post(f"http://{HOST}:{self.port}/slack/interactive", {"payload": "{}"}, timeout=PATIENCE)
        return answer.status_code

    def _here(self, script: str) -> str:
        """With this place's own values, as the reader puts in theirs."""
        for example, ours in (
            ("xoxb-your-token", "xoxb-sandbox-1"),
            ("xapp-your-token", "xapp-sandbox-1"),
            ("127.0.0.1:9009", f"{HOST}:{self.port}"),
            ("redis://127.0.0.1:6379/0", self._redis_url),
        ):
            script = script.replace(example, ours)
        return script

    def _is_healthy(self) -> bool:
        try:
            return requests.get(f"http://{HOST}:{self.port}/health", timeout=PATIENCE).ok
        except requests.RequestException:
            return False


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """An empty Redis."""
    with RedisServer(tmp_path / "redis") as server:
        yield server.url


def test_from_the_quick_start_to_redis(tmp_path: Path, slack: SandboxServer, redis_url: str) -> None:
    """The quick start ends with a thread, the other commands work, and with Redis the threads go on."""
    program("curl")
    person = Person(tmp_path, slack.api_url, redis_url)
    start = lines_of(SERVES)
    settings = [line for line in start if line.startswith("export ")]
    send_test = lines_of("send-test")
    fire, resolve = blocks("sh", of=HTTP)
    redis = lines_of(SERVES, "docs/stores.md")
    over_sockets, over_http = (lines_of(name, TWO_WAY) for name in ("xapp-", "SIGNING_SECRET"))
    with person.runs(*start):
        person.types(*settings, *send_test)
        assert [root.color for root in slack.workspace.roots(CHANNEL)] == ["#2EB67D"]
        assert '"delivery":"posted"' in person.types(fire)
        assert "on a phone: 🚨 CRITICAL" in person.types(*settings, *lines_of("render", OPERATIONS))
    with person.runs(*settings, *over_sockets, SERVES):
        wait_for(lambda: slack.workspace.sockets.count, PATIENCE)
    with person.runs(*settings, *over_http, SERVES):
        assert person.press_unsigned() == HTTPStatus.UNAUTHORIZED
    person.types(*settings, *redis[:2], *lines_of("migrate", "docs/stores.md"))
    with person.runs(*settings, *redis):
        assert '"delivery":"replied"' in person.types(resolve)
    roots = [root.text for root in slack.workspace.roots(CHANNEL)]
    assert [text for text in roots if "Database Critical Failure" in text] == [
        "✅ RESOLVED — Database Critical Failure (db01.example.com) [production]"
    ]


def test_same_start_twice() -> None:
    """The way into a virtual environment is the same in the README and on its page."""
    assert lines_of(SERVES) == lines_of(SERVES, "docs/install.md")


def test_every_command_is_typed() -> None:
    """Whatever stands in a block of commands is run by a test: here, or by one of those named below."""
    other_blocks = re.compile(
        r"docker |secrets/"  # tests/container/test_documents.py
        r"|kubectl |helm |deploy/kubernetes"  # tests/deploy/test_documents.py
        r"|curl "  # above, and tests/app/test_documents.py
    )
    elsewhere = re.compile(
        r"make (demo|test|lint|bench|docs|chaos)"  # tests/e2e/test_demo.py, tests/app/test_site.py, test_chaos.py, CI
        r"|\.venv/bin/python -m chaos .*"  # tests/e2e/test_chaos.py
        r"|sudo .*|echo SLACK_CHANNEL=.* \| sudo tee .*"  # tests/install
        r"|redis-cli ACL SETUSER .*"  # tests/stores/redis/test_permissions.py
        r"|export REDIS_(SENTINELS|SENTINEL_MASTER|KEY_PREFIX)=.*"  # tests/stores/redis
    )
    here = {
        *lines_of(SERVES),
        *lines_of("send-test"),
        *lines_of("render", OPERATIONS),
        *lines_of("xapp-", TWO_WAY),
        *lines_of("SIGNING_SECRET", TWO_WAY),
        *lines_of(SERVES, "docs/stores.md"),
        *lines_of("migrate", "docs/stores.md"),
    }
    lines = [line for block in blocks("sh") if not other_blocks.search(block) for line in block.splitlines()]
    assert [line for line in lines if line not in here and not elsewhere.fullmatch(line)] == []
