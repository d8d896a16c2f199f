"""A small stand-in for Alertmanager in the demo. It keeps alerts and silences in memory and sends no notifications."""

import itertools
import json
import re
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from alert_threader.cli.notification import RECEIVER

_API = "/api/v2/"
#: ``name="value"``, as it is asked for; other matchers are not needed here.
_FILTER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=("(?:[^"\\]|\\.)*")')

_STATUS = {
    "cluster": {"status": "disabled", "peers": []},
    "versionInfo": {"version": "0.28.0"},
    "config": {"original": f"route: {{receiver: {RECEIVER}, group_interval: 10s}}"},
}


class StandInAlertmanager:
    """An Alertmanager on this machine, from ``with`` to the end of its block."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """Listen on any free port of an address."""
        # Long ago: what one that has just started holds is not the whole truth yet.
        self._started = _now(timedelta(hours=1))
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()
        #: Labels by fingerprint, and since when each alert has been held.
        self._alerts: dict[str, Mapping[str, str]] = {}
        self._since: dict[str, str] = {}
        self.silences: dict[str, dict[str, Any]] = {}
        handler = type("Handler", (_Handler,), {"alertmanager": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def hold(self, alerts: Mapping[str, Mapping[str, str]]) -> None:
        """Hold these alerts' labels, by fingerprint, and no others."""
        with self._guard:
            self._alerts = dict(alerts)
            self._since = {fingerprint: self._since.get(fingerprint, _now()) for fingerprint in alerts}

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> tuple[int, object]:
        """Answer a request: a status, and what is sent as JSON."""
        name, _, which = path.removeprefix(_API).partition("/")
        with self._guard:
            match method, name:
                case "GET", "status":
                    return 200, {**_STATUS, "uptime": self._started}
                case "GET", "alerts":
                    return 200, [*self._matching(query.get("filter", []))]
                case "GET", "silences":
                    return 200, [self._shown(each) for each in self.silences.values()]
                case "POST", "silences":
                    return self._keep(json.loads(body))
                case (("GET" | "DELETE"), "silence") if which not in self.silences:
                    return 404, "silence not found"
                case "GET", "silence":
                    return 200, self._shown(self.silences[which])
                case "DELETE", "silence":
                    self.silences[which]["endsAt"] = _now()
                    return 200, {}
                case _:
                    return 404, "not found"

    def _matching(self, filters: list[str]) -> Iterable[dict[str, Any]]:
        wanted = {found[1]: json.loads(found[2]) for each in filters if (found := _FILTER.fullmatch(each))}
        for fingerprint, labels in self._alerts.items():
            if all(labels.get(name, "") == value for name, value in wanted.items()):
                muted = [name for name, each in self.silences.items() if _holds(each) and _matches(each, labels)]
                state = "suppressed" if muted else "active"
                status = {"state": state, "silencedBy": muted, "inhibitedBy": [], "mutedBy": []}
                yield {
                    "fingerprint": fingerprint,
                    "labels": labels,
                    "status": status,
                    "startsAt": self._since[fingerprint],
                    "receivers": [{"name": RECEIVER}],
                }

    def _keep(self, silence: dict[str, Any]) -> tuple[int, object]:
        number = silence.get("id") or f"00000000-0000-0000-0000-{next(self._numbers):012}"
        former = self.silences.get(number, {})
        if silence.get("id") and not former:
            return 404, "silence not found"
        started = former.get("startsAt", _now())
        self.silences[number] = {**silence, "id": number, "startsAt": started, "updatedAt": _now()}
        return 200, {"silenceID": number}

    @staticmethod
    def _shown(silence: dict[str, Any]) -> dict[str, Any]:
        return {**silence, "status": {"state": "active" if _holds(silence) else "expired"}}


class _Handler(BaseHTTPRequestHandler):
    alertmanager: StandInAlertmanager

    def do_GET(self) -> None:
        """Answer any request."""
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, said = self.alertmanager.answer(self.command, unquote(target.path), parse_qs(target.query), body)
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        """Write nothing."""


def _now(ago: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _holds(silence: Mapping[str, Any]) -> bool:
    return str(silence["endsAt"]) > _now()


def _matches(silence: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(each["name"], "") == each["value"] for each in silence["matchers"])
