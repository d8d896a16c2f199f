"""The demo as a person runs it: a process, its page, and nothing left when it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from harness.servers import program
from harness.service import ROOT

T = TypeVar("T")

GREEN = "#2EB67D"
#: Seconds that anything here may take: far more than it needs on a slow machine.
PATIENCE = 60.0


class Demo:
    """A running demo, its temporary files in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, clone: Path | None = None) -> None:
        """Start it, in a clone with ``make demo``."""
        self.folder = folder
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [program("make"), "demo"] if clone else [sys.executable, "-m", "alert_threader", "demo", *arguments],
            cwd=clone,
            env={
                **os.environ,
                **({} if clone else {"HTTP_PROXY": "http://127.0.0.1:1"}),  # pip may need the real one
                "TMPDIR": str(folder),
                "SLACK_CHANNEL": "nonsense",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        """What it said so far."""
        return "".join(self.said)

    def said_of(self, pattern: str) -> re.Match[str]:
        """Wait until it says something."""

        def said() -> re.Match[str] | None:
            found = re.search(pattern, self.text)
            assert found or self.process.poll() is None, f"it ended without {pattern!r}: {self.text}"
            return found

        return wait_for(said, lambda: f"{pattern!r} in {self.text!r}")

    def end(self, number: int = signal.SIGINT) -> int:
        """Ask it to end, as Ctrl-C in its terminal does; return its exit code."""
        os.killpg(self.process.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code

    def close(self) -> None:
        """End it whatever it does; gently at first, so that a failing test leaves no service behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def wait_for(condition: Callable[[], T | None], what: Callable[[], str]) -> T:
    """Wait until a condition is true and return its value."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < until, f"waited in vain for {what()}"
        time.sleep(0.02)
    return value


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes whose temporary folder is this one."""
    mark = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has just ended, or is another user's
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start demos; at the end of the test none runs any more."""
    started: list[Demo] = []

    def start_one(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments))
        return started[-1]

    yield start_one
    for demo in started:
        demo.close()


def messages(page: str) -> list[dict[str, Any]]:
    """What stands in the demo's channel, replies inside their roots."""
    (channel,) = requests.get(f"{page}sandbox/state", timeout=PATIENCE).json()["channels"]
    found: list[dict[str, Any]] = channel["messages"]
    return found


def test_incident(start: Callable[..., Demo]) -> None:
    """At the end there is one root per problem, all green, with its story in replies; Ctrl-C then leaves nothing."""
    demo = start("--speed", "20")
    page = demo.said_of(r"Open this page:  (http://127\.0\.0\.1:\d+/)\n")[1]
    demo.said_of("That was all")
    roots = messages(page)
    assert [root["attachments"][0]["color"] for root in roots] == [GREEN, GREEN, GREEN]
    assert [root["reply_count"] for root in roots[1:]] == [1, 1]
    assert all(root["edited"] for root in roots)
    assert [root["text"].split(" —")[0] for root in roots] == ["✅ RESOLVED"] * 3
    pods = " ".join(reply["text"] for reply in roots[0]["replies"])
    assert "RESOLVED (2 of 3) — Pods of the shop crash again and again (payment-7c9f5d8b6-p9m1z, ledger-0)" in pods
    assert "FIRING AGAIN" in pods
    answers = str(roots[0]["replies"])
    assert all(said in answers for said in ("Acknowledged by kim", "Silenced by lee", "Silence ended by lee"))
    assert "10.60.3.41" not in pods
    assert requests.get(f"{page}sandbox/calls", timeout=PATIENCE).json()["calls"]
    assert (
        len(re.findall(r"^  \d:\d\d  (?:P1|warning|info) .*\[(?:posted|replied|pressed)\]$", demo.text, re.MULTILINE))
        == 13
    )
    assert demo.end() == 0
    assert "Traceback" not in demo.text
    assert list(demo.folder.iterdir()) == []
    assert processes_of(demo.folder) == []


def test_make_demo_in_a_clone(tmp_path: Path) -> None:
    """It sets up all that it needs by itself, and shows the page."""
    clone, temporary = tmp_path / "clone", tmp_path / "temporary"
    temporary.mkdir()
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "*.egg-info")
    )
    demo = Demo(temporary, clone=clone)
    try:
        page = demo.said_of(r"Open this page:  (http://127\.0\.0\.1:\d+/)\n")[1]
        assert "Alert Threader" in requests.get(page, timeout=PATIENCE).text
        state = f"{page}sandbox/state"
        wait_for(lambda: requests.get(state, timeout=PATIENCE).json()["channels"], lambda: "an alert on the page")
        demo.end()
        assert "Traceback" not in demo.text
        assert processes_of(temporary) == []
    finally:
        demo.close()


def test_once(start: Callable[..., Demo]) -> None:
    """With --once it ends by itself after the incident, and leaves nothing."""
    demo = start("--once", "--speed", "50")
    assert demo.wait() == 0, demo.text
    assert "everything is green" in demo.text
    assert list(demo.folder.iterdir()) == []
    assert processes_of(demo.folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle(start: Callable[..., Demo], number: int) -> None:
    """Ctrl-C in the middle of the incident, or the end of its terminal, ends everything cleanly."""
    demo = start("--speed", "3")
    demo.said_of(r"A critical alert \(P1\) opens a thread")
    assert processes_of(demo.folder)
    assert demo.end(number) == 0
    assert "Traceback" not in demo.text
    assert list(demo.folder.iterdir()) == []
    assert processes_of(demo.folder) == []


def test_service_does_not_come_up(start: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service that does not start is explained by the end of its log."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "gunicorn.py").write_text("raise SystemExit('gunicorn is broken today')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")]))
    demo = start()
    assert demo.wait() == 1
    assert demo.text == (
        "alert-threader demo: the service did not start; its log ends with:\n  gunicorn is broken today\n"
    )
    assert list(demo.folder.iterdir()) == [broken]
