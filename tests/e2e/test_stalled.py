"""Clients that are slow, silent, broken or many keep nobody else waiting, and what is refused is said and counted."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from harness.servers import HOST, program
from harness.service import Service, at_once, exchange, wait_for
from harness.webhooks import webhook
from slack_sandbox import SandboxServer

_HEAD = b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#: Where a sender can stop.
_BEGUN = {
    "nothing": b"",
    "half a line": b"POST /al",
    "half the headers": _HEAD,
    "no body": _HEAD + b"Content-Length: 999\r\n\r\n",
    "half a body": _HEAD + b"Content-Length: 999\r\n\r\n{",
    "half a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
}
#: gunicorn's settings for a service with a route that fails in the middle of its answer.
_FAILING = """
from alert_threader import server
from alert_threader.server import *  # noqa: F403

def app(make=server.app):
    made = make()

    @made.get("/fails")
    def fails():
        def parts():
            yield "half"
            raise RuntimeError("in the middle")

        return parts()

    return made

server.app = app
"""
#: What a drip-feeding sender goes on with, a byte at a time.
_DRIP = b"x" * 1000
#: The goal for a webhook beside stalled senders, in seconds.
_BESIDE = 5.0
#: The limits of a service for these tests, in seconds: with those of every day they would take minutes.
_LIMITS = {"_HEAD": 0.5, "_WHOLE": 1.5, "_TAKING": 1.0}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """One Slack for all services here."""
    with SandboxServer(port=0, rate_limits=False) as slack:
        yield slack


@pytest.fixture(scope="module")
def service(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the limits of every day."""
    with running(Service(tmp_path_factory.mktemp("stalled"), SLACK_API_URL=sandbox.api_url)) as started:
        yield started


@pytest.fixture(scope="module")
def impatient(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with short limits."""
    made = Service(tmp_path_factory.mktemp("impatient"), SLACK_API_URL=sandbox.api_url)
    made.config = made.folder / "impatient.py"
    changes = "".join(f"worker.{name} = {value}\n" for name, value in _LIMITS.items())
    made.config.write_text(
        f"from alert_threader.worker import worker\n{changes}from alert_threader.server import *  # noqa: F403\n"
    )
    with running(made) as started:
        yield started


@contextlib.contextmanager
def running(service: Service) -> Iterator[Service]:
    """Start a service, and end it: no client may have been worth a traceback."""
    try:
        service.start()
        yield service
    finally:
        service.close()
        assert "Traceback" not in service.log


@contextlib.contextmanager
def stalled(service: Service, begun: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Senders that stop after they have begun."""
    with contextlib.ExitStack() as closing:
        senders = []
        for _ in range(count):
            senders.append(closing.enter_context(socket.create_connection((HOST, service.port), 10)))
            senders[-1].sendall(begun)
        yield senders


def check_beside(service: Service, name: str) -> None:
    """Fail unless a webhook and /health are answered in time."""
    began = time.monotonic()
    assert service.send(webhook(name)).ok
    assert service.get("/health").status == 200
    assert time.monotonic() - began < _BESIDE


def refused(service: Service) -> dict[str, int]:
    """How many requests were refused, by reason."""
    text = service.get("/metrics").text
    return {
        reason: int(float(count))
        for reason, count in re.findall(r'alert_threader_refused_requests_total\{reason="(\w+)"\} (\S+)', text)
    }


def read_to_end(connection: socket.socket) -> bytes:
    """Everything that comes until the other side hangs up."""
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            read += part
    return read


@pytest.mark.parametrize("count", [32, 500])
@pytest.mark.parametrize("where", _BEGUN)
def test_beside_stalled_senders(service: Service, where: str, count: int) -> None:
    """However many senders stop, and wherever, others are answered at once."""
    with stalled(service, _BEGUN[where], count):
        check_beside(service, f"Beside {where} {count}")


def test_beside_drip_feeding_senders(service: Service) -> None:
    """Senders that send a byte now and then keep nobody waiting either."""
    with stalled(service, _BEGUN["half the headers"], 250) as heads, stalled(service, _BEGUN["no body"], 250) as bodies:
        for number in range(5):
            for sender in (*heads, *bodies):
                sender.sendall(_DRIP[:1])
            check_beside(service, f"BesideDrip{number}")


def test_beside_more_senders_than_connections(sandbox: SandboxServer, tmp_path: Path) -> None:
    """Where all connections are taken, those that stand still longest give way, which is said once and counted."""
    service = Service(tmp_path, SLACK_API_URL=sandbox.api_url, WEB_THREADS="8")
    service.wrapper = [program("prlimit"), "--nofile=120:120"]
    with running(service):
        for where, begun in _BEGUN.items():
            with stalled(service, begun, 300):
                check_beside(service, f"Beside many {where}")
        assert refused(service)["given_way"] > 300
        assert service.log.count("all connections are taken") == 1


@pytest.mark.parametrize("largest", [2_000_000, 1_000_000, 100_000])
def test_beside_large_bodies_that_stop(sandbox: SandboxServer, tmp_path: Path, largest: int) -> None:
    """Bodies that stop just before their end do not fill the memory: eight of the largest have room."""
    service = Service(tmp_path, SLACK_API_URL=sandbox.api_url, MAX_BODY=str(largest))
    begun = _HEAD + b"Content-Length: %d\r\n\r\n" % largest + b" " * (largest * 95 // 100)
    with running(service):
        with contextlib.ExitStack() as closing:
            for _ in range(20):
                with contextlib.suppress(ConnectionError):
                    closing.enter_context(stalled(service, begun, 1))
            check_beside(service, "BesideLarge")
            wait_for(lambda: refused(service)["given_way"] == 12, 10, lambda: str(refused(service)))
        # Those that do not stop are taken.
        body = json.dumps(webhook("Large")).encode()
        answers = at_once([partial(service.send, body + b" " * (largest - 1000 - len(body)))] * 4)
        assert all(answer.ok for answer in answers)


@pytest.mark.parametrize("where", _BEGUN)
@pytest.mark.parametrize("drip", [False, True])
def test_too_slow(impatient: Service, where: str, drip: bool) -> None:
    """Whoever is too slow is hung up on and counted: Alertmanager would take a 408 for final, and lose its alert."""
    before = refused(impatient)["slow"]
    with stalled(impatient, _BEGUN[where], 3) as senders:
        if drip:
            dripping(senders, _LIMITS["_WHOLE"] + 5)
        answers = [read_to_end(sender) for sender in senders]
    assert set(answers) == {b""}
    assert refused(impatient)["slow"] == before + len(senders)
    assert impatient.log.count(" the request did not arrive within") <= 1
    assert impatient.log.count(" the request's headers did not arrive within") <= 1


def dripping(senders: Sequence[socket.socket], longest: float) -> None:
    """Feed each a byte at a time until all are hung up on."""
    until = time.monotonic() + longest
    open_ones = list(senders)
    while open_ones:
        assert time.monotonic() < until, "it was never hung up on"
        for sender in list(open_ones):
            try:
                sender.sendall(_DRIP[:1])
                sender.setblocking(False)
                if sender.recv(1, socket.MSG_PEEK) is not None:
                    open_ones.remove(sender)
            except BlockingIOError:
                pass
            except OSError:
                open_ones.remove(sender)
            finally:
                sender.setblocking(True)
        time.sleep(0.02)


def test_answers_that_nobody_reads(impatient: Service) -> None:
    """A client that reads no answer keeps no thread and no connection."""
    before = refused(impatient)["slow"]
    with stalled(impatient, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500, 6):
        check_beside(impatient, "BesideDeafClients")
        wait_for(lambda: refused(impatient)["slow"] == before + 6, 30, lambda: f"{before} {refused(impatient)}")


def test_kept_alive(service: Service) -> None:
    """A connection serves many requests, and hundreds that are idle keep nobody waiting."""
    with contextlib.ExitStack() as closing:
        connections = [http.client.HTTPConnection(HOST, service.port, timeout=10) for _ in range(200)]
        for connection in connections:
            closing.callback(connection.close)
            for path in ("/health", "/stats", "/nowhere"):
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                assert not answer.will_close
                assert answer.status == (404 if path == "/nowhere" else 200)
        check_beside(service, "BesideIdle")


def test_pipelined(service: Service) -> None:
    """Requests that arrive together, or in pieces, are answered in order, and none of their bytes is lost."""
    body = json.dumps(webhook("Pipelined")).encode()
    post = _HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    nowhere = b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    sent = post + nowhere + chunked + nowhere + last
    for size in (len(sent), 1000, 99):
        with socket.create_connection((HOST, service.port), 10) as connection:
            for at in range(0, len(sent), size):
                connection.sendall(sent[at : at + size])
            read = read_to_end(connection)
        assert [int(code) for code in re.findall(rb"HTTP/1.1 (\d+) ", read)] == [200, 404, 200, 404, 200]


def test_expect_100_continue(service: Service) -> None:
    """A sender that asks first is told to go on, once; one whose body is too large is not."""
    body = json.dumps(webhook("Expected")).encode()
    with socket.create_connection((HOST, service.port), 10) as connection:
        connection.sendall(_HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    with socket.create_connection((HOST, service.port), 10) as connection:
        connection.sendall(_HEAD + b"Expect: 100-continue\r\nContent-Length: 17000000\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("sent", "status", "reason", "said"),
    [
        (b"NONSENSE\r\n\r\n", 400, "invalid", "not a valid HTTP request"),
        (b"GET /health HTTP/1.1\nHost: x\n\n", 400, "invalid", "not a valid HTTP request"),
        (b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400, "invalid", "not a valid HTTP request"),
        (_HEAD + b"Content-Length: many\r\n\r\n", 400, "invalid", "not a valid HTTP request"),
        (_HEAD + b"Transfer-Encoding: br\r\n\r\n", 400, "invalid", "Transfer-Encoding"),
        (_HEAD + b"Expect: more\r\n\r\n", 417, "invalid", "Expect"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "too_large", "the address is too long"),
        (_HEAD + b"Cookie: " + b"x" * 17_000 + b"\r\n\r\n", 431, "too_large", "the headers are too large"),
        (_HEAD + b"A: b\r\n" * 20_000, 431, "too_large", "the headers are too large"),
    ],
)
def test_refused(service: Service, sent: bytes, status: int, reason: str, said: str) -> None:
    """What gunicorn itself refuses is answered in the service's form, counted, and said in one line."""
    before = refused(service)[reason]
    answer = exchange(service, sent)
    assert answer.status == status
    assert said in answer.error
    assert refused(service)[reason] == before + 1
    assert f"refused ({status}): {answer.error}" in service.log.replace("\\", "")


def test_tls(service: Service) -> None:
    """A sender that speaks TLS is refused at once, and the log says what to do."""
    before = refused(service)["invalid"]
    began = time.monotonic()
    with socket.create_connection((HOST, service.port), 10) as connection:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_hostname=HOST)
    assert time.monotonic() - began < _BESIDE
    assert refused(service)["invalid"] == before + 1
    said = "TLS was sent to a port that speaks plain HTTP: use http:// or put a proxy in front"
    wait_for(lambda: f"refused (400): {said}" in service.log, 5)


@pytest.mark.parametrize("framing", [b"Content-Length: 999\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"])
def test_cut_off(service: Service, framing: bytes) -> None:
    """A sender that ends in the middle of its body, and still reads, is told so."""
    answer = exchange(service, _HEAD + framing)
    assert answer.status == 400
    assert "the body" in answer.error


@pytest.mark.parametrize("chunks", [b"1;\r\n{\r\n0\r\n\r\n", b"1\r\n{\r\n0\r\nno trailer\r\n\r\n"])
def test_nothing_follows_a_malformed_body(service: Service, chunks: bytes) -> None:
    """Where the next request would begin is not known: the connection ends with the answer."""
    with socket.create_connection((HOST, service.port), 10) as connection:
        next_one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + next_one)
        read = read_to_end(connection)
    assert re.findall(rb"HTTP/1.1 (\d+) ", read) == [b"400"]


def test_answer_that_fails_half_way(make_service: Callable[..., Service]) -> None:
    """Its sender is told so, and the log has one traceback: the application's."""
    service = make_service()
    service.config = service.folder / "failing.py"
    service.config.write_text(_FAILING)
    service.start()
    with socket.create_connection((HOST, service.port), 10) as connection:
        connection.sendall(b"GET /fails HTTP/1.1\r\nHost: x\r\n\r\n")
        read = read_to_end(connection)
    assert read.startswith(b"HTTP/1.1 500 ")
    assert b"half" not in read
    service.stop()
    log = service.log
    service.log_file.write_text("")  # at its end no service may have logged a traceback
    assert log.count("Traceback") == 1
    assert "RuntimeError: in the middle" in log


def test_proxy_headers(service: Service) -> None:
    """What proxies add is no reason to lose an alert: contradicting schemes, a path in front, 9 kB of cookies."""
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "off",
        "X-Forwarded-Protocol": "ssl",
        "X-Forwarded-For": "192.0.2.1",
        "Script_Name": "/elsewhere",
        "Cookie": "session=" + "x" * 9000,
    }
    assert service.send(webhook("Proxied"), **headers).ok


def test_proxy_protocol(make_service: Callable[..., Service]) -> None:
    """A proxy in front can say in a line before the request who sends it."""
    service = make_service(GUNICORN_CMD_ARGS="--proxy-protocol v1")
    service.start()
    answer = exchange(service, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8080\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200


def test_stop(make_service: Callable[..., Service], slack: SandboxServer) -> None:
    """A stop answers the requests under way, and does not wait for clients that stand still."""
    service = make_service()
    service.start()
    slack.workspace.faults.add("slow", seconds=1.0)
    with contextlib.ExitStack() as closing:
        for begun in _BEGUN.values():
            closing.enter_context(stalled(service, begun, 5))
        (sender,) = closing.enter_context(stalled(service, b"", 1))
        body = json.dumps(webhook("UnderWay")).encode()
        sender.sendall(_HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_for(service.stored, 5)
        assert service.stop() < 5
        answer = read_to_end(sender)
    assert answer.startswith(b"HTTP/1.1 20")


def test_stop_begins_no_further_call(make_service: Callable[..., Service], slack: SandboxServer) -> None:
    """The call under way has all of GRACEFUL_TIMEOUT: none begins while clients have their last time."""
    service = make_service(RESPONSE_WAIT="0")
    service.start()
    slack.workspace.faults.add("slow", method="chat.postMessage", seconds=0.4)
    for number in range(10):
        assert service.send(webhook(f"Pending{number}")).ok

    def posts() -> int:
        return len(slack.workspace.calls.all("chat.postMessage"))

    slack.workspace.wait_for(posts)
    with stalled(service, _BEGUN["half a body"], 1):
        begun = posts()
        assert service.stop() >= 1, "the client has its last time"
    assert posts() <= begun + 1
    assert "did not end in time" not in service.log


@pytest.mark.parametrize("how", ["TTIN", "-w 4"])
def test_more_workers_than_the_file_store_can_have(make_service: Callable[..., Service], how: str) -> None:
    """Asked for more workers, a service with a file store says that it has one, and goes on with it."""
    service = make_service(**({} if how == "TTIN" else {"GUNICORN_CMD_ARGS": how}))
    service.start()
    if how == "TTIN":
        service.add_worker()
    wait_for(lambda: "the file store has one worker" in service.log, 5, lambda: service.log)
    service.reload()
    wait_for(lambda: service.log.count(" ready ") == 2, 20, lambda: service.log)
    service.send_until_taken(webhook("Still"))
    wait_for(lambda: len(service.workers) == 1, 20)
    service.stop()
    assert "cannot start" not in service.log


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run a service as somebody else")
@pytest.mark.parametrize(("limit", "is_enough"), [(12, True), (4, False)])
def test_few_threads(make_service: Callable[..., Service], limit: int, is_enough: bool) -> None:
    """Where the system allows few threads, the service does with fewer or ends; one line says what to raise."""
    service = make_service()
    # Somebody who has no other process: the limit is the user's. They read the code as root does.
    capability = "+dac_override"
    service.wrapper = [
        *(program("setpriv"), "--reuid=54399", "--regid=54399", "--clear-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}", f"--bounding-set=-all,{capability}"),
        *(program("prlimit"), f"--nproc={limit}:{limit}"),
    ]
    if is_enough:
        service.start()
        answers = at_once([partial(service.send, webhook(f"Few{number}")) for number in range(40)])
        assert all(answer.ok for answer in answers)
        service.wait_until_delivered()
        service.stop()
    else:
        assert service.launch().wait(20) == 1
    said = [line for line in service.log.splitlines() if "the system allows no more threads: raise" in line]
    assert 1 <= len(said) <= 2
    assert "Traceback" not in service.log
