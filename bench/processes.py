"""What is measured, each as a process: the sandbox, and gunicorn with one of the contenders."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import alert_threader
from bench.webhooks import ENVIRONMENT
from harness import first_release
from harness.servers import HOST, RedisServer, free_port

ROOT = Path(__file__).parents[1]
_CODE = Path(alert_threader.__file__).parents[1]
#: Names that hide installed libraries.
_WITHOUT = Path(__file__).with_name("without")
#: The service's own settings decide how everything runs; only what a measurement is not about is set here.
NOOP, PLAIN, FLOOR, FILE, REDIS = "noop", "plain", "floor", "file", "redis"
#: The service, with either store: what has goals to reach.
STORES = (FILE, REDIS)
#: The first release with either store: what the service is compared with.
FORMER, FORMER_REDIS = "first release", "first release, Redis"
BEFORE = {FILE: FORMER, REDIS: FORMER_REDIS}
_APPS = {NOOP: "bench.noop:app()", PLAIN: "bench.plain:app()", FLOOR: "bench.floor:app()"}

#: How long a process may take to answer for the first time, and to end, in seconds. 10,000 threads are
#: read at the start.
_STARTING = 60.0
_ENDING = 60.0
_ANSWERING = 60.0
_FINISHING = 600.0


class Contender:
    """gunicorn with one of the applications, from `with` to the end of its block."""

    def __init__(self, name: str, folder: Path, api_url: str, **settings: str) -> None:
        """Take which one, a folder for its files, Slack's address, and environment variables beside the defaults."""
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.store = folder / "threads.json"
        self._settings = {
            "SLACK_BOT_TOKEN": "xoxb-sandbox-bench",
            "SLACK_CHANNEL": "C0BENCH" + "".join(filter(str.isalnum, name.upper())),
            "SLACK_API_URL": api_url,
            "ENVIRONMENT": ENVIRONMENT,
            "BIND_PORT": str(self.port),
            "THREAD_STORE_FILE": str(self.store),
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def channel(self) -> str:
        """Where it posts."""
        return self._settings["SLACK_CHANNEL"]

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", str(self._config)],
                cwd=self.folder,
                env=_environ({**self._settings, "BENCH_APP": _APPS.get(self.name, "")}, *self._code),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _STARTING
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self._end()
                raise RuntimeError(f"{self.name} does not start:\n{self.log[-2000:]}")
            time.sleep(0.02)
        return self

    def __exit__(self, *failure: object) -> None:
        """Stop, and make sure of it."""
        self._end()

    def restart(self) -> float:
        """Stop and start with what is stored by now; return the seconds from the start to the first answer."""
        self._end()
        began = time.monotonic()
        self.__enter__()
        return time.monotonic() - began

    @property
    def _code(self) -> Sequence[Path]:
        """Where its package is. The first release runs without a library that it did not require."""
        return (_WITHOUT, first_release.extracted() / "src") if self.name in BEFORE.values() else (_CODE,)

    @property
    def _config(self) -> Path:
        if self.name in BEFORE.values():
            return first_release.extracted() / "gunicorn.conf.py"
        return ROOT / ("gunicorn.conf.py" if self.name in STORES else "bench/gunicorn_conf.py")

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / f"{self.name}.log").read_text("utf-8", "replace")

    def post(self, body: bytes) -> int:
        """Send one webhook on a connection of its own; return the status."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_ANSWERING)
        with contextlib.closing(connection):
            connection.request("POST", "/alert", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            return response.status

    def get(self, path: str) -> Any:
        """Ask for something; return the JSON."""
        return _get_json(HOST, self.port, path)

    @property
    def cpu_seconds(self) -> float:
        """The processor time that its processes have used, in seconds."""
        ticks = sum(sum(map(int, _stat(pid)[11:13])) for pid in self._pids)
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """The resident memory of its worker, in MB."""
        pages = int(Path(f"/proc/{self.worker}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def worker(self) -> int:
        """The process that answers requests."""
        return self._pids[-1]

    @property
    def _pids(self) -> list[int]:
        assert self._process is not None
        master = self._process.pid
        return [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]

    def _answers(self) -> bool:
        try:
            self.get("/health")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return True

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None


class Slack:
    """The sandbox, as seen from outside its process."""

    def __init__(self, url: str) -> None:
        """Take its address."""
        self.api_url = f"{url}api/"
        self._port = urlsplit(url).port or 0

    def calls(self, channel: str) -> list[dict[str, Any]]:
        """What was asked for in a channel, oldest first."""
        calls: list[dict[str, Any]] = _get_json(HOST, self._port, f"/sandbox/calls?channel={channel}")["calls"]
        return calls

    def fails(self, **fault: object) -> None:
        """Let calls fail in one way; see ``slack_sandbox.faults.Rule``."""
        assert self.change("/sandbox/faults", fault)["ok"]

    def recovers(self) -> None:
        """Let all calls succeed again."""
        assert self.change("/sandbox/faults", verb="DELETE")["ok"]

    def change(self, path: str, body: dict[str, Any] | None = None, verb: str = "POST") -> dict[str, Any]:
        """Ask the sandbox's control API for something; its answer."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_ANSWERING)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(verb, path, text, {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def roots(self, channel: str) -> list[dict[str, Any]]:
        """The messages that stand in a channel itself, oldest first."""
        state = _get_json(HOST, self._port, "/sandbox/state")
        return [message for each in state["channels"] if each["id"] == channel for message in each["messages"]]


@contextlib.contextmanager
def slack(**settings: object) -> Iterator[Slack]:
    """Run a sandbox with these settings."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.slack", json.dumps(settings)],
        env=_environ({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Slack(process.stdout.readline().strip())
        finally:
            process.stdin.close()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a redis-server with the settings of setup-redis.sh; its URL."""
    with RedisServer(folder, appendfsync="everysec") as server:
        yield server.url


def python(module: str, arguments: Sequence[str], given: bytes) -> bytes:
    """Run a module of ours with this input in a process of its own; return its output."""
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(
        command, env=_environ({}), input=given, stdout=subprocess.PIPE, check=True, timeout=_FINISHING
    )
    return ended.stdout


def _environ(settings: dict[str, str], *code: Path) -> dict[str, str]:
    """An environment in which nothing of the caller's own (proxies, credentials) is left."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "HOME") if name in os.environ}
    path = os.pathsep.join(map(str, (*(code or (_CODE,)), ROOT)))
    return {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **settings}


def _get_json(host: str, port: int, path: str) -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWERING)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which can hold anything: [11] is utime, [12] stime (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
