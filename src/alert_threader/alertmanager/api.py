"""The parts of Alertmanager's API v2 that are used: alerts and silences. The only module that imports ``requests``.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, from version 0.25 on.
"""

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    HeldAlert,
    KnownSilence,
    Login,
    Matcher,
    SilenceState,
)

T = TypeVar("T")

#: The largest answer that is read, in bytes: 100,000 alerts or so.
MAX_ANSWER = 64 * 1024 * 1024
#: How much of Alertmanager's own words an error shows, in characters.
_MAX_SAID = 200
_CHUNK = 64 * 1024
#: Overrides the environment's proxies. (The type stubs do not allow None.)
_NO_PROXY: dict[str, str] = {"http": None, "https": None}  # type: ignore[dict-item]


class _Status(msgspec.Struct, rename="camel"):
    state: str = ""
    silenced_by: list[str] = []
    inhibited_by: list[str] = []


class _Alert(msgspec.Struct):
    fingerprint: str
    labels: dict[str, str] = {}
    status: _Status = msgspec.field(default_factory=_Status)


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    starts_at: str
    ends_at: str
    updated_at: str = ""
    matchers: list[Matcher] = []
    created_by: str = ""
    comment: str = ""
    status: _Status = msgspec.field(default_factory=_Status)


class _Created(msgspec.Struct):
    silence_id: str = msgspec.field(name="silenceID")


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


class Alertmanager:
    """One cluster of Alertmanagers. Safe to use from several threads; every method raises AlertmanagerError."""

    def __init__(self, members: Sequence[str], login: Login, *, timeout: float = 5.0) -> None:
        """Take the members' addresses, the login, and the timeout for one member, in seconds."""
        self.members = tuple(members)
        self._login = login
        self._timeout = timeout
        self._local = threading.local()
        #: The members that did not answer the latest request.
        self._silent: set[str] = set()

    @property
    def name(self) -> str:
        """What the cluster is called: the first member's address, without its scheme."""
        return _host(self.members[0])

    def alerts(self, matchers: Collection[Matcher] = ()) -> list[HeldAlert]:
        """The alerts that any member has, muted ones included; with matchers, only those that match."""
        parameters = [("active", "true"), ("silenced", "true"), ("inhibited", "true")]
        parameters += [("filter", matcher.text) for matcher in matchers]
        found: dict[str, HeldAlert] = {}
        for alerts in self._of_all(lambda member: self._get(member, "alerts", list[_Alert], parameters)):
            for each in alerts:
                found[each.fingerprint] = HeldAlert(
                    fingerprint=each.fingerprint,
                    labels=each.labels,
                    state=each.status.state,
                    silenced_by=tuple(each.status.silenced_by),
                    inhibited_by=tuple(each.status.inhibited_by),
                )
        return list(found.values())

    def silences(self) -> dict[str, KnownSilence]:
        """All silences by id, expired ones included, each in its latest version."""
        found: dict[str, KnownSilence] = {}
        for silences in self._of_all(lambda member: self._get(member, "silences", list[_Silence])):
            for each in map(_known, silences):
                if each.id not in found or found[each.id].updated_at < each.updated_at:
                    found[each.id] = each
        return found

    def silence(self, silence_id: str) -> KnownSilence | None:
        """A silence by its id; None if no member that answers has it."""

        def read(member: str) -> KnownSilence | None:
            try:
                return _known(self._get(member, f"silence/{quote(silence_id, safe='')}", _Silence))
            except AlertmanagerError as error:
                if error.kind is not AlertmanagerFailure.GONE:
                    raise
                return None

        found = [each for each in self._of_all(read) if each is not None]
        return max(found, key=lambda each: each.updated_at, default=None)

    def tagged(self, tag: str) -> KnownSilence | None:
        """The silence that holds and has ``[alert-threader <tag>]`` in its comment; None if there is none."""
        marked = f"[alert-threader {tag}]"
        return next((each for each in self.silences().values() if each.holds and marked in each.comment), None)

    def create(self, matchers: Collection[Matcher], ends_at: float, created_by: str, comment: str) -> str:
        """Make a silence from now on; return its id. ``ends_at`` is in seconds since the epoch."""
        return self._send(
            {
                "matchers": list(matchers),
                # A start in the past means now.
                "startsAt": "1970-01-01T00:00:00Z",
                "endsAt": _moment(ends_at),
                "createdBy": created_by,
                "comment": comment,
            }
        )

    def extend(self, silence: KnownSilence, ends_at: float, comment: str) -> str:
        """Move a silence's end; return its new id. Raises GONE if it has ended meanwhile.

        With a different start, or the matchers in another order, Alertmanager would create a new silence.
        """
        return self._send(
            {
                "id": silence.id,
                "matchers": list(silence.matchers),
                "startsAt": silence.starts_at,
                "endsAt": _moment(ends_at),
                "createdBy": silence.created_by,
                "comment": comment,
            }
        )

    def expire(self, silence_id: str) -> None:
        """Expire a silence. If there is none with this id, it has ended already."""

        def delete(member: str) -> None:
            try:
                self._ask(member, "DELETE", f"silence/{quote(silence_id, safe='')}")
            except AlertmanagerError as error:
                # 0.25 answers 500 for an unknown one, and newer ones for one that has ended.
                is_over = "silence not found" in str(error) or "already expired" in str(error)
                if error.kind is not AlertmanagerFailure.GONE and not is_over:
                    raise

        self._of_one(delete)

    # -- members -------------------------------------------------------------------------------------------------

    def _of_all(self, ask: Callable[[str], T]) -> list[T]:
        """The answers of all members that give one; if none does, raises the last one's error."""
        answers: list[T] = []
        failed: AlertmanagerError | None = None
        for member in self.members:
            try:
                answers.append(self._heard(member, ask))
            except AlertmanagerError as error:
                failed = error
        if failed is not None and not answers:
            raise failed
        return answers

    def _of_one(self, ask: Callable[[str], T]) -> T:
        """The answer of the first member that can give one. The next is asked only if the request surely had no effect.

        A member that did not answer last time comes last: it may still carry out what it was sent then.
        """
        failed = AlertmanagerError(AlertmanagerFailure.UNREACHABLE, "there is no Alertmanager to ask")
        for member in sorted(self.members, key=self._silent.__contains__):
            try:
                return self._heard(member, ask)
            except AlertmanagerError as error:
                if error.kind is not AlertmanagerFailure.UNREACHABLE or error.outcome_unknown:
                    raise
                failed = error
        raise failed

    def _heard(self, member: str, ask: Callable[[str], T]) -> T:
        """Ask a member, and remember whether it answered."""
        try:
            answer = ask(member)
        except AlertmanagerError as error:
            (self._silent.add if error.kind is AlertmanagerFailure.UNREACHABLE else self._silent.discard)(member)
            raise
        self._silent.discard(member)
        return answer

    def _send(self, silence: Mapping[str, Any]) -> str:
        body = msgspec.json.encode(silence)
        return self._of_one(
            lambda member: _decoded(member, self._ask(member, "POST", "silences", body=body), _Created).silence_id
        )

    def _get(self, member: str, path: str, kind: type[T], parameters: Sequence[tuple[str, str]] = ()) -> T:
        return _decoded(member, self._ask(member, "GET", path, parameters), kind)

    def _ask(
        self, member: str, method: str, path: str, parameters: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> bytes:
        changes = method != "GET"
        try:
            with closing(
                self._session.request(
                    method,
                    f"{member}/api/v2/{path}",
                    params=list(parameters),
                    data=body,
                    headers={"Content-Type": "application/json"} if body is not None else None,
                    timeout=self._timeout,
                    proxies=_NO_PROXY if _is_here(member) else None,
                    allow_redirects=False,
                    stream=True,
                )
            ) as answer:
                text = _read(answer, time.monotonic() + self._timeout)
        except (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise _unreachable(member, error) from error
        except requests.ConnectionError as error:
            raise _unreachable(member, error, outcome_unknown=changes and not _is_not_sent(error)) from error
        except (requests.RequestException, OSError) as error:
            raise _unreachable(member, error, outcome_unknown=changes) from error
        if answer.ok and answer.status_code < 300:
            return text
        raise _refused(member, answer.status_code, text, changes=changes)

    @property
    def _session(self) -> requests.Session:
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
            if login.ca:
                found.verify = login.ca
        return found


def _read(answer: requests.Response, until: float) -> bytes:
    """Read the body before a deadline (monotonic clock). Raises a RequestException if it is late or too large."""
    text = bytearray()
    try:
        # Whatever has arrived: a plain read would wait for the full number of bytes.
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            text += chunk
            if len(text) > MAX_ANSWER:
                raise requests.exceptions.ContentDecodingError(f"the answer is larger than {MAX_ANSWER} bytes")
            if time.monotonic() > until:
                raise requests.ReadTimeout("the answer does not end")
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(type(error).__name__)) from error
    return bytes(text)


def _decoded(member: str, text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        said = f"{_host(member)} does not answer as Alertmanager does: check ALERTMANAGER_URL"
        raise AlertmanagerError(AlertmanagerFailure.UNREACHABLE, said, outcome_unknown=True) from error


def _known(silence: _Silence) -> KnownSilence:
    state = silence.status.state
    return KnownSilence(
        id=silence.id,
        state=SilenceState(state) if state in list(SilenceState) else SilenceState.EXPIRED,
        matchers=tuple(silence.matchers),
        starts_at=silence.starts_at,
        ends_at=_seconds(silence.ends_at),
        updated_at=_seconds(silence.updated_at),
        created_by=silence.created_by,
        comment=silence.comment,
    )


def _refused(member: str, status: int, text: bytes, *, changes: bool) -> AlertmanagerError:
    said = _said(text)
    line = f"{_host(member)} answers {status}" + (f": {said}" if said else "")
    match status:
        case 400 | 422:
            # One that has ended cannot be changed: so do 0.25 and some later ones answer.
            is_gone = "not found" in said or "expired" in said
            return AlertmanagerError(AlertmanagerFailure.GONE if is_gone else AlertmanagerFailure.REFUSED, line)
        case 401 | 403:
            return AlertmanagerError(AlertmanagerFailure.AUTH, f"{line}: check ALERTMANAGER_TOKEN, user and password")
        case 404 if _is_its_own(text):
            return AlertmanagerError(AlertmanagerFailure.GONE, line)
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


def _unreachable(member: str, error: Exception, *, outcome_unknown: bool = False) -> AlertmanagerError:
    why = "does not answer in time" if isinstance(error, requests.Timeout) else "cannot be reached"
    text = f"{_host(member)} {why} ({type(error).__name__}): check ALERTMANAGER_URL and the network"
    return AlertmanagerError(AlertmanagerFailure.UNREACHABLE, text, outcome_unknown=outcome_unknown)


def _is_not_sent(error: requests.ConnectionError) -> bool:
    """Whether no connection was made at all."""
    return "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)


def _is_here(member: str) -> bool:
    """Whether a member is on this machine, which no proxy leads to."""
    host = urlsplit(member).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(member: str) -> str:
    target = urlsplit(member)
    return f"{target.netloc}{target.path}".rstrip("/")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    """A time as seconds since the epoch; 0 where it is none."""
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z")[:6] if rest.endswith("Z") else ""
    try:
        return datetime.fromisoformat(f"{whole}.{digits.ljust(6, '0')}+00:00" if digits else text).timestamp()
    except ValueError:
        return 0.0
