"""``alert-threader demo``: the stand-in for Slack, the real service beside it, and an incident through both."""

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import requests

from alert_threader.alertmanager.webhook import fingerprint
from alert_threader.cli.ending import Ending
from alert_threader.cli.incident import EXTERNAL_URL, GROUP_BY, INCIDENT, Pressed, Problem, Scene
from alert_threader.cli.local_service import LocalService
from alert_threader.cli.notification import SentAlert, notification
from alert_threader.cli.output import say
from alert_threader.cli.ports import PORT, usable_port
from alert_threader.cli.stand_in import StandInAlertmanager
from slack_sandbox import SandboxServer

HOST = "127.0.0.1"
CHANNEL = "C0ALERTS01"

#: How long the last messages may take to reach the page, in seconds: edits are held back a little to gather more.
_LAST = 30.0
_POLL = 0.2

Say = Callable[[str], None]


def demo(say: Say, *, port: int, sandbox_port: int, speed: float, once: bool) -> None:
    """Play the incident and go on serving the page until Ctrl-C; with ``once``, end after it.

    Ports: 0 for any free one. ``speed`` divides the pauses. Nothing is left behind. Raises CommandError.
    """
    sandbox_port = usable_port(HOST, sandbox_port, "--sandbox-port")
    port = usable_port(HOST, port, "--port")
    rate = max(speed, 1)  # a time that flies has a Slack that takes more messages in a second
    with (
        Ending() as ending,
        tempfile.TemporaryDirectory(prefix="alert-threader-demo-") as folder,
        SandboxServer(sandbox_port, HOST, posts_per_second=rate) as slack,
        StandInAlertmanager(HOST) as alertmanager,
        LocalService(
            {**_settings(Path(folder), port, slack.api_url, rate), "ALERTMANAGER_URL": alertmanager.url},
            Path(folder, "service.log"),
        ) as service,
    ):
        slack.workspace.configure(interactivity_url=f"{service.url}/slack/interactive")
        if not service.wait_until_ready(ending.wait):
            return
        length = sum(scene.pause for scene in INCIDENT) / speed
        say(f"\n  Open this page:  {slack.url}\n")
        say(f"It shows what people see in Slack. This goes to the service at {service.url}, for {length:.0f} s:\n")
        ended = _Play(service, slack, alertmanager, say).run(ending, speed)
        if not ended and not once:
            say(f"\nThat was all. The page stays at {slack.url} until Ctrl-C.")
            ending.wait()


def _settings(folder: Path, port: int, slack_url: str, rate: float) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": "xoxb-sandbox-demo",
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack_url,
        "SLACK_RATE": f"{rate:.6f}",
        # The sandbox's own.
        "SLACK_SIGNING_SECRET": "sandbox-signing-secret",
        # The longest: each line of the demo says what became of its alert, and the next step waits for it.
        "RESPONSE_WAIT": "8s",
        "BIND_HOST": HOST,
        "BIND_PORT": str(port),
        "THREAD_STORE_FILE": str(folder / "threads.json"),
    }


class _Play:
    """The incident, through the service: what Alertmanager sends, and what people press on the page."""

    def __init__(
        self, service: LocalService, slack: SandboxServer, alertmanager: StandInAlertmanager, say: Say
    ) -> None:
        self._service = service
        self._slack = slack
        self._alertmanager = alertmanager
        self._say = say
        self._groups: defaultdict[str, _Group] = defaultdict(_Group)
        self._roots: dict[str, str] = {}
        self._page = requests.Session()
        # No proxy: it is this machine.
        self._page.trust_env = False

    def run(self, ending: Ending, speed: float) -> bool:
        """Play all scenes and wait until the page shows the last one. Whether the demo was ended meanwhile."""
        began = time.monotonic()
        for scene in INCIDENT:
            if ending.wait(scene.pause / speed):
                return True
            became = self._send(scene) if scene.press is None else self._press(scene.problem, scene.press, ending)
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            self._say(f"  {minutes}:{seconds:02}  {scene.problem.severity:<8}  {scene.line}  [{became}]")
        self._page.close()
        return _wait_until_delivered(self._service, ending)

    def _send(self, scene: Scene) -> str:
        name = scene.problem.alertname
        alerts = self._groups[name].play(scene, time.time())
        self._alertmanager.hold(
            {fingerprint(labels): labels for group in self._groups.values() for labels in group.firing()}
        )
        result, *_ = self._service.send(notification(alerts, GROUP_BY, EXTERNAL_URL))
        self._roots[name] = result["thread_ts"] or self._roots.get(name, "")
        return result["delivery"]

    def _press(self, problem: Problem, pressed: Pressed, ending: Ending) -> str:
        """Press as a person does, once the button is there."""
        until = time.monotonic() + _LAST
        while True:
            answer = self._page.post(
                f"{self._slack.url}sandbox/press",
                json={
                    "channel": CHANNEL,
                    "ts": self._roots[problem.alertname],
                    "action_id": pressed.action,
                    "option": pressed.option,
                    "user": pressed.user,
                },
                timeout=10,
            )
            if answer.ok and answer.json()["ok"]:
                _wait_until_delivered(self._service, ending)
                return "pressed"
            if ending.wait(_POLL) or time.monotonic() > until:
                raise self._service.fault(f"{pressed.action} could not be pressed")


def _wait_until_delivered(service: LocalService, ending: Ending) -> bool:
    until = time.monotonic() + _LAST
    while (service.health() or {}).get("pending") != 0:
        if ending.wait(_POLL):
            return True
        if time.monotonic() > until:
            raise service.fault(f"not everything reached the page within {_LAST:.0f} s")
    return False


class _Group:
    """One of Alertmanager's groups: which instances fire, and since when (seconds since the epoch)."""

    def __init__(self) -> None:
        self._problem: Problem | None = None
        self._firing: dict[str, float] = {}

    def firing(self) -> list[Mapping[str, str]]:
        """The labels of the alerts that fire."""
        return [self._problem.alert(name, since).labels for name, since in self._firing.items() if self._problem]

    def play(self, scene: Scene, now: float) -> list[SentAlert]:
        """Return the alerts of the next notification: all that fire, and those that have just resolved."""
        problem = self._problem = scene.problem
        self._firing |= dict.fromkeys(scene.fires, now)
        resolved = [problem.alert(name, self._firing.pop(name), now) for name in scene.resolves]
        return [*(problem.alert(name, since) for name, since in self._firing.items()), *resolved]


def _finite(_ctx: click.Context, _parameter: click.Parameter, speed: float) -> float:
    if math.isnan(speed):
        raise click.BadParameter("nan is not a number")
    return speed


@click.command("demo")
@click.option("--sandbox-port", type=PORT, default=0, help="Port of the page; 0 for any free one.")
@click.option("--port", type=PORT, default=0, help="Port of the service; 0 for any free one.")
@click.option(
    "--speed", type=click.FloatRange(0.1, 1000), callback=_finite, default=1.0, help="Times faster than life."
)
@click.option("--once", is_flag=True, help="End after the incident instead of serving the page until Ctrl-C.")
def demo_command(sandbox_port: int, port: int, speed: float, once: bool) -> None:
    """Play an incident on a local page.

    A stand-in for Slack and the real service run on 127.0.0.1 until Ctrl-C; nothing is kept.
    """
    demo(say, port=port, sandbox_port=sandbox_port, speed=speed, once=once)
