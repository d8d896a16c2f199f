"""What Alertmanager sends no webhook for: with Debian's Prometheus and Alertmanager, as they run."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.alertmanagers import Alert, Alertmanagers
from harness.alertmanager import REPEAT_INTERVAL, Alertmanager, notifying
from harness.lossy import LossyWay
from harness.prometheus import Prometheus
from harness.servers import HOST, program
from harness.service import CHANNEL, Service, wait_for
from harness.story import GREEN, root_of, words
from harness.webhooks import key, labels
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
_REPEATS = f"repeat_interval: {REPEAT_INTERVAL}s"
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
        # As it is set in most places: what Alertmanager does not send now, it does not send for hours.
        config = notifying(f"http://{HOST}:{service.port}", _TOKEN).replace(_REPEATS, "repeat_interval: 4h")
        config += _INHIBITION
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
    # It breaks again, and nobody silences it any more. Alertmanager, which remembers the first time, sends nothing.
    room.amtool("silence", "expire", made)
    room.broken.set("DiskFull", {"db01": True})
    # A view is believed a minute after the end.
    room.shows("DiskFull", "🚨", "Flapped once", within=_SOON + 60)
    assert "FIRING AGAIN" in room.replies("DiskFull")[-1]
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
    _wait_for_polls(room.service, 13)
    for name in ("Watchdog", "DiskFull", "NodeDown"):
        assert "🚨" in words(room.root(name)), words(room.root(name))
    assert 'gone_alerts_total{cause="unannounced"} 0.0' in room.service.get("/metrics").text


def _polls(service: Service) -> int:
    name = 'alert_threader_alertmanager_calls_total{operation="poll",outcome="ok"} '
    lines = service.get("/metrics").text.splitlines()
    return round(float(next(line for line in lines if line.startswith(name)).removeprefix(name)))


def test_one_member_of_two(make_service: Callable[..., Service], slack: SandboxServer, tmp_path: Path) -> None:
    """As long as the other one is not asked, or does not answer, nothing is closed; ``/health`` says which it is."""
    service = make_service(RECONCILE_EVERY="1s", GONE_AFTER="10s")
    workspace = slack.workspace
    with ExitStack() as closing:
        url = f"http://{HOST}:{service.port}"
        members = closing.enter_context(Alertmanagers(tmp_path / "am", url, [CHANNEL]))
        ways = [closing.enter_context(LossyWay(each, ages=True)) for each in members.urls]
        service.settings["ALERTMANAGER_URL"] = ways[0].url
        service.start()
        since = datetime.now(UTC)
        alert, other = (Alert({**labels(name), "channel": CHANNEL}, True, since) for name in ("DiskFull", "Watchdog"))
        members.push([alert, other])
        workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 2, _SOON)
        _silence(members.urls[0])

        def shows(part: str) -> bool:
            return part in words(next(root for root in workspace.roots(CHANNEL) if "DiskFull" in words(root)))

        workspace.wait_for(lambda: shows("🔕 SILENCED"), _SOON)
        members.push([alert._replace(firing=False), other])
        _wait_for_polls(service, 13)
        assert shows("🔕 SILENCED")
        assert any("is not in ALERTMANAGER_URL: nothing is closed" in each for each in service.health["problems"])

        ways[1].stop()
        service.settings["ALERTMANAGER_URL"] = f"{ways[0].url},{ways[1].url}"
        service.restart()
        _wait_for_polls(service, 13)
        assert shows("🔕 SILENCED")
        assert any("cannot be reached" in each for each in service.health["problems"])

        back = closing.enter_context(LossyWay(members.urls[1], ages=True))
        service.settings["ALERTMANAGER_URL"] = f"{ways[0].url},{back.url}"
        service.restart()
        workspace.wait_for(lambda: shows("✅ RESOLVED") and shows("It resolved while silenced"), _SOON + 10)
        assert service.health["problems"] == []


def _silence(url: str) -> None:
    command = [program("amtool"), f"--alertmanager.url={url}", "silence", "add", "alertname=DiskFull", "-a", "kim"]
    subprocess.run([*command, "-c", "disk swap", "-d", "1h"], capture_output=True, check=True)


def _wait_for_polls(service: Service, count: int) -> None:
    """Longer than GONE_AFTER and three polls: only now could anything be closed."""
    polls = _polls(service)
    wait_for(lambda: _polls(service) >= polls + count, _SOON + 15)
