"""``alert-threader send-test``: a test alert through the running service into Slack."""

import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import requests

from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.notification import SentAlert, notification
from alert_threader.cli.output import say_all
from alert_threader.settings.secret import Secret
from alert_threader.settings.settings import channel_fault

#: How long to wait for Slack, in seconds: a channel takes one message per second, and others may wait before ours.
_PATIENCE = 15.0
#: Between two looks, in seconds. The service itself waits for Slack (RESPONSE_WAIT) before it answers.
_LOOK_AGAIN = 0.5
#: Alertmanager waits as long for an answer, in seconds.
_TIMEOUT = 10

_WORDS = {
    "posted": "posted, it opened a thread",
    "replied": "posted as a reply",
    "updated": "shown by an edit of the first message",
    "unchanged": "already in Slack",
}


def send_test(
    url: str, severity: str, channel: str | None, token: Secret | None, *, resolve: bool, patience: float = _PATIENCE
) -> Iterator[str]:
    """Send a firing alert to the service, and with ``resolve`` its resolution; yield what became of each.

    Raises CommandError when the service does not take it, or when Slack has not got it after ``patience`` seconds.
    """
    with requests.Session() as session:
        service = _Service(session, url, channel, token)
        started = time.time()
        yield f"firing: {service.tell(_alert(severity, started), patience)}"
        if resolve:
            yield f"resolved: {service.tell(_alert(severity, started, time.time()), patience)}"
        else:
            yield "It fires until it becomes stale. Use send-test --resolve to resolve it at once."


def _alert(severity: str, started: float, ended: float | None = None) -> dict[str, Any]:
    """A new alert each time: one that fires already would be a duplicate, and prove nothing."""
    sent_at = datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = socket.gethostname()
    alert = SentAlert(
        labels={
            "alertname": "AlertThreaderTest",
            "severity": severity,
            "service": "alert-threader",
            "instance": host,
            "sent_at": sent_at,
        },
        annotations={
            "summary": "Test alert",
            "description": f"Sent by alert-threader send-test on {host}. Nothing is wrong.",
        },
        started=started,
        ended=ended,
    )
    return notification([alert], ["alertname", "service"], "")


class _Service:
    """The running service, as Alertmanager sees it."""

    def __init__(self, session: requests.Session, url: str, channel: str | None, token: Secret | None) -> None:
        # Neither a proxy nor a ~/.netrc: the service stands nearby, and has a token of its own.
        session.trust_env = False
        if token is not None:
            session.headers["Authorization"] = f"Bearer {token.reveal()}"
        self._session = session
        self._url = url.rstrip("/")
        self._path = f"/alert/{channel}" if channel else "/alert"

    def tell(self, body: dict[str, Any], patience: float) -> str:
        """Send a notification until Slack shows it: the service applies one that arrives again only once."""
        started = time.monotonic()
        result = first = self._send(body)
        while result["delivery"] == "queued":
            if time.monotonic() - started >= patience:
                raise CommandError(f"stored, but not in Slack after {patience:g} s: {self._trouble()}")
            time.sleep(_LOOK_AGAIN)
            result = self._send(body)
        late = "" if first is result else f" after {time.monotonic() - started:.0f} s"
        word = _WORDS.get(result["delivery"], result["delivery"])
        return f"{word}{late} (thread {result['thread_ts']}, key {result['key']})"

    def _send(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._ask("POST", self._path, body)
        if not answer.get("ok"):
            raise CommandError(f"the service refused the alert: {answer.get('error')}")
        result: dict[str, Any] = answer["results"][0]
        return result

    def _trouble(self) -> str:
        problems = self._ask("GET", "/health").get("problems")
        return "; ".join(problems or ["nothing is wrong, other messages are ahead: see GET /health"])

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self._session.request(method, self._url + path, json=body, timeout=_TIMEOUT)
        except requests.ConnectionError:
            raise CommandError(f"nothing answers at {self._url}: is the service running, and there (--url)?") from None
        except (requests.Timeout, requests.RequestException) as error:
            raise CommandError(f"{self._url} did not answer ({type(error).__name__}): check --url") from None
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or not {"ok", "status"} & set(answer):
            raise CommandError(f"{self._url} is not Alert Threader (it answers {response.status_code}): check --url")
        return answer


_SEVERITIES = ("critical", "error", "warning", "info", "success", "debug")


def _http_url(_ctx: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is not a URL: use one like http://127.0.0.1:9009")
    return url


def _channel(_ctx: click.Context, _parameter: click.Parameter, channel: str | None) -> str | None:
    if channel is not None and (fault := channel_fault(channel)):
        raise click.BadParameter(f"{channel!r} {fault}")
    return channel


@click.command("send-test")
@click.option("--url", callback=_http_url, show_default="BIND_HOST and BIND_PORT", help="URL of the service.")
@click.option("--severity", type=click.Choice(_SEVERITIES), default="critical", help="Severity of the alert.")
@click.option("--channel", metavar="ID", callback=_channel, help="Send to this channel instead of SLACK_CHANNEL.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="File that holds WEBHOOK_TOKEN.")
@click.option("--resolve", is_flag=True, help="Resolve the alert afterwards.")
def send_test_command(
    url: str | None, severity: str, channel: str | None, token_file: Path | None, resolve: bool
) -> None:
    """Send a test alert through the running service.

    It takes the same way as Alertmanager's, and the command fails if the alert is not in Slack after 15 seconds. Where
    the service asks for a WEBHOOK_TOKEN, so does this command: in the environment, or with --token-file.
    """
    environ = dict(os.environ)
    if token_file is not None:
        environ |= {"WEBHOOK_TOKEN": "", "WEBHOOK_TOKEN_FILE": str(token_file)}
    settings = settings_of(("WEBHOOK_TOKEN", "BIND_HOST", "BIND_PORT"), environ)
    say_all(send_test(url or settings.local_url, severity, channel, settings.webhook_token, resolve=resolve))
