"""The README's commands as a person types them in a clone. Those with sudo are run by tests/install."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from harness.servers import HOST, RedisServer, free_port, program
from harness.service import wait_for
from slack_sandbox import SandboxServer
from tests.readme import ROOT, blocks

CHANNEL = "C0123456789"
#: A command that runs until Ctrl-C.
SERVES = ".venv/bin/gunicorn -c gunicorn.conf.py"
#: How long a command may take, in seconds.
PATIENCE = 60.0


def lines_of(part: str) -> list[str]:
    """The lines of the README's only code block in which this stands."""
    (found,) = [block for block in blocks("README.md", "sh") if part in block]
    return found.splitlines()


class Person:
    """Somebody with a terminal in a clone, in which `make install` was run."""

    def __init__(self, folder: Path, slack_url: str, redis_url: str) -> None:
        """Take an empty folder, and what stands in for Slack and for the Redis of the README."""
        self.port = free_port()
        self._clone = folder / "clone"
        self._redis_url = redis_url
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "src"),
            "SLACK_API_URL": slack_url,
            "BIND_PORT": str(self.port),
        }
        (self._clone / ".venv/bin").mkdir(parents=True)
        for name in ("alert-threader", "gunicorn"):
            command = self._clone / ".venv/bin" / name
            command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {name.replace("-", "_")} "$@"\n')
            command.chmod(0o755)
        for name in ("gunicorn.conf.py", "tests"):
            (self._clone / name).symlink_to(ROOT / name)

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
        script = self._here("\n".join(lines)).replace(SERVES, f"exec {SERVES}")
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

    def _here(self, script: str) -> str:
        """With this place's own values, as the README's reader puts in theirs."""
        for example, ours in (
            ("xoxb-your-token", "xoxb-sandbox-1"),
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


def test_commands(tmp_path: Path, slack: SandboxServer, redis_url: str) -> None:
    """From the first check to a thread, on to the other commands, and over to Redis, where the thread goes on."""
    program("curl")
    person = Person(tmp_path, slack.api_url, redis_url)
    _, *start = lines_of("make install")  # which tests/e2e/test_demo.py runs, as a part of make demo
    settings = [line for line in start if line.startswith("export ")]
    redis = lines_of("export THREAD_STORE=redis")
    others = lines_of(".venv/bin/alert-threader render")
    with person.runs(*start):
        assert '"delivery":"posted"' in person.types(*lines_of('-d \'{\n  "status": "firing"'))
        said = person.types(*settings, *(line for line in others if re.search(r" (check|send-test|render) ?", line)))
        assert "on a phone: 🚨 CRITICAL" in said
    person.types(*settings, *redis[:2], *lines_of("migrate file redis"))
    with person.runs(*settings, *redis):
        assert '"delivery":"replied"' in person.types(*lines_of('-d \'{\n  "status": "resolved"'))
    roots = [root.text for root in slack.workspace.roots(CHANNEL)]
    assert [text for text in roots if "Database Critical Failure" in text] == [
        "✅ RESOLVED — Database Critical Failure (db01.example.com) [production]"
    ]
    assert len(roots) == 2
