"""A cluster of stand-ins for Alertmanager over one truth: each member can be killed, restarted empty, slow, or wrong.

The forms are those of Debian's 0.25, and by a switch those of 0.28 and later
(https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
"""

import contextlib
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from harness.servers import HOST, free_port
from harness.stand_in_truth import Truth, moment

#: A configuration in which no alert waits for long.
CONFIG = """global:
  resolve_timeout: 5m
route:
  receiver: slack
  group_by:
  - alertname
  continue: false
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
receivers:
- name: slack
templates: []
"""
_API = "/api/v2/"
#: How long a member has run that was not restarted.
_LONG = timedelta(hours=5)
#: Larger than what any client should read, in bytes.
_HUGE = 65 * 1024 * 1024
_CHUNK = b" " * (256 * 1024)
#: How long the others still list a killed member under its former name, in seconds. It takes real ones about 6.
_LINGERING = 1.0
#: The letters of the names that members give themselves at each start.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Whoever waits looks again after so long, in seconds.
_TICK = 0.02


class Fault(StrEnum):
    """What can be wrong with a member's answers."""

    #: It has not found its cluster yet.
    SETTLING = "settling"
    SLOW = "slow"
    HANGING = "hanging"
    #: It announces more than it sends.
    SHORT = "short"
    #: Half of the JSON, announced as all of it.
    TRUNCATED = "truncated"
    #: The connection is reset in the middle of an answer.
    CUT = "cut"
    UNAUTHORIZED = "unauthorized"
    FAILING = "failing"
    HTML = "html"
    HUGE = "huge"
    #: It has a part of the alerts, the other members and the foreign one have the rest.
    HALF_LIST = "half_list"
    #: It has no alert, whatever it says of its start.
    EMPTY = "empty"
    #: Its cluster has a member that is not one of ours.
    FOREIGN_PEER = "foreign_peer"


class _Answer(NamedTuple):
    status: int
    body: bytes = b""
    kind: str = "application/json"


class Member:
    """One Alertmanager of a cluster, on a port of its own."""

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self._cluster = cluster
        self.number = number
        self.port, self.gossip_port = free_port(), free_port()
        #: What is wrong with it now. Whatever hangs ends when HANGING is taken out.
        self.faults: set[Fault] = set()
        #: How late it answers while it is SLOW, in seconds.
        self.delay = 1.0
        #: How often it was asked, by method and path.
        self.asked: list[str] = []
        self.name = ""
        #: The name before the last start, and until when it is still listed.
        self._former = ("", 0.0)
        self._speed = 1.0
        self._started = datetime.now(UTC) - _LONG
        self._fills_at = 0.0
        self._server: _Server | None = None
        self._thread = threading.Thread()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    @property
    def names(self) -> list[str]:
        """The names under which it is listed: its own, and for a moment its former one."""
        former, until = self._former
        return [self.name, *([former] if time.monotonic() < until else [])] if self.is_running else []

    @property
    def is_running(self) -> bool:
        """Whether its port is open."""
        return self._server is not None

    @property
    def uptime(self) -> datetime:
        """When it started, as it says: the time since then runs ``speed`` times as fast."""
        now = datetime.now(UTC)
        return now - (now - self._started) * self._speed

    def start(self) -> None:
        """Open its port, under a new name."""
        if self._server is None:
            self._former = (self.name, time.monotonic() + _LINGERING if self.name else 0.0)
            self.name = "01" + "".join(secrets.choice(_LETTERS) for _ in range(24))
            self._server = _Server(self)
            serve = self._server.serve_forever
            self._thread = threading.Thread(target=serve, kwargs={"poll_interval": _TICK}, daemon=True)
            self._thread.start()

    def kill(self) -> None:
        """Close its port and every connection."""
        if (server := self._server) is not None:
            self._server = None
            server.shutdown()
            server.server_close()
            server.hang_up()
            self._thread.join()

    def restart_empty(self, *, empty_for: float, speed: float = 1.0) -> None:
        """Kill it and start it anew; it lists no alert for so many seconds, but keeps its silences, which are on disk.

        Its own time runs ``speed`` times as fast: at 60, it says after 10 seconds that it has run for 10 minutes.
        """
        self.kill()
        self._started, self._speed = datetime.now(UTC), speed
        self._fills_at = time.monotonic() + empty_for
        self.start()

    def heal(self) -> None:
        """Take all faults away, and start it if it was killed. A young one stays young."""
        self.faults.clear()
        self.start()

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> _Answer:
        """Answer a request in its sound form."""
        truth = self._cluster.truth
        name, _, which = path.removeprefix(_API).partition("/")
        match method, name, which:
            case "GET", "status", "":
                return _json(self._status())
            case "GET", "alerts", "":
                return _json([each for each in truth.alerts() if self._has(each) and _is_wanted(each, query)])
            case "GET", "alerts", "groups":
                return _json(self._groups())
            case "GET", "silences", "":
                return _json(truth.silences())
            case "POST", "silences", "":
                made = truth.post(json.loads(body))
                return _Answer(404, b'"silence not found"\n') if made is None else _json({"silenceID": made})
            case "GET", "silence", _:
                found = [each for each in truth.silences() if each["id"] == which]
                return _json(found[0]) if found else _Answer(404)
            case "DELETE", "silence", _:
                return _Answer(200) if truth.expire(which) else _Answer(500, b'"silence not found"\n')
            case _:
                return _Answer(404, b'{"code":404,"message":"path not found"}')

    def _groups(self) -> list[dict[str, Any]]:
        groups = [
            {**group, "alerts": [alert for alert in group["alerts"] if self._has(alert)]}
            for group in self._cluster.truth.groups()
        ]
        return [group for group in groups if group["alerts"]]

    def _has(self, alert: Mapping[str, Any]) -> bool:
        """Whether this member lists an alert of the truth."""
        if Fault.EMPTY in self.faults or time.monotonic() < self._fills_at:
            return False
        share = int(alert["fingerprint"], 16) % self._cluster.shares
        return Fault.HALF_LIST not in self.faults or share == self.number

    def _status(self) -> dict[str, Any]:
        version = "0.28.0" if self._cluster.truth.newer else "0.25.0"
        named = ("revision", "branch", "buildUser", "goVersion")
        return {
            "cluster": self._membership(),
            "config": {"original": self._cluster.config},
            "uptime": moment(self.uptime),
            "versionInfo": {**dict.fromkeys(named, "stand-in"), "buildDate": "20230409-09:50:43", "version": version},
        }

    def _membership(self) -> dict[str, Any]:
        members = self._cluster.members
        if len(members) == 1:
            return {"peers": [], "status": "disabled"}
        peers = [{"address": f"{HOST}:{each.gossip_port}", "name": name} for each in members for name in each.names]
        if Fault.FOREIGN_PEER in self.faults:
            peers.append({"address": "10.9.8.7:9094", "name": "01FOREIGN00000000000000000"})
        is_settling = Fault.SETTLING in self.faults
        peers.sort(key=lambda each: each["name"])
        return {"name": self.name, "peers": peers, "status": "settling" if is_settling else "ready"}


class Cluster:
    """Members over one truth, from ``with`` to the end of its block. A single member has no cluster, and says so."""

    def __init__(self, count: int = 3, *, newer: bool = False, config: str = CONFIG) -> None:
        self.truth = Truth(newer=newer)
        #: The configuration that each of them shows.
        self.config = config
        self.members = [Member(self, number) for number in range(count)]

    @property
    def url(self) -> str:
        """Its members, as ALERTMANAGER_URL takes them."""
        return ",".join(member.url for member in self.members)

    @property
    def shares(self) -> int:
        """In how many parts the alerts are held where a member has but a part of them."""
        return len(self.members) + any(Fault.FOREIGN_PEER in member.faults for member in self.members)

    def __enter__(self) -> Self:
        """Start all of them."""
        for member in self.members:
            member.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        for member in self.members:
            member.kill()


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that a killed member keeps none."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, member: Member) -> None:
        self.member = member
        self.stopping = threading.Event()
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__((HOST, member.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep a connection in mind."""
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that is over."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection."""
        self.stopping.set()
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Write nothing: clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as the member's faults let it."""
        member = self.server.member
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = urlsplit(self.path)
        member.asked.append(f"{self.command} {target.path}")
        if self._is_let_down():
            self.close_connection = True
        elif (spoilt := _spoilt(member.faults)) is not None:
            self._send(spoilt)
        elif Fault.HUGE in member.faults:
            self._send_huge()
        else:
            self._send_part(member.answer(self.command, target.path, parse_qs(target.query), body))

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base's names

    def _is_let_down(self) -> bool:
        """Wait as long as the member is slow or hangs; return whether the client gets no answer at all."""
        member = self.server.member
        if Fault.SLOW in member.faults:
            self.server.stopping.wait(member.delay)
        hung = False
        while Fault.HANGING in member.faults and not self.server.stopping.wait(_TICK):
            hung = True
        return hung or self.server.stopping.is_set()

    def _send_part(self, answer: _Answer) -> None:
        """Send an answer, or as much of it as the member's faults leave."""
        faults, half = self.server.member.faults, answer.body[: len(answer.body) // 2]
        if Fault.TRUNCATED in faults:
            self._send(answer._replace(body=half))
        elif {Fault.SHORT, Fault.CUT} & faults:
            self._begin(answer, len(answer.body))
            self.wfile.write(half)
            self.close_connection = True
            if Fault.CUT in faults:
                # Closed with a linger of 0 seconds, and not shut down before, a connection is reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
        else:
            self._send(answer)

    def _send_huge(self) -> None:
        """Send JSON that is right, and larger than anybody should read."""
        self._begin(_Answer(200), _HUGE)
        for part in _huge():
            self.wfile.write(part)

    def _send(self, answer: _Answer) -> None:
        self._begin(answer, len(answer.body))
        self.wfile.write(answer.body)

    def _begin(self, answer: _Answer, length: int) -> None:
        self.send_response_only(answer.status)
        if length:
            self.send_header("Content-Type", answer.kind)
        self.send_header("Vary", "Origin")
        self.send_header("Date", formatdate(usegmt=True))
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def _json(value: object) -> _Answer:
    return _Answer(200, json.dumps(value, separators=(",", ":")).encode() + b"\n")


def _spoilt(faults: set[Fault]) -> _Answer | None:
    """What is answered whatever was asked, if anything is."""
    if Fault.UNAUTHORIZED in faults:
        return _Answer(401, b"Unauthorized\n", "text/plain; charset=utf-8")
    if Fault.FAILING in faults:
        return _Answer(500, b'"internal error"\n')
    if Fault.HTML in faults:
        return _Answer(200, b"<!doctype html><title>Log in</title>\n" * 20, "text/html; charset=utf-8")
    return None


def _huge() -> Iterator[bytes]:
    yield b"["
    left = _HUGE - 2
    while left > 0:
        yield _CHUNK[:left]
        left -= len(_CHUNK)
    yield b"]"


def _is_wanted(alert: Mapping[str, Any], query: Mapping[str, list[str]]) -> bool:
    """Whether an alert is asked for: by its state, and by matchers of the form ``name="value"``."""
    status = alert["status"]
    kinds = {
        "active": status["state"] == "active",
        "silenced": status["silencedBy"],
        "inhibited": status["inhibitedBy"],
    }
    if any(is_such and query.get(kind) == ["false"] for kind, is_such in kinds.items()):
        return False
    wanted = (each.partition("=") for each in query.get("filter", []))
    return all(alert["labels"].get(name, "") == json.loads(value) for name, _, value in wanted)
