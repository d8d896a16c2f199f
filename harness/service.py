"""The service as it runs: gunicorn as a process of its own, which can be killed, stopped, reloaded and asked.

Everything that is sent and answered, logged or stored goes through here, so that one place can look for secrets in it.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import pytest

import alert_threader
from alert_threader.store.reading import read_store
from harness.servers import HOST, free_port

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "gunicorn.conf.py"
CHANNEL = "C0ALERTS1"
#: The sandbox takes any token that begins so. What follows must be seen nowhere.
TOKEN = "xoxb-sandbox-7f3a-never-to-be-seen"

#: How long a service may take to answer for the first time, in seconds: far more than it needs on a slow machine.
_STARTING = 20.0
#: The longest that one answer may take, in seconds.
_ANSWERING = 30.0


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def ok(self) -> bool:
        """Whether the sender need not send it again."""
        return 200 <= self.status < 300

    @property
    def error(self) -> str:
        """What an error says, once its form is checked: one line of JSON, on one line."""
        assert self.headers["content-type"].startswith("application/json"), self
        assert len(self.text.strip().splitlines()) == 1, self
        said = self.json
        assert said["ok"] is False, self
        assert set(said) == {"ok", "error"}, self
        assert said["error"].strip(), self
        assert len(said["error"].splitlines()) == 1, self
        assert len(said["error"]) <= 500, self
        return str(said["error"])


class Service:
    """One installation: its settings, folder and port stay, the process comes and goes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Take where its files are; ``settings`` are environment variables, Slack's address among them."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.store = folder / "store" / "threads.json"
        self.log_file = folder / "service.log"
        self.settings = {
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_CHANNEL": CHANNEL,
            "BIND_PORT": str(self.port),
            "THREAD_STORE_FILE": str(self.store),
            "RESPONSE_WAIT": "2s",
            "SLACK_TIMEOUT": "2s",
            "GRACEFUL_TIMEOUT": "10s",
            # Slack's pace is the storm's subject; elsewhere it would only make tests slow. Edits keep up with it.
            "SLACK_RATE": "100",
            "SLACK_BURST": "100",
            **settings,
        }
        #: The code that runs, and gunicorn's settings for it.
        self.source = Path(alert_threader.__file__).parents[1]
        self.config = CONFIG
        #: What starts it: a program and its options, if it is to have less than this process has.
        self.wrapper: Sequence[str] = ()
        #: Where it writes what it logs, if not into its file.
        self.stderr: int | None = None
        self.answers: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    # -- the process --------------------------------------------------------------------------------------------

    @property
    def environ(self) -> dict[str, str]:
        """Its whole environment: nothing of the tests' own gets in (proxies, credentials)."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        home = {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        return {**kept, **home, "PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1", **self.settings}

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "gunicorn", "-c", str(self.config)],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if self.stderr is None else self.stderr,
                start_new_session=True,
            )
        return self._process

    def start(self) -> None:
        """Start and wait until it answers."""
        process = self.launch()
        until = time.monotonic() + _STARTING
        while not self.answers_health():
            assert process.poll() is None, f"it ended with {process.returncode} at its start:\n{self.log}"
            assert time.monotonic() < until, f"it did not answer:\n{self.log}"
            time.sleep(0.01)

    def answers_health(self) -> bool:
        """Whether it answers at all."""
        try:
            return self.get("/health").status in (200, 503)
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        """Kill -9, the worker as well as its master: none of them runs another line."""
        assert self._process is not None
        workers = self.workers
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None
        _wait_until_ended(workers)

    def stop(self, within: float | None = None) -> float:
        """Stop as systemd does; return how many seconds it took, at most ``within`` (its graceful timeout)."""
        assert self._process is not None
        workers = self.workers
        limit = within or float(self.settings["GRACEFUL_TIMEOUT"].removesuffix("s")) + 2
        began = time.monotonic()
        self._process.terminate()
        try:
            code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            log = self.log
            self.kill()
            pytest.fail(f"it did not stop within {limit} s:\n{log}")
        took = time.monotonic() - began
        self._process = None
        _wait_until_ended(workers)
        assert code == 0, f"it ended with {code}:\n{self.log}"
        return took

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have gunicorn replace its worker, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def add_worker(self) -> None:
        """Ask gunicorn for one more worker, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTTIN)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since; it may have ended by itself."""
        return self._process is not None

    @property
    def workers(self) -> list[int]:
        """The processes that answer requests."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    @property
    def log(self) -> str:
        """Everything logged so far, of all its processes."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    # -- requests -----------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask on a connection of its own. Raises OSError or HTTPException where there is no answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_ANSWERING)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        finally:
            connection.close()
        answer = Answer(response.status, text, {name.lower(): value for name, value in response.getheaders()})
        self.answers.append(f"{answer.headers} {text}")
        return answer

    def get(self, path: str) -> Answer:
        """Ask for something."""
        return self.request("GET", path)

    def send(self, payload: object, path: str = "/alert", **headers: str) -> Answer:
        """Send a webhook: bytes as they are, anything else as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **headers})

    def send_until_taken(self, payload: object, path: str = "/alert", *, pause: float = 0.02) -> Counter[int]:
        """Send a webhook as Alertmanager does: again and again until it is taken. An answer of 4xx is a failure.

        Returns how often it was answered with which status, 0 for no answer.
        """
        until = time.monotonic() + 60
        answered: Counter[int] = Counter()
        while True:
            try:
                answer = self.send(payload, path)
            except (OSError, http.client.HTTPException):
                answered[0] += 1
            else:
                answered[answer.status] += 1
                if answer.ok:
                    return answered
                assert answer.status >= 500, answer
                assert answer.error
            assert time.monotonic() < until, f"a webhook was not taken for a minute:\n{self.log}"
            time.sleep(pause)

    @property
    def health(self) -> dict[str, Any]:
        """What ``/health`` answers."""
        answer: dict[str, Any] = self.get("/health").json
        return answer

    def wait_until_delivered(self, timeout: float = 15.0) -> None:
        """Wait until nothing is pending."""
        wait_for(lambda: self.health["pending"] == 0, timeout, lambda: f"{self.health}\n{self.log}")

    def wait_degraded(self, *words: str, timeout: float = 5.0) -> dict[str, Any]:
        """Wait until ``/health`` is degraded and names each of these words among its problems; return its answer."""

        def named() -> dict[str, Any] | None:
            health = self.health
            problems = "\n".join(health["problems"])
            return health if health["status"] == "degraded" and all(word in problems for word in words) else None

        return wait_for(named, timeout, lambda: f"{words} is not in {self.health}\n{self.log}")

    def wait_healthy(self, timeout: float = 15.0) -> None:
        """Wait until ``/health`` has nothing to complain about and nothing is pending."""
        wait_for(
            lambda: (health := self.health)["status"] == "healthy" and health["pending"] == 0,
            timeout,
            lambda: f"{self.health}\n{self.log}",
        )

    @property
    def commit(self) -> object:
        """What every commit and export changes: inode and time of the store's files."""
        files = (file.stat() for file in self.store.parent.glob(f"{self.store.stem}.*"))
        with contextlib.suppress(FileNotFoundError):  # replaced just now
            return [(file.st_ino, file.st_mtime_ns) for file in files]
        return []

    def stored(self) -> dict[str, Any]:
        """The threads that are durable, by key; none where it has never run."""
        try:
            threads = read_store(self.store, CHANNEL, 0).threads
        except FileNotFoundError:
            return {}
        return {key: json.loads(msgspec.json.encode(thread)) for key, thread in threads.items()}

    def wait_written(self) -> None:
        """Wait until the document itself has all of them: that is what a copy of it has."""
        wait_for(lambda: json.loads(self.store.read_bytes()).get("threads") == self.stored(), 5)

    # -- the end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill what still runs, and look through everything for what must not be there."""
        if self._process is not None:
            self.kill()
        secrets = (TOKEN, self.settings.get("WEBHOOK_TOKEN") or TOKEN)
        for place, text in self._written():
            for secret in secrets:
                assert secret not in text, f"a token stands in {place}"
        assert "Traceback" not in self.log, self.log
        assert "failed and starts again" not in self.log, self.log

    def _written(self) -> Iterator[tuple[str, str]]:
        yield from (("an answer", answer) for answer in self.answers)
        for file in self.folder.rglob("*"):
            if file.is_file():
                yield str(file), file.read_text("utf-8", "replace")


def exchange(service: Service, request: bytes) -> Answer:
    """Send bytes until the server has had enough; return the last of what it answers until it hangs up.

    Raises OSError or HTTPException where there is no answer.
    """
    raw = b""
    with socket.create_connection((HOST, service.port), timeout=_ANSWERING) as connection:
        # It may have hung up: its answer may be there all the same.
        with contextlib.suppress(OSError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                raw += part
    while raw.startswith(b"HTTP/1.1 100"):
        raw = raw.partition(b"\r\n\r\n")[2]
    if not raw.startswith(b"HTTP/1."):
        raise http.client.BadStatusLine(raw[:100].decode("latin-1"))
    lines, _, text = raw.partition(b"\r\n\r\n")
    first, *others = lines.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in others)
    return Answer(int(first.split(" ", 2)[1]), text.decode("utf-8", "replace"), headers)


def wait_for(condition: Callable[[], T | None], timeout: float, explain: Callable[[], str] = str) -> T:
    """Wait until a condition is true and return its value; fail with an explanation after so many seconds."""
    until = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {timeout} s: {explain()}"
        time.sleep(0.02)
    return value


class Background(Generic[T]):
    """Something that goes on beside the test, in a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        """Start it."""
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def finish(self, timeout: float = 60.0) -> T:
        """Wait until it ends; return what it returned, or raise what it raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"it did not end within {timeout} s"
        if self._error is not None:
            raise self._error
        return self._result[0]

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result.append(work())
        except BaseException as error:  # noqa: BLE001 - finish raises it in the thread that waits
            self._error = error


def at_once(works: Sequence[Callable[[], T]], timeout: float = 60.0) -> list[T]:
    """Do all of these at the same time; return what they returned, in their order, or raise what the first raised."""
    together = threading.Barrier(len(works))

    def when_all_are_there(work: Callable[[], T]) -> T:
        together.wait(timeout)
        return work()

    running = [Background(partial(when_all_are_there, work)) for work in works]
    return [each.finish(timeout) for each in running]


def _wait_until_ended(processes: list[int]) -> None:
    """Wait until none of these runs, so that their port and their lock are free; init may bury them later."""
    for pid in processes:
        wait_for(lambda pid=pid: _state(pid) in ("", "Z"), 10, lambda pid=pid: f"process {pid} is still there")  # type: ignore[misc]


def _state(pid: int) -> str:
    """A process's state as the kernel writes it, "Z" for a zombie; nothing if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
