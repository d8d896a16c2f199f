"""The road to Slack: redirects, proxies, names, addresses, TLS, and servers that stand still."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from alert_threader.slack import resolver, transport
from alert_threader.slack.client import Slack
from alert_threader.slack.failures import FailureKind, SlackError
from harness.network import (
    Authority,
    Listener,
    Serve,
    answers,
    authority,
    connects,
    drips,
    stands_still,
    takes_no_connection,
)
from harness.servers import HOST
from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS1"
TOKEN = "xoxb-sandbox-secret-1"
#: A name that only these tests resolve.
NAME = "slack.test"
#: Short where a call is to run into it, long where it must not.
SHORT, LONG = 0.3, 20.0
_BODY = '{"ok": true, "ts": "1.000001", "channel": "C01"}'
OK = f"HTTP/1.1 200 OK\r\nContent-Length: {len(_BODY)}\r\n\r\n{_BODY}"

CALLS: dict[str, Callable[[Slack], object]] = {
    "auth.test": lambda slack: slack.identify(),
    "chat.postMessage": lambda slack: slack.post(CHANNEL, {"text": "x"}),
    "chat.update": lambda slack: slack.update(CHANNEL, "1.0", {"text": "x"}),
    "conversations.history": lambda slack: slack.find(CHANNEL, "a1", 1.0, None),
    "conversations.info": lambda slack: slack.channel_name(CHANNEL),
}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy and CA there is on this machine."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, besides real ones."""
    known: dict[str, list[str]] = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> list[Any]:
        if options.get("flags"):
            return look_up(host, *arguments, **options)
        return [found for each in known.get(host, [host]) for found in look_up(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def start() -> Iterator[Callable[..., Listener]]:
    """Start servers."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(Listener(*arguments))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA of a company's own, and its certificate for slack.test."""
    return authority(tmp_path_factory.mktemp("ca"), NAME)


def slack_at(port: int, timeout: float = LONG, host: str = HOST, scheme: str = "http") -> Slack:
    """The adapter, speaking to a server."""
    return Slack(TOKEN, f"{scheme}://{host}:{port}/api/", timeout)


def failure(slack: Slack, call: str = "chat.postMessage") -> SlackError:
    """How a call fails."""
    with pytest.raises(SlackError) as caught:
        CALLS[call](slack)
    return caught.value


def surely_not_done(error: SlackError, *parts: str) -> None:
    """The line has all these parts, and Slack has surely not done the call."""
    assert (error.kind, error.outcome_unknown) == (FailureKind.TRANSIENT, False)
    assert [part for part in parts if part not in str(error)] == [], str(error)
    assert "\n" not in str(error)


class TestRedirects:
    """Another host must not get the token."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("call", CALLS)
    def test_nobody_follows(self, start: Callable[..., Listener], status: int, call: str) -> None:
        """Whatever the status and the call: it says where it should have gone, and nothing of the address but that."""
        other = start(answers(200, body='{"ok": true}'))
        target = f"http://user:pw@{HOST}:{other.port}/login?token=xoxb-1"
        server = start(answers(status, f"Location: {target}"))
        error = failure(slack_at(server.port), call)
        surely_not_done(error, str(status), f"{HOST}:{other.port}")
        assert (len(server.heads), other.heads) == (1, [])
        assert "xoxb" not in str(error)
        assert "pw" not in str(error)

    def test_not_to_itself_either(self, start: Callable[..., Listener]) -> None:
        """A POST that is repeated as a GET would be another call."""
        server = start(answers(302, "Location: /login"))
        surely_not_done(failure(slack_at(server.port)), f"{HOST}:{server.port}")
        assert len(server.heads) == 1

    @pytest.mark.parametrize("location", ["", "Location: ", "Location: http://[", "Location: //a b\x07/"])
    def test_address_that_is_none(self, start: Callable[..., Listener], location: str) -> None:
        """It is not shown."""
        error = failure(slack_at(start(answers(302, *filter(None, [location]))).port))
        surely_not_done(error, "answers 302, which")

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_not_through_a_proxy(
        self,
        start: Callable[..., Listener],
        company: Authority,
        names: dict[str, list[str]],
        monkeypatch: pytest.MonkeyPatch,
        scheme: str,
    ) -> None:
        """With TLS and without."""
        server = start(answers(302, "Location: https://login.example.com/?x"), company.context if scheme[4:] else None)
        proxy = start(connects(server.port))
        monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{proxy.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
        surely_not_done(failure(slack_at(server.port, host=NAME, scheme=scheme)), "302", "login.example.com")
        assert (len(server.heads), len(proxy.heads), names) == (1, 1, {})


class TestProxies:
    """HTTPS_PROXY and its relatives."""

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_calls_go_through(
        self, start: Callable[..., Listener], company: Authority, monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        """Only the proxy resolves the name, and only the proxy gets its password."""
        server = start(lambda sock, _: sock.sendall(OK.encode()), company.context if scheme[4:] else None)
        proxy = start(connects(server.port))
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{HOST}:{proxy.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
        assert slack_at(server.port, host=NAME, scheme=scheme).post(CHANNEL, {"text": "x"}).ts == "1.000001"
        assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in proxy.heads[0]
        assert (TOKEN.encode() in proxy.heads[0]) == (scheme == "http")
        if scheme == "https":
            assert b"Proxy-Authorization" not in server.heads[0]
            assert b"Host: slack.test:" in proxy.heads[0]

    @pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"])
    @pytest.mark.parametrize(
        ("status", "user", "remedy"),
        [
            (407, "", "put user and password (http://user:password@…) in"),
            (407, "me:secret-pw@", "check the user and password in"),
            (403, "", "let it allow slack.test:443"),
            (502, "", "it cannot reach slack.test:443"),
        ],
    )
    def test_refusal(
        self,
        start: Callable[..., Listener],
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        status: int,
        user: str,
        remedy: str,
    ) -> None:
        """The proxy is named, with its status and what to do; the password is not."""
        proxy = start(answers(status, "Proxy-Authenticate: Basic"))
        monkeypatch.setenv(name, f"http://{user}{HOST}:{proxy.port}")
        error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(error, f"the proxy {HOST}:{proxy.port} answers {status}: {remedy}")
        assert "secret-pw" not in str(error)
        if status == 407:
            assert name in str(error)

    def test_refusal_without_tls(self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody but a proxy answers 407."""
        proxy = start(answers(407))
        monkeypatch.setenv("HTTP_PROXY", f"{HOST}:{proxy.port}")
        surely_not_done(failure(slack_at(80, host=NAME)), f"the proxy {HOST}:{proxy.port} answers 407", "HTTP_PROXY")

    def test_proxy_that_stands_still(self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
        """It has not passed the call on."""
        proxy = start(stands_still)
        monkeypatch.setenv("HTTPS_PROXY", f"{HOST}:{proxy.port}")
        error = failure(slack_at(443, SHORT, NAME, "https"))
        surely_not_done(error, f"the proxy {HOST}:{proxy.port} does not connect to slack.test:443 within 0.3 s")

    def test_no_http_proxy(self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
        """Something else listens there."""
        proxy = start(lambda sock, _: sock.sendall(b"SSH-2.0-x\r\n"))
        monkeypatch.setenv("HTTPS_PROXY", f"{HOST}:{proxy.port}")
        error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(error, f"the proxy {HOST}:{proxy.port} does not answer as an HTTP proxy", "check HTTPS_PROXY")

    def test_proxy_without_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name is the proxy's, not Slack's."""

        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        monkeypatch.setenv("HTTPS_PROXY", "http://me:pw@proxy.test:3128")
        error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(error, "the name proxy.test is not found: check HTTPS_PROXY and DNS")

    def test_proxy_that_is_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody listens."""
        with socket.socket() as unused:
            unused.bind((HOST, 0))
            address = f"{HOST}:{unused.getsockname()[1]}"
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(error, f"the connection to the proxy is refused ({address}): check HTTPS_PROXY")

    @pytest.mark.parametrize(
        "proxy", ["socks5://me:pw@proxy.test:1080", "http://me:pw@proxy.test:port", "http://", "://"]
    )
    def test_setting_that_is_none(self, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
        """It is named, not shown: a password may be in it."""
        monkeypatch.setenv("https_proxy", proxy)
        error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(error, "https_proxy names no HTTP proxy: it must be like http://proxy.example.com:3128")
        assert "pw" not in str(error)

    @pytest.mark.parametrize("user", ["me:secret-pw@", "me@"])
    def test_password_that_would_be_sent_unencrypted(
        self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch, user: str
    ) -> None:
        """An address that promises TLS with the proxy gets no password, and no line shows it."""
        proxy = start(answers(200))
        monkeypatch.setenv("HTTPS_PROXY", f"https://{user}{HOST}:{proxy.port}")
        error = failure(slack_at(443, host=NAME, scheme="https"))
        surely_not_done(
            error, "HTTPS_PROXY names an https:// proxy with a password: that is not supported, use http://"
        )
        assert "secret-pw" not in str(error)
        assert proxy.heads == []

    def test_https_proxy_without_a_password(
        self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is spoken to in plain HTTP: many an https:// in this setting means such a proxy."""
        proxy = start(answers(403))
        monkeypatch.setenv("HTTPS_PROXY", f"https://{HOST}:{proxy.port}")
        surely_not_done(failure(slack_at(443, host=NAME, scheme="https")), f"the proxy {HOST}:{proxy.port} answers 403")

    def test_exceptions(self, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        """NO_PROXY is followed, and this machine is never reached through a proxy: make demo has to work anywhere."""
        names[NAME] = [HOST]
        monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:1")
        with SandboxServer() as server:
            assert Slack(TOKEN, server.api_url, LONG).identify().user
            by_name = server.api_url.replace(HOST, NAME)
            assert "the proxy" in str(failure(Slack(TOKEN, by_name, LONG)))
            monkeypatch.setenv("NO_PROXY", "slack.test")
            assert Slack(TOKEN, by_name, LONG).identify().user


class TestBeforeTheCall:
    """What fails before the call was sent, Slack has surely not done."""

    @pytest.mark.parametrize(
        ("fault", "line"),
        [
            (
                socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
                "is not found: check SLACK_API_URL and DNS",
            ),
            (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "is not resolved (Temporary failure): check DNS"),
            (OSError(24, "Too many open files"), "is not resolved ([Errno 24] Too many open files)"),
        ],
    )
    def test_name(self, monkeypatch: pytest.MonkeyPatch, fault: OSError, line: str) -> None:
        """It has no address, or nobody can say."""

        def fail(*_: object, **__: object) -> None:
            raise fault

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        surely_not_done(failure(slack_at(443, host=NAME)), f"the name {NAME} {line}")

    def test_resolver_that_never_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It costs SLACK_TIMEOUT and one thread, however many calls ask; and afterwards all goes on."""
        released, asked, look_up = threading.Event(), [], socket.getaddrinfo

        def getaddrinfo(host: str, *arguments: Any, **options: Any) -> list[Any]:
            if host == NAME and not options.get("flags"):
                asked.append(host)
                released.wait()
                host = HOST
            return look_up(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with SandboxServer() as server:
            slack = Slack(TOKEN, server.api_url.replace(HOST, NAME), SHORT)
            try:
                for call in CALLS:
                    surely_not_done(failure(slack, call), f"the name {NAME} is not resolved within 0.3 s: check DNS")
                assert asked == [NAME]
            finally:
                released.set()
            assert Slack(TOKEN, server.api_url.replace(HOST, NAME), LONG).identify().user

    def test_look_up_that_never_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The resolver is well again, and only the look-up from before hangs: it is asked anew."""
        released, asked, look_up = threading.Event(), [], socket.getaddrinfo

        def getaddrinfo(host: str, *arguments: Any, **options: Any) -> list[Any]:
            if host == NAME and not options.get("flags"):
                asked.append(host)
                if len(asked) == 1:
                    released.wait()
                host = HOST
            return look_up(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(resolver, "_PATIENCE", 0.0)
        with SandboxServer() as server:
            slack = Slack(TOKEN, server.api_url.replace(HOST, NAME), SHORT)
            try:
                surely_not_done(failure(slack), "is not resolved within 0.3 s")
                assert slack.identify().user
            finally:
                released.set()

    def test_no_more_threads(self, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system gives none, names are looked up all the same."""

        def start(thread: threading.Thread) -> None:
            if thread.name == "resolver":
                raise RuntimeError("can't start new thread")
            original(thread)

        original = threading.Thread.start
        names[NAME] = [HOST]
        with SandboxServer() as server:
            monkeypatch.setattr(threading.Thread, "start", start)
            assert Slack(TOKEN, server.api_url.replace(HOST, NAME), LONG).identify().user

    @pytest.mark.parametrize(
        ("addresses", "line"),
        [
            ([HOST], f"the connection to Slack is refused ({NAME}:1): check SLACK_API_URL"),
            ([HOST, "127.0.0.2"], f"the connection to Slack is refused ({NAME}:1): check SLACK_API_URL"),
            (["255.255.255.255"], f"no connection to Slack ({NAME}:1): "),
        ],
    )
    def test_address(self, names: dict[str, list[str]], addresses: list[str], line: str) -> None:
        """Nobody listens, or nothing leads there."""
        names[NAME] = addresses
        surely_not_done(failure(slack_at(1, host=NAME)), line)

    @pytest.mark.parametrize("addresses", [[HOST], [HOST, "127.0.0.2"]])
    def test_firewall_that_drops(self, names: dict[str, list[str]], addresses: list[str]) -> None:
        """Behind it there may be a proxy that is to be set."""
        names[NAME] = addresses
        with takes_no_connection(HOST) as port, takes_no_connection("127.0.0.2", port):
            error = failure(slack_at(port, SHORT, NAME))
        surely_not_done(error, f"Slack takes no connection within 0.3 s ({NAME}:{port})", "HTTPS_PROXY")

    def test_certificate_of_a_company(
        self,
        start: Callable[..., Listener],
        company: Authority,
        names: dict[str, list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """SSL_CERT_FILE makes it good, and the line without it says so."""
        names[NAME] = [HOST]
        server = start(lambda sock, _: sock.sendall(OK.encode()), company.context)
        error = failure(slack_at(server.port, host=NAME, scheme="https"))
        surely_not_done(error, f"the certificate of {NAME} is not trusted", "name its certificate in SSL_CERT_FILE")
        assert error.code == "certificate"
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        error = failure(slack_at(server.port, host=NAME, scheme="https"))
        surely_not_done(error, "SSL_CERT_FILE (/nowhere/ca.pem) must hold the CA's certificate (PEM)")
        monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
        assert slack_at(server.port, host=NAME, scheme="https").post(CHANNEL, {"text": "x"}).ts

    def test_certificate_of_another(
        self,
        start: Callable[..., Listener],
        company: Authority,
        names: dict[str, list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """No CA helps there."""
        names["other.test"] = [HOST]
        monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
        server = start(stands_still, company.context)
        error = failure(slack_at(server.port, host="other.test", scheme="https"))
        surely_not_done(error, "the certificate of other.test is not trusted", "Hostname mismatch", "SLACK_API_URL")

    @pytest.mark.parametrize(
        ("serve", "line"),
        [
            (answers(200), "no TLS with slack.test (WRONG_VERSION_NUMBER)"),
            (lambda _sock, _head: None, "no TLS with slack.test ("),
        ],
        ids=["plain http", "closes"],
    )
    def test_no_tls(self, start: Callable[..., Listener], names: dict[str, list[str]], serve: Serve, line: str) -> None:
        """Something else stands there."""
        names[NAME] = [HOST]
        error = failure(slack_at(start(serve, None, b"").port, host=NAME, scheme="https"))
        surely_not_done(error, line, "check SLACK_API_URL and what stands between here and Slack")

    def test_handshake_that_stands_still(self, start: Callable[..., Listener], names: dict[str, list[str]]) -> None:
        """TLS belongs to the call's time."""
        names[NAME] = [HOST]
        error = failure(slack_at(start(stands_still, None, b"").port, SHORT, NAME, "https"))
        surely_not_done(error, "no TLS with slack.test within 0.3 s")


@pytest.mark.parametrize("dead", ["::1", "127.0.0.2"])
@pytest.mark.parametrize("first", [True, False])
def test_address_that_leads_nowhere(names: dict[str, list[str]], dead: str, first: bool) -> None:
    """The call takes the other address long before its time is over."""
    if ":" in dead and not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6 here")
    with SandboxServer() as server, takes_no_connection(dead, int(server.url.split(":")[2][:-1])):
        names[NAME] = [dead, HOST] if first else [HOST, dead]
        slack = Slack(TOKEN, server.api_url.replace(HOST, NAME), LONG)
        assert [slack.identify().user for _ in range(3)] == ["alert_threader"] * 3


class TestAfterTheCall:
    """Once it was sent, nobody knows; but it ends in time."""

    @pytest.mark.parametrize("end", [OK.index("200"), OK.index("{") + 5], ids=["head", "body"])
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_answer_that_drips(
        self,
        start: Callable[..., Listener],
        company: Authority,
        names: dict[str, list[str]],
        monkeypatch: pytest.MonkeyPatch,
        scheme: str,
        end: int,
    ) -> None:
        """Each byte comes soon, and all of them too late: whoever waits for each anew takes this answer."""
        names[NAME] = [HOST]
        monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))

        def serve(sock: socket.socket, head: bytes) -> None:
            sock.sendall(OK[:end].encode())
            drips(SHORT / 3, OK[end:])(sock, head)

        server = start(serve, company.context if scheme[4:] else None)
        error = failure(slack_at(server.port, SHORT, NAME, scheme))
        assert (error.code, error.outcome_unknown) == ("timeout", True)

    def test_answer_that_is_cut(self, start: Callable[..., Listener]) -> None:
        """It may have been done."""
        error = failure(slack_at(start(lambda sock, _: sock.sendall(OK[:-5].encode())).port))
        assert (error.code, error.outcome_unknown) == ("connection", True)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 451])
    def test_refusal_that_is_not_slacks(self, start: Callable[..., Listener], status: int) -> None:
        """A filter in between does not let the call through."""
        error = failure(slack_at(start(answers(status, body="<html>Blocked")).port))
        surely_not_done(error, f"Slack's address answers {status}", "check SLACK_API_URL and what stands between")

    def test_page_that_is_no_text(self, start: Callable[..., Listener]) -> None:
        """An unknown charset is no fault of ours."""
        page = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x-none\r\nContent-Length: 1\r\n\r\n"
        error = failure(slack_at(start(lambda sock, _: sock.sendall(page.encode() + b"\xff")).port))
        assert (error.code, error.outcome_unknown) == ("not_json", True)

    @pytest.mark.parametrize(
        "head",
        [
            "Content-Length: 99999999\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\n\r\nfffffff",
            "Connection: close\r\n",
        ],
    )
    def test_answer_without_an_end(
        self, start: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch, head: str
    ) -> None:
        """Its beginning is enough to know that it is not Slack's: it must not fill the memory."""
        monkeypatch.setattr(transport, "_MAX_ANSWER", 1_000_000)
        sent: list[int] = []

        def serve(sock: socket.socket, _head: bytes) -> None:
            sock.sendall(f'HTTP/1.1 200 OK\r\n{head}\r\n{{"ok": "'.encode())
            with suppress(OSError):
                while len(sent) < 300:
                    sock.sendall(b"x" * 100_000)
                    sent.append(1)

        error = failure(slack_at(start(serve).port))
        assert (error.code, error.outcome_unknown) == ("not_json", True)
        assert len(sent) < 300
