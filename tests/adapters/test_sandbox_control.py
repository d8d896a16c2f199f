"""The sandbox from outside: its state, its log of calls, its switches, and its life as a server."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS"


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """A Slack to speak to."""
    with SandboxServer(rate_limits=False) as server:
        yield server


@pytest.fixture
def client(slack: SandboxServer) -> WebClient:
    """The SDK's client of it."""
    return WebClient("xoxb-sandbox-secret", base_url=slack.api_url, retry_handlers=[])


def ask(slack: SandboxServer, path: str, body: object = None, method: str | None = None) -> Any:
    """Ask the control API; the answer as JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{slack.url}sandbox/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_the_state_holds_threads_as_they_are(slack: SandboxServer, client: WebClient) -> None:
    """Replies are inside their parents, deleted messages are marked, mentions are counted."""
    bar = {"color": "#fff", "text": "x"}
    root = client.chat_postMessage(channel=CHANNEL, text="<!here>", attachments=[bar])
    reply = client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root["ts"])
    gone = client.chat_postMessage(channel=CHANNEL, text="gone")
    client.chat_delete(channel=CHANNEL, ts=gone["ts"])
    [channel] = ask(slack, "state")["channels"]
    shown, deleted = channel["messages"]
    assert (channel["id"], shown["ts"], shown["mentions"]) == (CHANNEL, root["ts"], ["here"])
    assert [r["ts"] for r in shown["replies"]] == [reply["ts"]]
    assert shown["attachments"] == [bar]
    assert deleted["deleted"] is True


def test_the_state_can_be_waited_for(slack: SandboxServer, client: WebClient) -> None:
    """A long poll is answered by the next change."""
    version = ask(slack, "state")["version"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, slack, f"state?since={version}&wait=10")
        client.chat_postMessage(channel=CHANNEL, text="x")
        assert waiting.result(5)["version"] > version


def test_changes_are_only_what_changed(slack: SandboxServer, client: WebClient) -> None:
    """A reply brings itself and its parent, whose count it changes; not the rest of the channel."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    client.chat_postMessage(channel=CHANNEL, text="other")
    version = slack.workspace.version
    client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root)
    changes = ask(slack, f"changes?since={version}")
    assert [m["text"] for m in changes["messages"]] == ["root", "reply"]


def test_calls_are_logged_without_a_secret(slack: SandboxServer, client: WebClient) -> None:
    """The log says what was asked for and what came of it; a token appears nowhere."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    client.api_call("auth.test", params={"token": "xoxb-sandbox-secret"})
    with pytest.raises(SlackApiError):
        client.chat_update(channel=CHANNEL, ts="1600000000.000000", text="x")
    first, second, third = ask(slack, "calls")["calls"]
    assert (first["n"], first["method"], first["outcome"], first["ts"]) == (1, "chat.postMessage", "ok", ts)
    assert (second["method"], second["accepted"]) == ("auth.test", False)
    assert third["outcome"] == "message_not_found"
    assert ask(slack, "calls?method=auth.test")["calls"] == [second]
    assert "secret" not in json.dumps([ask(slack, "calls"), ask(slack, "state")])


def test_faults_are_set_and_cleared(slack: SandboxServer, client: WebClient) -> None:
    """Rules come one by one or as a list, and `for` limits their time."""
    ask(slack, "faults", {"kind": "error", "error": "fatal_error", "count": 1})
    outage = {"kind": "http", "method": "chat.update", "for": 60}
    ask(slack, "faults", [outage, {"kind": "garbage", "count": 0}])
    assert [rule["kind"] for rule in ask(slack, "faults")["faults"]] == ["error", "http"]
    with pytest.raises(SlackApiError, match="fatal_error"):
        client.auth_test()
    ask(slack, "faults", method="DELETE")
    assert ask(slack, "faults")["faults"] == []


def test_a_channel_can_be_archived(slack: SandboxServer, client: WebClient) -> None:
    """What a person does to a channel in Slack can be done here."""
    ask(slack, f"channels/{CHANNEL}", {"standing": "archived"})
    with pytest.raises(SlackApiError, match="is_archived"):
        client.chat_postMessage(channel=CHANNEL, text="x")
    ask(slack, f"channels/{CHANNEL}", {"standing": "exists"})
    client.chat_postMessage(channel=CHANNEL, text="x")


def test_a_message_can_be_deleted(slack: SandboxServer, client: WebClient) -> None:
    """As by a person; the call log has nothing of it."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    ask(slack, "delete", {"channel": CHANNEL, "ts": ts})
    assert slack.workspace.messages(CHANNEL) == []
    assert len(slack.workspace.calls.all()) == 1


def test_settings_can_be_changed(slack: SandboxServer, client: WebClient) -> None:
    """Scopes, limits and the token's validity change while the sandbox runs."""
    answer = ask(slack, "settings", {"scopes": ["chat:write"], "rate_limits": True, "post_burst": 1})
    assert answer["settings"]["scopes"] == ["chat:write"]
    client.chat_postMessage(channel=CHANNEL, text="x")
    with pytest.raises(SlackApiError, match="ratelimited"):
        client.chat_postMessage(channel=CHANNEL, text="x")
    with pytest.raises(SlackApiError, match="missing_scope"):
        client.conversations_history(channel=CHANNEL)


def test_a_reset_forgets_everything_but_the_settings(slack: SandboxServer, client: WebClient) -> None:
    """One sandbox can serve several tests; a page learns that what it shows is void."""
    client.chat_postMessage(channel=CHANNEL, text="x")
    ask(slack, "faults", {"kind": "http"})
    before = ask(slack, "state")
    ask(slack, "reset", {})
    after = ask(slack, "state")
    assert (after["channels"], ask(slack, "calls")["calls"], ask(slack, "faults")["faults"]) == ([], [], [])
    assert after["epoch"] != before["epoch"]
    assert after["version"] > before["version"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("faults", {"kind": "flood"}, 400),
        ("faults", {"kind": "http", "colour": "red"}, 400),
        ("faults", {"kind": "http", "status": "many"}, 400),
        ("faults", ["http"], 400),
        ("channels/C1", {"standing": "gone"}, 400),
        ("channels/alerts", {"standing": "archived"}, 400),
        ("settings", {"speed": 1}, 400),
        ("settings", {"post_burst": "many"}, 400),
        ("settings", [], 400),
        ("delete", {"channel": "C1", "ts": "1.0"}, 404),
    ],
)
def test_wrong_input_is_named(slack: SandboxServer, path: str, body: object, status: int) -> None:
    """A mistake in a test's own set-up is an error with a reason, not silence."""
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(slack, path, body)
    with error.value as answer:
        assert answer.code == status
        assert json.load(answer)["error"]


def test_a_form_cannot_change_anything(slack: SandboxServer) -> None:
    """Another web page, open in the same browser, cannot reset the sandbox."""
    request = urllib.request.Request(f"{slack.url}sandbox/reset", data=b"x=1")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    with error.value as answer:
        assert answer.code == 415


def test_waiting_ends_with_an_error(slack: SandboxServer) -> None:
    """A condition that never comes true fails the test that waits for it."""
    with pytest.raises(TimeoutError, match="within"):
        slack.workspace.wait_for(lambda: slack.workspace.messages(CHANNEL), timeout=0.1)


def test_many_clients_at_once(slack: SandboxServer, client: WebClient) -> None:
    """Two hundred simultaneous posts all arrive, each with a ts of its own."""
    with ThreadPoolExecutor(50) as pool:
        posts = [pool.submit(client.chat_postMessage, channel=CHANNEL, text=str(n)) for n in range(200)]
        stamps = {post.result(20)["ts"] for post in posts}
    assert len(stamps) == 200
    assert stamps == {m.ts for m in slack.workspace.messages(CHANNEL)}


def test_nothing_is_left_after_the_end() -> None:
    """The port is free and no thread is alive, also with a connection open that never spoke."""
    before = threading.active_count()
    with SandboxServer() as slack:
        port = int(slack.url.split(":")[2].strip("/"))
        silent = socket.create_connection(("127.0.0.1", port))
        WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[]).auth_test()
    silent.close()
    assert threading.active_count() == before
    with SandboxServer(port=port):
        pass


def test_a_port_in_use_is_an_error(slack: SandboxServer) -> None:
    """Two sandboxes cannot share a port, and the second says so."""
    port = int(slack.url.split(":")[2].strip("/"))
    with pytest.raises(OSError, match="in use"):
        SandboxServer(port=port).start()


def test_the_command_serves_until_it_is_interrupted() -> None:
    """`serve` says where it listens and ends quietly on Ctrl-C."""
    program = "from slack_sandbox import serve;serve('127.0.0.1', 0, lambda server: print(server.url, flush=True))"
    command = [sys.executable, "-W", "error", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert b"Slack sandbox" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_the_page_forbids_what_it_does_not_need(slack: SandboxServer) -> None:
    """The page and its files come from the sandbox itself, under a strict policy."""
    for path in ("", "page/page.js", "page/page.css", "page/message.js", "page/mrkdwn.js"):
        with urllib.request.urlopen(f"{slack.url}{path}", timeout=5) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert b"https://" not in answer.read().replace(b"https://docs.slack.dev", b"")


def test_the_page_of_a_sandbox_on_every_address() -> None:
    """In a container it listens on every address: nobody can open that, and its own machine always can."""
    assert SandboxServer(8065, "0.0.0.0").url == "http://127.0.0.1:8065/"
