"""What is no webhook is refused with 4xx and one clear line, and leaves nothing behind. No input gives 500."""

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.servers import HOST
from harness.service import CHANNEL, Answer, Service, exchange, wait_for
from harness.story import delivered, root_of
from harness.webhooks import print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

_MEGABYTE = 1_000_000
#: What a request begins with that is written by hand.
_POST = b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """One Slack for all tests here."""
    with SandboxServer(port=0, rate_limits=False) as slack:
        yield slack


@pytest.fixture(scope="module")
def service(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests here: what one of them leaves behind, the next would find."""
    running = Service(tmp_path_factory.mktemp("bad-input"), SLACK_API_URL=sandbox.api_url, RESPONSE_WAIT="0")
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def workspace(sandbox: SandboxServer) -> Workspace:
    """What stands in Slack."""
    return sandbox.workspace


@pytest.fixture
def _nothing_is_left(service: Service, workspace: Workspace) -> Iterator[None]:
    """Fail a test after which anything is stored or told that was not before."""
    before = service.stored(), _told(workspace)
    yield
    assert service.health["status"] == "healthy"
    assert (service.stored(), _told(workspace)) == before


def _told(workspace: Workspace) -> int:
    """How many calls came, without those that check the token."""
    return sum(call.method != "auth.test" for call in workspace.calls.all())


def firing(**fields: Any) -> dict[str, Any]:
    """A webhook with one alert, some of whose fields are other than they should be."""
    payload = webhook("Faulty")
    payload["alerts"][0] |= fields
    return payload


_REFUSED = {
    "empty": (b"", "the body is empty"),
    "blank": (b" \r\n\t ", "the body is empty"),
    "not JSON": (b"alert!", "the body is not valid JSON"),
    "cut off": (json.dumps(webhook("Cut")).encode()[:-7], "the body is not valid JSON"),
    "more than JSON": (json.dumps(webhook("More")).encode() + b"{}", "the body is not valid JSON"),
    "a number": (b"42", "the body: expected object, got int"),
    "null": (b"null", "the body: expected object, got null"),
    "a list": (b"[]", "the body: expected object, got array"),
    "NaN": (b'{"alerts": NaN}', "the body is not valid JSON"),
    "a form": (b"payload=%7B%7D", "the body is not valid JSON"),
    "NUL bytes": (b"\0" * 100, "the body is not valid JSON"),
    "a NUL byte in a text": (b'{"alerts": [{"status": "fir\0ing"}]}', "not valid JSON"),
    "not UTF-8": (b'{"alerts": [{"status": "\xff\xfe"}]}', "not valid JSON"),
    "a lone surrogate": (b'{"alerts": [{"labels": {"alertname": "\\ud800"}, "status": "firing"}]}', "not valid JSON"),
    "a raw surrogate": (b'{"alerts": [{"labels": {"a": "\xed\xa0\x80"}, "status": "firing"}]}', "not valid JSON"),
    "UTF-16": (json.dumps(webhook("Wide")).encode("utf-16"), "the body is not valid JSON"),
    "nested deeply": (b"[" * 100_000, ""),
    "objects nested deeply": (b'{"a":' * 100_000, ""),
    "nested deeply inside": (b'{"alerts":[{"values":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}", ""),
    "no alerts": ({"status": "firing"}, "alerts"),
    "empty alerts": ({"status": "firing", "alerts": []}, "alerts: is empty"),
    "null alerts": ({"status": "firing", "alerts": None}, "alerts: expected array, got null"),
    "alerts that are an object": ({"status": "firing", "alerts": {}}, "alerts: expected array, got object"),
    "an alert that is a text": ({"status": "firing", "alerts": ["x"]}, "alerts[0]: expected object, got string"),
    "labels that are a list": (firing(labels=["a"]), "alerts[0].labels: expected object, got array"),
    "a status that is none": (firing(status="burning"), "alerts[0].status: is 'burning', expected firing or resolved"),
    "no status at all": ({"alerts": [{"labels": {"a": "b"}}]}, "alerts[0].status: is missing"),
    "nothing but unreadable alerts": ({"alerts": [5, *firing(labels=7)["alerts"]]}, "alerts[0]: expected object"),
}


@pytest.mark.usefixtures("_nothing_is_left")
@pytest.mark.parametrize("case", _REFUSED)
def test_refused_body(service: Service, case: str) -> None:
    """A body that is no webhook is answered 400, with a line that names the place and what is wrong there."""
    body, said = _REFUSED[case]
    answer = service.send(body)
    assert answer.status == 400, answer
    assert said in answer.error


def test_unreadable_alert_costs_itself_only(service: Service, workspace: Workspace) -> None:
    """The others reach Slack; the answer and the log name it."""
    payload = webhook("Mixed")
    payload["alerts"] += [{"labels": 7}, "an alert"]
    answer = service.send(payload)
    assert answer.ok
    assert answer.json["count"] == 1
    ignored = ["alerts[1].labels: expected object, got number", "alerts[2]: expected object, got string"]
    assert answer.json["ignored"] == ignored
    wait_for(lambda: f"2 alerts ignored: {ignored[0]}" in service.log, 5)
    service.wait_until_delivered()
    assert print_of("Mixed") in delivered(workspace, CHANNEL)


@pytest.mark.usefixtures("_nothing_is_left")
def test_too_large(service: Service) -> None:
    """A body of 20 MB is answered 413 with the limit and the remedy, read or not."""
    answer = send_raw(service, b"x" * (20 * _MEGABYTE))
    assert answer.status == 413
    assert answer.error == "the body is larger than 16000000 bytes: lower max_alerts, or raise MAX_BODY"


@pytest.mark.usefixtures("_nothing_is_left")
def test_too_large_in_chunks(service: Service) -> None:
    """The same where the sender does not say how long its body is."""
    chunk = b"f4240\r\n" + b"x" * _MEGABYTE + b"\r\n"
    answer = send_raw(service, chunk * 20 + b"0\r\n\r\n", "Transfer-Encoding: chunked")
    assert answer.status == 413
    assert "the body is larger than 16000000 bytes" in answer.error


@pytest.mark.usefixtures("_nothing_is_left")
@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/alert", 405, "GET is not allowed here: use POST"),
        ("PUT", "/alert", 405, "PUT is not allowed here: use POST"),
        ("DELETE", "/alert/C0DATABASE1", 405, "DELETE is not allowed here: use POST"),
        ("POST", "/health", 405, "POST is not allowed here: use GET"),
        ("POST", "/cache", 405, "POST is not allowed here: use DELETE, GET"),
        ("PATCH", "/stats", 405, "PATCH is not allowed here: use GET"),
        ("BREW", "/alert", 405, "BREW is not allowed here: use POST"),
        ("GET", "/", 404, "there is no such route: use POST /alert"),
        ("POST", "/alerts", 404, "there is no such route"),
        ("POST", "/alert/", 404, "there is no such route"),
        ("POST", "/alert/C0DATABASE1/more", 404, "there is no such route"),
        ("GET", "/%00%ff/../etc/passwd", 404, "there is no such route"),
        ("POST", "/alert/general", 400, "invalid channel 'general' in the path: it must be a channel ID"),
        (
            "POST",
            "/alert/%23alerts",
            400,
            "'#alerts' in the path: it must be a channel ID such as C0123456789 (not its name",
        ),
        ("POST", "/alert/c0database1", 400, "invalid channel"),
        ("POST", "/alert/C0DATABASE1%0A", 400, "invalid channel"),
        ("POST", "/alert/%00", 400, "invalid channel"),
        ("POST", "/alert/" + "C" + "0" * 3000, 400, ""),
    ],
)
def test_wrong_address(service: Service, method: str, path: str, status: int, said: str) -> None:
    """A wrong method, route or channel is answered with what is right, in one line, and nothing is stored."""
    body = json.dumps(webhook("Lost")).encode()
    answer = service.request(method, path, body, {"Content-Type": "application/json"})
    assert answer.status == status, answer
    assert said in answer.error
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.usefixtures("_nothing_is_left")
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", None],
)
def test_wrong_content_type(service: Service, kind: str | None) -> None:
    """Anything that is not said to be JSON is answered 415."""
    body = json.dumps(webhook("Typed")).encode()
    answer = service.request("POST", "/alert", body, {"Content-Type": kind} if kind else {})
    assert answer.status == 415
    assert answer.error == "the content type must be application/json"


@pytest.mark.usefixtures("_nothing_is_left")
@pytest.mark.parametrize(
    "request_line",
    [
        _POST + b"Content-Length: -5\r\n\r\n{}",
        _POST + b"Content-Length: many\r\n\r\n{}",
        _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
)
def test_not_even_http(service: Service, request_line: bytes) -> None:
    """What gunicorn itself refuses, TLS on a plain port among it, is answered 4xx and hurts nobody."""
    assert 400 <= exchange(service, request_line).status < 500


@pytest.mark.usefixtures("_nothing_is_left")
def test_senders_that_leave_early(service: Service) -> None:
    """A sender that hangs up in the middle of its request leaves nothing behind, and others are answered meanwhile."""
    for _ in range(40):  # more than there are threads
        with socket.create_connection((HOST, service.port)) as sender:
            sender.sendall(
                b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
            )
    assert service.get("/health").status == 200


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("HugeLabel", {"labels": {"alertname": "HugeLabel", "severity": "critical", "x": "y" * 2 * _MEGABYTE}}),
        ("HugeKey", {"labels": {"alertname": "HugeKey" * 100_000, "severity": "critical"}}),
        ("ManyLabels", {"labels": {"alertname": "ManyLabels"} | {f"label{n}": str(n) for n in range(20_000)}}),
        ("NulLabel", {"labels": {"alertname": "Nul\0Label", "service": "\0", "x\0": "\0\r\n\x1b[31m"}}),
        ("NoLabels", {"labels": {}}),
        ("NullLabels", {"labels": None, "annotations": None, "startsAt": None, "endsAt": None, "generatorURL": None}),
        ("EmptyTexts", {"labels": {"": ""}, "annotations": {"": ""}, "startsAt": "", "endsAt": "", "generatorURL": ""}),
        ("FarFuture", {"labels": {"alertname": "FarFuture"}, "startsAt": "9999-12-31T23:59:59Z"}),
        ("FarPast", {"labels": {"alertname": "FarPast"}, "startsAt": "0001-01-01T00:00:00Z"}),
        (
            "Mention",
            {
                "labels": {"alertname": "<!channel> <@U123> <!subteam^S1>"},
                "annotations": {"summary": "<!here> @channel"},
            },
        ),
        ("Bidi", {"labels": {"alertname": "\u202e\u2066\ufeff\u0000\U0010ffff"}}),
        ("Numbers", {"labels": {"alertname": "Numbers", "exit": 2, "on": True}, "annotations": {"a": {"b": [1.5]}}}),
        ("OddTimes", {"labels": {"alertname": "OddTimes"}, "startsAt": "yesterday", "endsAt": 0}),
        ("OddFields", {"labels": {"alertname": "OddFields"}, "status": "firing", "generatorURL": 5, "values": "x"}),
        ("Values", {"labels": {"alertname": "Values"}, "values": {"A": 1e308, "B": [[]] * 1000, "C": None}}),
    ],
)
def test_strange_but_a_webhook(service: Service, workspace: Workspace, name: str, fields: dict[str, Any]) -> None:
    """What is strange, huge or empty, yet a webhook, is taken, reaches Slack in a valid form, and mentions nobody."""
    calls = len(workspace.calls.all("chat.postMessage"))
    payload = firing(**fields)
    payload["alerts"][0]["fingerprint"] = f"print-of-{name}"
    answer = service.send(payload)
    assert answer.ok, answer
    posts = workspace.wait_for(lambda: [c for c in workspace.calls.all("chat.postMessage")[calls:] if c.duration])
    assert [call.outcome for call in posts] == ["ok"], "the first form it was sent in is valid"
    root = root_of(workspace, CHANNEL, answer.json["results"][0]["key"])
    assert root.mentions == ()
    assert root.attachments


_TEXT = st.text(max_size=12) | st.sampled_from(
    ["firing", "resolved", "", "\0", "<!channel>", "2026-01-15T14:30:25Z", "|"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
_LABELS = st.dictionaries(st.sampled_from(["alertname", "severity", "service", "instance"]) | _TEXT, _TEXT, max_size=5)
_ALERT = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved", "FIRING", ""]) | _JSON,
        "labels": _LABELS | _JSON,
        "annotations": _LABELS | _JSON,
        "startsAt": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | _JSON,
        "endsAt": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | _JSON,
        "fingerprint": _TEXT | _JSON,
        "generatorURL": _TEXT | _JSON,
        "values": _JSON,
    },
)
_WEBHOOK = st.fixed_dictionaries(
    {"alerts": st.lists(_ALERT, max_size=4) | _JSON},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | _JSON,
        "groupLabels": _LABELS | _JSON,
        "truncatedAlerts": st.integers() | _JSON,
        "externalURL": _TEXT | _JSON,
        "receiver": _TEXT | _JSON,
        "notification_reason": _TEXT | _JSON,
    },
)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.binary(max_size=200)
    | _JSON.map(as_json := lambda value: json.dumps(value).encode())
    | _WEBHOOK.map(as_json)
)
def test_any_body(service: Service, body: bytes) -> None:
    """Whatever the body is, the answer is 2xx or 4xx, and in its documented form."""
    answer = service.send(body)
    check_documented(answer)


def test_any_change_of_a_webhook(service: Service) -> None:
    """A webhook with some bytes changed, cut out or doubled is answered 2xx or 4xx."""
    chance = random.Random(4711)
    whole = json.dumps(webhook("Mutant", {"db01": "fired", "db02": "resolved"})).encode()
    for _ in range(250):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(body))
            end = start + chance.choice([0, 1, 1, 2, 10])
            body[start:end] = chance.choice(
                [b"", chance.randbytes(2), bytes(body[start:end]) * 2, b'"', b"{", b"\\u0000"]
            )
        check_documented(service.send(bytes(body)))


def check_documented(answer: Answer) -> None:
    """Fail unless the answer is one that section 5 of the design knows, and no server's error."""
    assert answer.status in (200, 202, 400), answer
    if answer.ok:
        assert answer.json["ok"] is True
        assert answer.json["count"] >= len(answer.json["results"]) >= 1
    else:
        assert answer.error


def send_raw(service: Service, body: bytes, length: str = "") -> Answer:
    """Send a body that may be refused before it is read, as far as the server takes it."""
    length = length or f"Content-Length: {len(body)}"
    return exchange(service, _POST + length.encode() + b"\r\n\r\n" + body)
