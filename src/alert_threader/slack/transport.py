"""How a call gets to Slack and its answer back: one request over a connection of its own.

No redirect is followed: another host must not get the token.
"""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from alert_threader.slack.connecting import Server, connect, handshake, proxy_refusal, tunnel
from alert_threader.slack.deadline import Deadline, TimedSocket
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.proxy import Proxy, authority, proxy_for
from alert_threader.slack.resolver import Resolver

_PORTS = {"http": 80, "https": 443}
#: How much of an answer is read, in bytes: 200 messages, a page, can have some 14 MB where each letter is escaped.
_MAX_ANSWER = 32 * 1024 * 1024
#: Whatever else stands where a redirect's host should be is not shown.
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


class Answer(NamedTuple):
    """An HTTP answer, whoever gave it."""

    status: int
    headers: Mapping[str, str]
    body: str


class Transport:
    """Makes requests, each within the same time. Safe to use from several threads."""

    def __init__(self, timeout: float) -> None:
        """Take how long a request may take, in seconds, from looking the name up to the answer's last byte."""
        self._timeout = timeout
        self._resolver = Resolver()
        # One for all calls: making one costs 28 ms.
        self._context = ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request and return its answer.

        Raises SlackError for what failed before the request was sent, and for a redirect; OSError and HTTPException
        afterwards, when nobody knows what became of it.
        """
        deadline = Deadline(self._timeout)
        target = urlsplit(url)
        host, port = target.hostname or "", target.port or _PORTS[target.scheme]
        proxy = proxy_for(host, os.environ)
        with closing(self._connect(host, port, proxy, deadline, tls=target.scheme == "https")) as sock:
            answer = _exchange(TimedSocket(sock, deadline), target, body, headers, proxy)
        if proxy and answer.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_refusal(proxy, answer.status, authority(host, port))
        if 300 <= answer.status < 400:
            raise _redirect(url, answer)
        return answer

    def dial(self, host: str, port: int, *, tunnelled: bool) -> socket.socket:
        """Connect to a host, through a proxy where there is one and ``tunnelled`` says so. Raises SlackError."""
        deadline = Deadline(self._timeout)
        proxy = proxy_for(host, os.environ) if tunnelled else None
        sock = self._connect(host, port, proxy, deadline, tls=False)
        if proxy:
            try:
                tunnel(sock, proxy, authority(host, port), deadline)
            except BaseException:
                sock.close()
                raise
        return sock

    def _connect(self, host: str, port: int, proxy: Proxy | None, deadline: Deadline, *, tls: bool) -> socket.socket:
        server = Server(host, port, "Slack", "SLACK_API_URL", "the firewall; behind a proxy, set HTTPS_PROXY")
        if proxy:
            server = Server(proxy.host, proxy.port, "the proxy", proxy.setting, "the firewall")
        sock = connect(server, self._resolver, deadline)
        if not tls:
            return sock
        try:
            if proxy:
                tunnel(sock, proxy, authority(host, port), deadline)
            return handshake(sock, self._context, host, deadline)
        except BaseException:
            sock.close()
            raise


def _exchange(
    sock: TimedSocket, target: SplitResult, body: bytes, headers: Mapping[str, str], proxy: Proxy | None
) -> Answer:
    netloc = target.netloc.rpartition("@")[2]
    path = f"{target.path}?{target.query}" if target.query else target.path
    if proxy and target.scheme == "http":
        # Without TLS the proxy reads the request itself.
        path, headers = f"http://{netloc}{path}", {**headers, **proxy.headers}
    connection = http.client.HTTPConnection(netloc)
    connection.sock = sock  # all that it uses is there
    connection.request("POST", path, body, {**headers, "Host": netloc, "Connection": "close"})
    answer = connection.getresponse()
    # Whatever is no UTF-8 is no JSON either, and so no answer of Slack's.
    return Answer(answer.status, dict(answer.getheaders()), _read(answer).decode(errors="replace"))


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The answer's text, cut where it is too large to be Slack's: then it is no JSON."""
    text = answer.read(_MAX_ANSWER)
    # Told how much to read, it does not say itself that the connection broke off.
    if answer.length and len(text) < _MAX_ANSWER:
        raise http.client.IncompleteRead(text, answer.length)
    return text


def _redirect(url: str, answer: Answer) -> SlackError:
    location = {name.lower(): value for name, value in answer.headers.items()}.get("location", "")
    try:
        host = urlsplit(urljoin(url, location)).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    to = f" and points to {host}" if location and _HOST.fullmatch(host) else ""
    text = f"Slack's address answers {answer.status}{to}, which is not followed: check SLACK_API_URL, proxy, firewall"
    return SlackError(FailureKind.TRANSIENT, f"http_{answer.status}", text)
