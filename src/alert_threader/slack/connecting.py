"""The way to a connection with Slack: name, address, proxy, TLS. Each way to fail has its own line.

Whatever fails here fails before the call was sent: Slack surely has not done it.
"""

import asyncio
import errno
import http.client
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohappyeyeballs import AddrInfoType, start_connection

from alert_threader.slack.deadline import Deadline, TimedSocket
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.proxy import Proxy, authority
from alert_threader.slack.resolver import Resolver

#: The next address is tried when one has not answered for so long, in seconds (RFC 8305, section 5).
_NEXT_ADDRESS = 0.25

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
#: OpenSSL's reasons against a certificate (X509_V_ERR_…), where the CA is not what is wrong.
_OTHER_REMEDIES = {
    9: "check the clock of this machine",
    10: "check the clock of this machine",
    62: "check SLACK_API_URL and what stands between here and Slack",
    64: "check SLACK_API_URL and what stands between here and Slack",
}


class Server(NamedTuple):
    """Whom a connection is made to: what a person calls it, the setting that names it, and what to check besides."""

    host: str
    port: int
    called: str
    setting: str
    remedy: str

    @property
    def address(self) -> str:
        """The host and the port."""
        return authority(self.host, self.port)


def connect(server: Server, resolver: Resolver, deadline: Deadline) -> socket.socket:
    """Connect to a server at the first of its addresses that answers. Raises SlackError."""
    addresses = _look_up(server, resolver, deadline)
    try:
        sock = _race(addresses, deadline)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise _unconnected(server, error, deadline) from error
    return sock


def _look_up(server: Server, resolver: Resolver, deadline: Deadline) -> Sequence[AddrInfoType]:
    name = f"the name {server.host}"
    try:
        return resolver.look_up(server.host, server.port, deadline.left())
    except TimeoutError as error:
        raise _not_sent("dns", f"{name} is not resolved within {deadline.seconds:g} s: check DNS") from error
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _not_sent("dns", f"{name} is not resolved ({error.strerror}): check DNS") from error
        raise _not_sent("dns", f"{name} is not found: check {server.setting} and DNS") from error
    except (OSError, UnicodeError) as error:
        raise _not_sent("dns", f"{name} is not resolved ({error}): check {server.setting}") from error


def _race(addresses: Sequence[AddrInfoType], deadline: Deadline) -> socket.socket:
    if len(addresses) == 1:
        family, kind, protocol, _, address = addresses[0]
        return _connected(socket.socket(family, kind, protocol), address, deadline)
    return asyncio.run(_first_of(addresses, deadline))


def _connected(sock: socket.socket, address: Any, deadline: Deadline) -> socket.socket:
    try:
        sock.settimeout(deadline.left())
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first_of(addresses: Sequence[AddrInfoType], deadline: Deadline) -> socket.socket:
    """Try the addresses a quarter of a second apart, IPv6 and IPv4 in turn: a family may lead nowhere."""
    async with asyncio.timeout(deadline.left()):
        return await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)


def _unconnected(server: Server, error: OSError, deadline: Deadline) -> SlackError:
    address, remedy = server.address, f"check {server.setting} and {server.remedy}"
    if isinstance(error, TimeoutError):
        text = f"{server.called} takes no connection within {deadline.seconds:g} s ({address}): {remedy}"
        return _not_sent("unreachable", text)
    if isinstance(error, ConnectionRefusedError):
        return _not_sent("refused", f"the connection to {server.called} is refused ({address}): {remedy}")
    reason = "no route" if error.errno in _NO_ROUTE else error.strerror or str(error)
    return _not_sent("unreachable", f"no connection to {server.called} ({address}): {reason}; {remedy}")


def tunnel(sock: socket.socket, proxy: Proxy, target: str, deadline: Deadline) -> None:
    """Let a proxy connect to ``target``, a host and a port. Raises SlackError."""
    timed = TimedSocket(sock, deadline)
    headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": target, **proxy.headers}.items())
    whom = f"the proxy {proxy.address}"
    try:
        timed.sendall(f"CONNECT {target} HTTP/1.1\r\n{headers}\r\n".encode())
        # After CONNECT there is no body, as after HEAD.
        answer = http.client.HTTPResponse(timed, method="HEAD")  # type: ignore[arg-type]  # all that it uses is there
        answer.begin()
        answer.close()
    except TimeoutError as error:
        text = f"{whom} does not connect to {target} within {deadline.seconds:g} s: check whether it allows {target}"
        raise _not_sent("proxy", text) from error
    except (OSError, http.client.HTTPException) as error:
        text = f"{whom} does not answer as an HTTP proxy ({type(error).__name__}): check {proxy.setting}"
        raise _not_sent("proxy", text) from error
    if answer.status // 100 != 2:
        raise proxy_refusal(proxy, answer.status, target)


def proxy_refusal(proxy: Proxy, status: int, target: str) -> SlackError:
    """The failure of a call that a proxy does not let through."""
    if status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        known = "check the user and password" if proxy.headers else "put user and password (http://user:password@…)"
        remedy = f"{known} in {proxy.setting}"
    elif status >= http.client.INTERNAL_SERVER_ERROR:
        remedy = f"it cannot reach {target}, or may not: let it allow slack.com"
    else:
        remedy = f"let it allow {target}"
    return _not_sent("proxy", f"the proxy {proxy.address} answers {status}: {remedy}")


def handshake(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """Agree on TLS with ``host``. Raises SlackError."""
    try:
        sock.settimeout(deadline.left())
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        remedy = _OTHER_REMEDIES.get(error.verify_code) or _other_ca()
        text = f"the certificate of {host} is not trusted ({error.verify_message.rstrip('.')}): {remedy}"
        raise _not_sent("certificate", text) from error
    except TimeoutError as error:
        text = f"no TLS with {host} within {deadline.seconds:g} s: check what stands between here and Slack"
        raise _not_sent("tls", text) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        text = f"no TLS with {host} ({reason}): check SLACK_API_URL and what stands between here and Slack"
        raise _not_sent("tls", text) from error


def _other_ca() -> str:
    # OpenSSL passes over a file that it cannot read.
    if file := os.environ.get("SSL_CERT_FILE"):
        return f"SSL_CERT_FILE ({file}) must hold the CA's certificate (PEM), and the service must be able to read it"
    return "where the network has a CA of its own, name its certificate in SSL_CERT_FILE"


def _not_sent(code: str, text: str) -> SlackError:
    return SlackError(FailureKind.TRANSIENT, code, text)
