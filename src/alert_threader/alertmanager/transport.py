"""One request to one Alertmanager, and what went wrong with it in words. The only module that imports ``requests``."""

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from alert_threader.alertmanager.model import AlertmanagerError, AlertmanagerFailure, Login

#: The largest answer that is read, in bytes: 100,000 alerts or so.
MAX_ANSWER = 64 * 1024 * 1024
#: How much of Alertmanager's own words an error shows, in characters.
_MAX_SAID = 200
_CHUNK = 64 * 1024
#: Overrides the environment's proxies. (The type stubs do not allow None.)
_NO_PROXY: dict[str, str] = {"http": None, "https": None}  # type: ignore[dict-item]


class Member(NamedTuple):
    """A member of a cluster: its URL, and the one of several addresses that its name has, empty where it has one."""

    url: str
    address: str = ""

    @property
    def host(self) -> str:
        """What it is called: its host, port and path, with the address where only that tells it apart."""
        target = urlsplit(self.url)
        name = f"{target.netloc}{target.path}".rstrip("/")
        return f"{name} ({self.address})" if self.address else name


class Answer(NamedTuple):
    """An answer's body, and the time on the clock of whoever gave it (seconds since the epoch), None if not said."""

    body: bytes
    at: float | None


def members_at(url: str) -> list[Member]:
    """The members that a URL leads to: one for each address of its name, as a headless service in Kubernetes has them.

    A name that cannot be resolved is one member, which then cannot be reached.
    """
    target = urlsplit(url)
    one = [Member(url)]
    if not target.hostname or _is_here(url) or _has_proxy(url):
        return one
    try:
        ipaddress.ip_address(target.hostname)
    except ValueError:
        pass
    else:
        return one
    try:
        found = socket.getaddrinfo(target.hostname, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter for a name that cannot be one
        return one
    # Of two families one is enough: a member has an address in both.
    version = socket.AF_INET if any(family == socket.AF_INET for family, *_ in found) else socket.AF_INET6
    addresses = sorted({str(where[0]) for family, _, _, _, where in found if family == version})
    return [Member(url, address) for address in addresses] if len(addresses) > 1 else one


class _TooLargeError(requests.RequestException):
    """An answer is larger than MAX_ANSWER."""


class _Bearer(AuthBase):
    """Sends a token. As a plain header of the session, it would be overridden by ``~/.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoLogin(AuthBase):
    """Sends no credentials, even if ``~/.netrc`` has some."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _ByName(HTTPAdapter):
    """Connects to an address, and checks the certificate of the name that it stands for."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """See the base; the pool's connections name the member in TLS."""
        where, how = super().build_connection_pool_key_attributes(request, verify, cert)
        if where["scheme"] == "https":
            return where, {**how, "server_hostname": self.name, "assert_hostname": self.name}
        return where, how


class Transport:
    """Sends requests to members of clusters, with one login. Safe to use from several threads."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._local = threading.local()

    def ask(
        self,
        member: Member,
        method: str,
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        *,
        timeout: float,
    ) -> Answer:
        """Ask a member for what is at ``path`` of its API, in ``timeout`` seconds. Raises AlertmanagerError."""
        changes = method != "GET"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            with closing(
                self._session(member).request(
                    method,
                    f"{_at_address(member)}/api/v2/{path}",
                    params=list(parameters),
                    data=body,
                    headers=headers | ({"Host": urlsplit(member.url).netloc} if member.address else {}),
                    timeout=timeout,
                    # Given here: REQUESTS_CA_BUNDLE would override the session's.
                    verify=self._login.ca,
                    proxies=_NO_PROXY if member.address or _is_here(member.url) else None,
                    allow_redirects=False,
                    stream=True,
                )
            ) as answer:
                text = _read(answer, time.monotonic() + timeout)
        except (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise _unreachable(member, error) from error
        except requests.ConnectionError as error:
            raise _unreachable(member, error, outcome_unknown=changes and not _is_not_sent(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(member, error, outcome_unknown=changes) from error
        if answer.ok and answer.status_code < 300:
            return Answer(text, _date(answer.headers.get("Date")))
        raise _refused(member, answer.status_code, text, changes=changes)

    def _session(self, member: Member) -> requests.Session:
        """One session per thread: sessions are not thread-safe."""
        found: requests.Session | None = getattr(self._local, "session", None)
        if found is None:
            found = self._local.session = requests.Session()
            login = self._login
            if login.token:
                found.auth = _Bearer(login.token)
            else:
                found.auth = HTTPBasicAuth(login.user, login.password) if login.user else _NoLogin()
            found.headers.update(dict(login.headers))
        if member.address:
            where, name = _at_address(member), urlsplit(member.url).hostname or ""
            # One that is there already keeps its connections.
            if getattr(found.get_adapter(where), "name", None) != name:
                found.mount(where, _ByName(name))
        return found


def _at_address(member: Member) -> str:
    """The member's URL, with its one address instead of its name."""
    if not member.address:
        return member.url
    target = urlsplit(member.url)
    address = f"[{member.address}]" if ":" in member.address else member.address
    return urlunsplit(target._replace(netloc=f"{address}:{target.port}" if target.port else address))


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _read(answer: requests.Response, until: float) -> bytes:
    """Read the body before a deadline (monotonic clock). Raises a RequestException if it is late or too large."""
    text = bytearray()
    try:
        # Whatever has arrived: a plain read would wait for the full number of bytes.
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            text += chunk
            if len(text) > MAX_ANSWER:
                raise _TooLargeError
            if time.monotonic() > until:
                raise requests.ReadTimeout("the answer does not end")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout("the answer stops") from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(type(error).__name__)) from error
    return bytes(text)


def _refused(member: Member, status: int, text: bytes, *, changes: bool) -> AlertmanagerError:
    said = _said(text)
    line = f"{member.host} answers {status}" + (f": {said}" if said else "")
    match status:
        case 400 | 422:
            # 0.25 and some later versions answer like this if the silence has ended.
            is_gone = "not found" in said or "expired" in said
            return AlertmanagerError(AlertmanagerFailure.GONE if is_gone else AlertmanagerFailure.REFUSED, line)
        case 401 | 403:
            return AlertmanagerError(AlertmanagerFailure.AUTH, f"{line}: check ALERTMANAGER_TOKEN, user and password")
        case 404 if _is_its_own(text):
            return AlertmanagerError(AlertmanagerFailure.GONE, line)
        case 404:
            return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, f"{line}: check ALERTMANAGER_URL")
        case _ if 300 <= status < 400:
            return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, f"{line} (a redirect): check ALERTMANAGER_URL")
        case _:
            is_unknown = changes and status >= 500
            return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, line, outcome_unknown=is_unknown)


def _is_its_own(text: bytes) -> bool:
    """Whether an answer can be Alertmanager's, which says nothing or a JSON text, and not a proxy's."""
    try:
        return not text or isinstance(json.loads(text), str)
    except ValueError:
        return False


def _said(text: bytes) -> str:
    """What Alertmanager says is wrong: a JSON text, or an object with a message. A page of HTML says nothing."""
    words = text[: 4 * _MAX_SAID].decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = "" if "<" in words else words
    if isinstance(found, dict):
        found = found.get("message") or found.get("error") or ""
    return " ".join(str(found).split())[:_MAX_SAID]


def _unreachable(member: Member, error: Exception, *, outcome_unknown: bool = False) -> AlertmanagerError:
    name = f" ({type(error).__name__})"
    match error:
        case requests.Timeout():
            why = "does not answer in time"
        case _TooLargeError():
            why = f"answers with more than {MAX_ANSWER // 1024 // 1024} MB"
            name = ""
        case requests.exceptions.ChunkedEncodingError():
            why = "breaks off its answer"
        case _:
            why = "cannot be reached"
    text = f"{member.host} {why}{name}: check ALERTMANAGER_URL and the network"
    return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, text, outcome_unknown=outcome_unknown)


def _is_not_sent(error: requests.ConnectionError) -> bool:
    """Whether no connection was made at all."""
    return "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)


def _has_proxy(url: str) -> bool:
    """Whether the environment names a proxy for this URL; one for other schemes does not count."""
    return requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) is not None


def _is_here(url: str) -> bool:
    """Whether a member is on this machine, which no proxy leads to."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
