"""What Alertmanager sends no webhook for: with Debian's Prometheus and Alertmanager, as they run."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.alertmanager import Alertmanager, notifying
from harness.lossy import LossyWay
from harness.prometheus import Prometheus
from harness.servers import HOST, program
from harness.service import CHANNEL, Service, wait_for
from harness.story import GREEN, root_of, words
from harness.webhooks import key
from slack_sandbox import SandboxServer
from slack_sandbox.messages import Message
from slack_sandbox.workspace import Workspace

_TOKEN = "webhook-token-never-to-be-seen"
#: How long a step may take on a busy machine, in seconds.
_SOON = 30.0
#: A node that is down inhibits what else is wrong on it.
_INHIBITION = """
inhibit_rules:
  - source_matchers: [alertname="NodeDown"]
    target_matchers: [alertname="DiskFull"]
    equal: [instance]
"""
_POLLING = {"RECONCILE_EVERY": "1s", "GONE_AFTER": "10s", "WEBHOOK_TOKEN": _TOKEN}


class Room:
    """A channel, the service, and the Prometheus and Alertmanager behind it."""

    def __init__(self, workspace: Workspace, service: Service, alertmanager: Alertmanager, broken: Prometheus) -> None:
        self.workspace = workspace
        self.service = service
        self.alertmanager = alertmanager
        self.broken = broken

    def root(self, name: str) -> Message:
        """The first message of a thread."""
        return root_of(self.workspace, CHANNEL, key(name))

    def shows(self, name: str, *parts: str, within: float = _SOON) -> None:
        """Wait until the first message of a thread says all of this."""
        self.workspace.wait_for(
            lambda: (
                any(f"{name} is broken" in words(each) for each in self.workspace.roots(CHANNEL))
                and all(part in words(self.root(name)) for part in parts)
            ),
            within,
        )

    def replies(self, name: str) -> list[str]:
        """What the thread's replies say."""
        return [words(reply) for reply in self.workspace.replies(CHANNEL, self.root(name).ts)]

    def amtool(self, *arguments: str) -> str:
        """Do something as a person does it beside Slack."""
        command = [program("amtool"), f"--alertmanager.url={self.alertmanager.url}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def room(make_service: Callable[..., Service], slack: SandboxServer, tmp_path: Path) -> Iterator[Room]:
    """All of them, with an alert that always fires, and one that has just begun to."""
    service = make_service(**_POLLING)
    with ExitStack() as closing:
        config = notifying(f"http://{HOST}:{service.port}", _TOKEN) + _INHIBITION
        alertmanager = Alertmanager(tmp_path / "am", config)
        closing.callback(alertmanager.stop)
        way = closing.enter_context(LossyWay(alertmanager.url, ages=True))
        broken = closing.enter_context(Prometheus(tmp_path / "prometheus", alertmanager.url))
        service.settings["ALERTMANAGER_URL"] = way.url
        service.start()
        made = Room(slack.workspace, service, alertmanager, broken)
        broken.set("Watchdog", {"everywhere": True})
        broken.set("DiskFull", {"db01": True})
        made.shows("Watchdog")
        made.shows("DiskFull", "🚨")
        yield made


def test_resolved_while_silenced(room: Room) -> None:
    """Somebody silences it in Alertmanager: it is shown, with who and until when. It recovers: it turns green."""
    made = room.amtool("silence", "add", "alertname=DiskFull", "-a", "kim", "-c", "disk swap", "-d", "1h")
    room.shows("DiskFull", "🔕 SILENCED", "Silenced in Alertmanager by kim until", "disk swap")
    room.service.wait_until_delivered()
    assert ["Silenced in Alertmanager by kim" in each for each in room.replies("DiskFull")] == [True]
    room.broken.set("DiskFull", {"db01": False})
    room.shows("DiskFull", "✅ RESOLVED", "It resolved while silenced", within=_SOON + 10)
    assert room.root("DiskFull").color == GREEN
    room.service.wait_until_delivered()
    assert "It resolved while silenced" in room.replies("DiskFull")[-1]
    assert "🚨" in words(room.root("Watchdog"))
    assert 'alert_threader_gone_alerts_total{cause="silenced"} 1.0' in room.service.get("/metrics").text
    # It breaks again, and nobody silences it any more.
    room.amtool("silence", "expire", made)
    room.broken.set("DiskFull", {"db01": True})
    room.shows("DiskFull", "🚨", "Flapped once")
    assert len(room.workspace.roots(CHANNEL)) == 2


def test_silenced_and_loud_again(room: Room) -> None:
    """A silence that is ended elsewhere: the thread is loud again, and says so once."""
    made = room.amtool("silence", "add", "alertname=~Disk.*", "-a", "kim", "-c", "disk swap", "-d", "1h")
    room.shows("DiskFull", "🔕 SILENCED")
    room.service.kill()
    room.service.start()
    room.amtool("silence", "expire", made)
    room.shows("DiskFull", "🚨")
    room.service.wait_until_delivered()
    wait_for(lambda: "was ended in Alertmanager" in room.replies("DiskFull")[-1], _SOON)
    assert len(room.replies("DiskFull")) == 2


def test_inhibited_and_lifted(room: Room) -> None:
    """The node is down: the disk's thread points to the node's. The node is up: it is loud again."""
    room.broken.set("NodeDown", {"db01": True})
    room.shows("NodeDown")
    room.shows("DiskFull", "🔕 INHIBITED", "Inhibited by")
    root = room.root("NodeDown")
    link = f"/archives/{CHANNEL}/p{root.ts.replace('.', '')}"
    assert link in words(room.root("DiskFull"))
    room.broken.set("NodeDown", {"db01": False})
    room.shows("DiskFull", "🚨")
    room.service.wait_until_delivered()
    assert "No longer muted" in room.replies("DiskFull")[-1]
    assert room.service.health["problems"] == []


def test_alertmanager_starts_again(room: Room) -> None:
    """It has nothing at first, and nothing is closed: neither what fires nor what is silenced."""
    room.broken.set("NodeDown", {"db02": True})
    room.shows("NodeDown")
    room.alertmanager.stop()
    wait_for(lambda: any("nothing is closed" in each for each in room.service.health["problems"]), _SOON)
    room.alertmanager.start()
    wait_for(lambda: room.service.health["problems"] == [], _SOON)
    # Longer than GONE_AFTER and three polls: only now could anything be closed.
    polls = _polls(room.service)
    wait_for(lambda: _polls(room.service) >= polls + 13, _SOON)
    for name in ("Watchdog", "DiskFull", "NodeDown"):
        assert "🚨" in words(room.root(name)), words(room.root(name))
    assert 'gone_alerts_total{cause="unannounced"} 0.0' in room.service.get("/metrics").text


def _polls(service: Service) -> int:
    name = 'alert_threader_alertmanager_calls_total{operation="poll",outcome="ok"} '
    lines = service.get("/metrics").text.splitlines()
    return round(float(next(line for line in lines if line.startswith(name)).removeprefix(name)))
