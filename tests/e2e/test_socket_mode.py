"""Presses over Socket Mode: two connections, without an open port, and what happens to them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.replicas import replicas, start_all
from harness.servers import RedisServer
from harness.service import CHANNEL, Service, wait_for
from harness.story import words
from harness.webhooks import FIRED, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace
from tests.e2e.test_two_way import Room

_APP_TOKEN = "xapp-sandbox-5d1c-never-to-be-seen"
_NAME = "DatabaseDown"
_SOON = 20.0


@pytest.fixture
def room(make_service: Callable[..., Service], slack: SandboxServer) -> Iterator[Room]:
    """A thread, and one connection that is open."""
    service = make_service(SLACK_APP_TOKEN=_APP_TOKEN)
    service.start()
    made = Room(slack, service)
    slack.workspace.configure(interactivity_url="")
    service.send(webhook(_NAME, {"db01": FIRED}))
    slack.workspace.wait_for(lambda: slack.workspace.roots(CHANNEL), _SOON)
    slack.workspace.wait_for(lambda: slack.workspace.sockets.count == 1, _SOON)
    yield made
    assert _APP_TOKEN not in service.log
    assert "ticket=" not in service.log


def both(workspace: Workspace) -> None:
    """Wait until the second connection is open too."""
    workspace.wait_for(lambda: workspace.sockets.count == 2, 60)


def test_a_press_needs_no_open_port(room: Room) -> None:
    """It is acknowledged over the WebSocket, and has its effect."""
    assert room.press("acknowledge")["ok"]
    room.sees("<@U0KIM> since")
    room.workspace.wait_for(lambda: room.whispers() == ["You have acknowledged it."], _SOON)
    assert room.service.request("POST", "/slack/interactive", b"payload={}").status == 404


def test_no_press_is_lost_while_one_lives(room: Room) -> None:
    """Closed, or asked for a new one, with and without closing: presses go on, and two are open again."""
    workspace = room.workspace
    both(workspace)
    actions = ("acknowledge", "unacknowledge")
    for number, how in enumerate(("close", "refresh", "warning", "refresh_only", "close", "refresh")):
        opened = workspace.sockets.opened
        workspace.sockets.end(how, number % 2)
        assert room.press(actions[number % 2], user="U0LEE")["ok"], how
        workspace.wait_for(lambda opened=opened: workspace.sockets.opened == opened + 1, 20)  # type: ignore[misc]
        # One that Slack does not close itself is listened to for a while.
        workspace.wait_for(lambda: workspace.sockets.count == 2, 20)
        room.offers(*(actions[(number + 1) % 2],))


def test_a_cut_connection_is_replaced(room: Room) -> None:
    """Nobody says anything: its pings are not answered any more."""
    opened = room.workspace.sockets.opened
    began = time.monotonic()
    room.workspace.sockets.end("cut")
    room.workspace.wait_for(lambda: room.workspace.sockets.opened > opened, 30)
    assert time.monotonic() - began < 10  # 6 s on a machine that does nothing else: see bench
    assert room.press("acknowledge")["ok"]


def test_an_envelope_that_comes_twice(room: Room) -> None:
    """Over both connections: one effect, one reply."""
    both(room.workspace)
    room.workspace.sockets.faults.duplicate = True
    assert room.press("acknowledge")["ok"]
    room.hears("Acknowledged by kim")
    room.service.wait_until_delivered()
    assert len(room.replies()) == 1


def test_a_lost_press_is_not_ours(room: Room) -> None:
    """What Slack put on a dead connection has no effect, and its presser sees Slack's own warning."""
    room.workspace.sockets.faults.swallow = 1
    answer = room.press("acknowledge")
    assert (answer["ok"], answer["status"]) == (False, 0)


def test_others_use_the_token(room: Room) -> None:
    """It is said in /health, for presses go to them too."""
    room.workspace.sockets.faults.ghosts = 8
    room.workspace.sockets.end("close")
    room.service.wait_degraded("Slack counts 9 connections of this app, 2 are ours", timeout=_SOON)
    assert "alert_threader_slack_socket_connections 9.0" in room.service.get("/metrics").text


def test_a_wrong_token(make_service: Callable[..., Service]) -> None:
    """What to do is in /health; webhooks are taken all the same."""
    service = make_service(SLACK_APP_TOKEN="xapp-wrong")
    service.start()
    service.wait_degraded("SLACK_APP_TOKEN", "connections:write", timeout=_SOON)
    assert service.send(webhook(_NAME)).ok


def test_too_many(make_service: Callable[..., Service], slack: SandboxServer) -> None:
    """Others have all the connections: it is said, and not tried again and again."""
    slack.workspace.sockets.faults.full = True
    service = make_service(SLACK_APP_TOKEN=_APP_TOKEN)
    service.start()
    service.wait_degraded("the app has too many connections", timeout=_SOON)
    # The second one, and whatever would be a storm, would come within these seconds.
    until = time.monotonic() + 5
    wait_for(lambda: slack.workspace.sockets.refused > 2 or time.monotonic() > until, 10)
    assert slack.workspace.sockets.refused <= 2


def test_a_stop_says_goodbye(room: Room) -> None:
    """Both are closed with a close frame, so that Slack sends nothing into them."""
    both(room.workspace)
    room.service.stop()
    room.workspace.wait_for(lambda: room.workspace.sockets.count == 0, 5)


def test_the_store_is_away(slack: SandboxServer, tmp_path: Path) -> None:
    """A press that cannot be stored is not answered, so that Slack shows its warning; nothing is half done."""
    with ExitStack() as closing:
        server = closing.enter_context(RedisServer(tmp_path / "redis"))
        make = closing.enter_context(replicas(tmp_path, slack.api_url))
        (service,) = start_all([make("a", server.url, SLACK_APP_TOKEN=_APP_TOKEN, WEB_CONCURRENCY=1)])
        room = Room(slack, service)
        room.workspace.configure(interactivity_url="")
        service.send(webhook(_NAME, {"db01": FIRED}))
        room.workspace.wait_for(lambda: room.workspace.roots(CHANNEL), _SOON)
        room.workspace.wait_for(lambda: room.workspace.sockets.count, _SOON)
        service.wait_until_delivered()
        server.stop()
        answer = room.press("acknowledge")
        assert (answer["ok"], answer["status"]) == (False, 0)
        server.start()
        wait_for(lambda: room.press("acknowledge", user="U0LEE")["ok"], 60)
        room.sees("<@U0LEE> since")
        service.wait_until_delivered()
        assert "<@U0KIM>" not in words(room.root)
        assert len(room.replies()) == 1


def test_two_replicas(slack: SandboxServer, tmp_path: Path) -> None:
    """Four processes on one Redis have two connections in all, also when one is killed; one press has one effect."""
    with ExitStack() as closing:
        server = closing.enter_context(RedisServer(tmp_path / "redis"))
        make = closing.enter_context(replicas(tmp_path, slack.api_url))
        settings = {"SLACK_APP_TOKEN": _APP_TOKEN, "WEB_CONCURRENCY": 2}
        first, second = start_all([make(name, server.url, **settings) for name in ("a", "b")])
        workspace = slack.workspace
        both(workspace)
        first.send(webhook(_NAME, {"db01": FIRED}))
        workspace.wait_for(lambda: workspace.roots(CHANNEL), _SOON)
        room = Room(slack, first)
        workspace.configure(interactivity_url="")
        workspace.sockets.faults.duplicate = True
        assert room.press("acknowledge")["ok"]
        room.hears("Acknowledged by kim")
        assert workspace.sockets.count == 2
        second.kill()
        # What goes over a connection of the dead one is lost, until it is noticed that it is dead.
        wait_for(lambda: room.press("unacknowledge")["ok"], 30)
        both(workspace)
        room.hears("taken back by kim")
        assert len(room.replies()) == 2
