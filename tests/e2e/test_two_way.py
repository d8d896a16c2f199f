"""People answer from Slack: presses over HTTP, acknowledgements, and silences in a real Alertmanager."""

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from alert_threader.alertmanager.api import Alertmanager as Api
from alert_threader.alertmanager.model import KnownSilence, Login, Matcher
from harness.alertmanager import Alertmanager, notifying
from harness.servers import HOST
from harness.service import CHANNEL, Service, wait_for
from harness.story import root_of, words
from harness.webhooks import FIRED, RESOLVED, key, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.messages import Message
from slack_sandbox.workspace import Workspace

_TOKEN = "webhook-token-never-to-be-seen"
_SECRET = "signing-secret-never-to-be-seen"
_NAME = "DatabaseDown"
#: How long a step may take on a busy machine, in seconds.
_SOON = 20.0


class Room:
    """A channel with people in it, the service, and the Alertmanager behind it."""

    def __init__(self, slack: SandboxServer, service: Service, alertmanager: Alertmanager | None = None) -> None:
        """Let people press by way of the service."""
        self.workspace = slack.workspace
        self.url = slack.url
        self.service = service
        self._alertmanager = alertmanager
        slack.workspace.configure(
            interactivity_url=f"http://{HOST}:{service.port}/slack/interactive", signing_secret=_SECRET
        )

    @property
    def alertmanager(self) -> Alertmanager:
        """The one that holds the alert."""
        assert self._alertmanager is not None
        return self._alertmanager

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the sandbox for what a person does."""
        target = self.url.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(target, timeout=10)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def press(self, action: str, option: str = "", user: str = "U0KIM", ts: str = "") -> dict[str, Any]:
        """Press a button of the thread's first message, or choose an option."""
        ts = ts or self.root.ts
        return self.post(
            "/sandbox/press", {"channel": CHANNEL, "ts": ts, "action_id": action, "option": option, "user": user}
        )

    @property
    def root(self) -> Message:
        """The thread's first message."""
        return root_of(self.workspace, CHANNEL, key(_NAME))

    def whispers(self) -> list[str]:
        """What only one person was told."""
        return [each.text for each in self.workspace.people.ephemerals]

    def replies(self) -> list[str]:
        """What the thread's replies say."""
        return [words(reply) for reply in self.workspace.replies(CHANNEL, self.root.ts)]

    def elements(self) -> list[str]:
        """What can be pressed on the first message."""
        blocks = [block for attachment in self.root.attachments for block in attachment.get("blocks", ())]
        return [e["action_id"] for block in blocks if block["type"] == "actions" for e in block["elements"]]

    def sees(self, *parts: str) -> None:
        """Wait until the first message says all of this."""
        self.workspace.wait_for(lambda: all(part in words(self.root) for part in parts), _SOON)

    def hears(self, part: str) -> None:
        """Wait until a reply says this, and only one does."""
        self.workspace.wait_for(lambda: [part in said for said in self.replies()].count(True) == 1, _SOON)

    def offers(self, *actions: str) -> None:
        """Wait until exactly this can be pressed."""
        self.workspace.wait_for(lambda: self.elements() == list(actions), _SOON)


@pytest.fixture
def room(make_service: Callable[..., Service], slack: SandboxServer, tmp_path: Path) -> Iterator[Room]:
    """A thread of one alert, which a real Alertmanager holds."""
    service = make_service(WEBHOOK_TOKEN=_TOKEN, SLACK_SIGNING_SECRET=_SECRET)
    alertmanager = Alertmanager(tmp_path / "am", notifying(f"http://{HOST}:{service.port}", _TOKEN))
    service.settings["ALERTMANAGER_URL"] = alertmanager.url
    service.start()
    made = Room(slack, service, alertmanager)
    alertmanager.push(_NAME, {"db01": FIRED})
    made.workspace.wait_for(lambda: made.workspace.roots(CHANNEL), _SOON)
    made.offers("acknowledge", "silence")
    yield made
    alertmanager.stop()


@pytest.fixture
def quiet_room(make_service: Callable[..., Service], slack: SandboxServer) -> Room:
    """A service without an Alertmanager to ask."""
    service = make_service(SLACK_SIGNING_SECRET=_SECRET)
    service.start()
    return Room(slack, service)


def held(alertmanager: Alertmanager) -> list[KnownSilence]:
    """The silences that hold."""
    return [each for each in Api([alertmanager.url], Login()).silences().values() if each.holds]


def muted(alertmanager: Alertmanager, **labels: str) -> list[bool]:
    """Whether the alerts with these labels are muted."""
    wanted = [Matcher(name, value) for name, value in {"alertname": _NAME, **labels}.items()]
    return [bool(each.silenced_by) for each in Api([alertmanager.url], Login()).alerts(wanted)]


def test_somebody_acknowledges(room: Room) -> None:
    """Its owner is on the first message and in the thread, and its presser is told; somebody else takes it back."""
    assert room.press("acknowledge")["status"] == 200
    room.sees("👀", "<@U0KIM> since")
    room.hears("Acknowledged by kim")
    room.offers("unacknowledge", "silence")
    room.workspace.wait_for(lambda: room.whispers() == ["You have acknowledged it."], _SOON)
    assert all(message.mentions == () for message in room.workspace.replies(CHANNEL, room.root.ts))
    room.press("unacknowledge", user="U0LEE")
    room.hears("taken back by lee")
    room.offers("acknowledge", "silence")
    assert "verdict=acknowledged" in room.service.log
    assert "user=U0KIM" in room.service.log


def test_somebody_silences(room: Room) -> None:
    """The real alert is muted, made longer, and loud again; each step is told once, with who did it."""
    room.press("silence", "1h")
    room.sees("🔕 SILENCED", "by <@U0KIM> until")
    room.hears("Silenced by kim until")
    (silence,) = held(room.alertmanager)
    assert (silence.created_by, "silenced from Slack" in silence.comment) == ("kim", True)
    assert f"/archives/{CHANNEL}/" in silence.comment
    assert {m.name for m in silence.matchers} >= {"alertname", "severity", "environment", "env"}
    wait_for(lambda: muted(room.alertmanager) == [True], _SOON)
    room.offers("acknowledge", "unsilence", "extend")
    room.press("extend", "4h")
    room.hears("Silence extended by kim")
    (longer,) = held(room.alertmanager)
    assert round(longer.ends_at - silence.ends_at) == 4 * 3600
    room.press("unsilence", user="U0LEE")
    room.hears("Silence ended by lee")
    room.offers("acknowledge", "silence")
    assert held(room.alertmanager) == []
    wait_for(lambda: muted(room.alertmanager) == [False], _SOON)
    room.service.wait_until_delivered()
    assert "🚨" in words(room.root)


def test_a_silence_is_of_this_thread_only(room: Room) -> None:
    """Of staging it leaves production loud: a label that the alert lacks is matched as empty."""
    room.alertmanager.push(_NAME, {"db09": FIRED}, environment="eu")
    room.press("silence", "1h")
    room.hears("Silenced by kim until")
    wait_for(lambda: muted(room.alertmanager, instance="db01") == [True], _SOON)
    assert muted(room.alertmanager, environment="eu") == [False]


def test_the_form(room: Room) -> None:
    """It opens at once, says what it would match, says what is wrong, and silences only what was asked for."""
    room.press("silence", "Custom…")
    (view,) = room.workspace.people.views
    room.workspace.wait_for(lambda: "Matches one alert now" in str(room.workspace.people.views[0].content), _SOON)
    wrong = room.post("/sandbox/submit", {"view_id": view.id, "values": {"duration": "soon", "reason": ""}})
    assert set(wrong["answer"]["errors"]) == {"duration", "reason"}
    long = room.post("/sandbox/submit", {"view_id": view.id, "values": {"duration": "8d", "reason": "x"}})
    assert "7d" in long["answer"]["errors"]["duration"]
    assert held(room.alertmanager) == []
    values = {"duration": "2h", "reason": "disk swap", "options": ["each_alert", "with_problem"]}
    assert room.post("/sandbox/submit", {"view_id": view.id, "values": values})["ok"]
    assert room.workspace.people.views == []
    room.hears("disk swap")
    room.sees("until", '"disk swap"')
    (silence,) = held(room.alertmanager)
    assert Matcher("instance", "db01") in silence.matchers
    assert "disk swap" in silence.comment


def test_it_ends_with_the_problem(room: Room) -> None:
    """A silence that was asked to end with the problem is gone once the service hears that it is over."""
    room.press("silence", "Custom…")
    (view,) = room.workspace.people.views
    values = {"duration": "2h", "reason": "disk swap", "options": ["with_problem"]}
    room.post("/sandbox/submit", {"view_id": view.id, "values": values})
    room.hears("Silenced by kim until")
    # Alertmanager itself sends nothing for a muted alert.
    room.service.send(webhook(_NAME, {"db01": RESOLVED}), Authorization=f"Bearer {_TOKEN}")
    room.hears("ended with the problem")
    assert held(room.alertmanager) == []


def test_a_silence_that_ends_by_itself(room: Room) -> None:
    """The thread says so, and is loud again."""
    room.service.settings["SILENCE_DURATIONS"] = "4s"
    room.service.restart()
    room.alertmanager.push(_NAME, {"db02": FIRED})
    room.workspace.wait_for(lambda: "'4s|" in str(room.root.attachments), _SOON)
    room.press("silence", "4s")
    room.hears("Silenced by kim until")
    wait_for(lambda: muted(room.alertmanager, instance="db01") == [True], _SOON)
    room.workspace.wait_for(lambda: any("The silence by kim ended" in said for said in room.replies()), 75)
    room.offers("acknowledge", "silence")
    assert "🔕" not in words(room.root)


def test_a_silence_that_was_ended_elsewhere(room: Room) -> None:
    """The thread says so, and is loud again."""
    room.press("silence", "1h")
    room.hears("Silenced by kim until")
    (silence,) = held(room.alertmanager)
    Api([room.alertmanager.url], Login()).expire(silence.id)
    room.workspace.wait_for(lambda: any("was ended in Alertmanager" in said for said in room.replies()), 60)
    room.offers("acknowledge", "silence")
    room.workspace.wait_for(lambda: "🔕" not in words(room.root), _SOON)


def test_alertmanager_is_away(room: Room) -> None:
    """The press is kept: the root says so, and one silence is made once Alertmanager is back."""
    room.alertmanager.stop()
    room.press("silence", "1h")
    room.sees("silencing…")
    wait_for(lambda: "a silence waits" in room.service.log, _SOON)
    health = room.service.get("/health").json
    assert any("cannot be reached" in problem for problem in health["problems"])
    room.service.kill()
    room.service.start()
    room.alertmanager.start()
    room.workspace.wait_for(lambda: any("Silenced by kim" in said for said in room.replies()), 90)
    assert len(held(room.alertmanager)) == 1


def signed(room: Room, body: bytes, at: float, secret: str = _SECRET) -> int:
    """Send a body as Slack would sign it; the answer's status."""
    made = hmac.new(secret.encode(), f"v0:{int(at)}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": str(int(at)),
        "X-Slack-Signature": f"v0={made}",
    }
    return room.service.request("POST", "/slack/interactive", body, headers).status


class TestRefused:
    """What is not a press of somebody who may changes nothing."""

    def test_signatures(self, room: Room) -> None:
        """A wrong secret, an old one, no time, no text: 401; too much: 413; an unknown type: 200."""
        body = urlencode({"payload": '{"type": "unheard_of"}'}).encode()
        now = time.time()
        assert signed(room, body, now) == 200
        assert signed(room, body, now, "another-secret") == 401
        assert signed(room, body, now - 6 * 60) == 401
        assert signed(room, b"payload=\xff\xfe", now) == 401
        assert signed(room, body + b"x" * (64 * 1024 + 1 - len(body)), now) == 413
        assert signed(room, b"payload=%7Bnot-json", now) == 400
        for at, signature in (("soon", "v0=00"), ("9" * 5000, "v0=00"), (str(int(now)), "v0=\u00e9")):
            odd = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}
            assert room.service.request("POST", "/slack/interactive", body, odd).status == 401
        assert "alert_threader_unsigned_presses_total 6.0" in room.service.get("/metrics").text

    def test_another_workspace(self, room: Room) -> None:
        """A guest sees the message, and may not press; it is said, counted and logged."""
        room.press("acknowledge", user="U0EVE")
        room.workspace.wait_for(lambda: "Only people of this workspace" in "".join(room.whispers()), _SOON)
        assert "👀" not in words(room.root)
        assert "verdict=other_workspace" in room.service.log

    def test_an_old_root(self, room: Room) -> None:
        """A message that is not the thread's any more: its presser is told to use the newest."""
        old = room.root
        room.workspace.delete(CHANNEL, old.ts)
        room.alertmanager.push(_NAME, {"db02": FIRED})
        room.workspace.wait_for(lambda: room.workspace.roots(CHANNEL) and room.root.ts != old.ts, 60)
        room.service.wait_until_delivered()
        payload = {
            "type": "block_actions",
            "user": {"id": "U0KIM", "team_id": "T0SANDBOX"},
            "team": {"id": "T0SANDBOX"},
            "container": {"type": "message", "channel_id": CHANNEL, "message_ts": old.ts},
            "actions": [{"action_id": "acknowledge", "value": key(_NAME), "action_ts": "1"}],
        }
        assert signed(room, urlencode({"payload": json.dumps(payload)}).encode(), time.time()) == 200
        wait_for(lambda: "verdict=out_of_date" in room.service.log, _SOON)
        assert "👀" not in words(room.root)


def test_without_the_settings(service: Service, workspace: Workspace) -> None:
    """No button, and no such address."""
    service.send(webhook(_NAME))
    workspace.wait_for(lambda: workspace.roots(CHANNEL), _SOON)
    assert "actions" not in str(root_of(workspace, CHANNEL, key(_NAME)).attachments)
    assert service.request("POST", "/slack/interactive", b"payload={}").status == 404


def test_without_an_alertmanager(quiet_room: Room) -> None:
    """An acknowledgement works; a silence is a link as before."""
    service = quiet_room.service
    service.send(webhook(_NAME))
    quiet_room.workspace.wait_for(lambda: quiet_room.workspace.roots(CHANNEL), _SOON)
    assert quiet_room.elements() == ["acknowledge"]
    quiet_room.press("acknowledge")
    quiet_room.sees("<@U0KIM> since")
    service.kill()
    service.start()
    quiet_room.press("unacknowledge", user="U0LEE")
    quiet_room.offers("acknowledge")


def test_two_clusters(make_service: Callable[..., Service], slack: SandboxServer, tmp_path: Path) -> None:
    """A silence goes to the Alertmanager that holds the alert; what neither of them holds cannot be silenced."""
    service = make_service(WEBHOOK_TOKEN=_TOKEN, SLACK_SIGNING_SECRET=_SECRET)
    url = notifying(f"http://{HOST}:{service.port}", _TOKEN)
    here, there = Alertmanager(tmp_path / "here", url), Alertmanager(tmp_path / "there", url)
    try:
        service.settings["ALERTMANAGER_URL"] = f"{here.url} {there.url}"
        service.start()
        room = Room(slack, service, there)
        here.push("Elsewhere", {"db01": FIRED})
        there.push(_NAME, {"db01": FIRED})
        service.send(webhook("Grafanas"), Authorization=f"Bearer {_TOKEN}")
        room.workspace.wait_for(lambda: len(room.workspace.roots(CHANNEL)) == 3, _SOON)
        room.offers("acknowledge", "silence")
        room.press("silence", "1h")
        room.hears("Silenced by kim until")
        assert (len(held(here)), len(held(there))) == (0, 1)
        strange = root_of(room.workspace, CHANNEL, key("Grafanas"))
        assert "'silence'" not in str([a["blocks"] for a in strange.attachments])
        assert room.press("acknowledge", ts=strange.ts)["ok"]
        health = service.health
        assert [each for each in health["problems"] if "Alertmanager" in each] == []
        assert all("started less than 10 minutes ago" in each for each in health["alertmanager"].values())
    finally:
        here.stop()
        there.stop()


def test_only_some_may_press(make_service: Callable[..., Service], slack: SandboxServer) -> None:
    """Of a user group, once its members are known; others are told, and nothing changes."""
    slack.workspace.people.groups["S0ONCALL1"] = ("U0LEE",)
    slack.workspace.configure(scopes=("chat:write", "channels:history", "channels:read", "usergroups:read"))
    service = make_service(SLACK_SIGNING_SECRET=_SECRET, ALLOWED_TO_PRESS="S0ONCALL1")
    service.start()
    room = Room(slack, service)
    service.send(webhook(_NAME))
    room.workspace.wait_for(lambda: room.workspace.roots(CHANNEL), _SOON)
    room.press("acknowledge", user="U0KIM")
    room.workspace.wait_for(lambda: any("ALLOWED_TO_PRESS" in said for said in room.whispers()), _SOON)
    assert "verdict=not_allowed" in service.log
    assert "👀" not in words(room.root)
    wait_for(lambda: room.press("acknowledge", user="U0LEE") and "<@U0LEE> since" in words(room.root), _SOON)
