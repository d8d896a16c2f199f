"""Rate limits and faults: the trouble that a client of Slack must get through."""

import contextlib
import http.client
import itertools
import socket
import time
from collections.abc import Iterator

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS"


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that is moved by hand."""
    return Clock()


@pytest.fixture
def slack(clock: Clock) -> Iterator[SandboxServer]:
    """A Slack to speak to."""
    with SandboxServer(clock=clock) as server:
        yield server


@pytest.fixture
def client(slack: SandboxServer) -> WebClient:
    """The SDK's client of it."""
    return WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[], timeout=5)


def post(client: WebClient, text: str = "x", channel: str = CHANNEL) -> str:
    """Post a message; its ts."""
    return str(client.chat_postMessage(channel=channel, text=text)["ts"])


def texts(slack: SandboxServer) -> list[str]:
    """The texts that stand in the channel, oldest first."""
    return [message.text for message in slack.workspace.messages(CHANNEL)]


def limited(error: pytest.ExceptionInfo[SlackApiError]) -> int:
    """The seconds to wait that the refused call was answered."""
    answer = error.value.response
    assert (answer.status_code, answer["error"]) == (429, "ratelimited")
    return int({k.lower(): v for k, v in answer.headers.items()}["retry-after"])


def test_posts_are_limited_to_one_a_second_after_a_short_burst(
    slack: SandboxServer, client: WebClient, clock: Clock
) -> None:
    """Four at once are a burst, the fifth is 429; one second later there is room for one."""
    for _ in range(4):
        post(client)
    with pytest.raises(SlackApiError) as error:
        post(client)
    assert limited(error) == 1
    clock.now += 1
    post(client)
    with pytest.raises(SlackApiError):
        post(client)
    assert len(slack.workspace.messages(CHANNEL)) == 5


def test_each_channel_has_its_own_limit(client: WebClient) -> None:
    """A storm in one channel leaves the others free."""
    for channel in ("C1", "C2"):
        for _ in range(4):
            post(client, channel=channel)


def test_edits_are_limited_per_minute_for_the_workspace(client: WebClient, clock: Clock) -> None:
    """Tier 3: fifty a minute for a method, whatever the channel; other methods are not touched."""
    places = [(channel, post(client, channel=channel)) for channel in ("C1", "C2")]
    for n, (channel, ts) in zip(range(50), itertools.cycle(places), strict=False):
        client.chat_update(channel=channel, ts=ts, text=str(n))
    with pytest.raises(SlackApiError) as error:
        client.chat_update(channel="C1", ts=places[0][1], text="x")
    assert limited(error) == 60
    client.conversations_history(channel="C1")
    clock.now += 60
    client.chat_update(channel="C1", ts=places[0][1], text="x")


def test_limits_can_be_set_and_switched_off(slack: SandboxServer, client: WebClient) -> None:
    """A test that is not about limits need not wait for them."""
    slack.workspace.configure(post_burst=1)
    post(client)
    with pytest.raises(SlackApiError):
        post(client)
    slack.workspace.configure(rate_limits=False)
    for _ in range(10):
        post(client)


def test_a_429_on_request_says_how_long(slack: SandboxServer, client: WebClient) -> None:
    """The rule's retry_after is in the header, and nothing is accepted."""
    slack.workspace.faults.add("ratelimited", count=1, retry_after=7)
    with pytest.raises(SlackApiError) as error:
        post(client)
    assert limited(error) == 7
    assert texts(slack) == []
    post(client)


@pytest.mark.parametrize(("kind", "accepted"), [("http", False), ("http_after", True)])
def test_an_http_error_before_or_after_accepting(
    slack: SandboxServer, client: WebClient, kind: str, *, accepted: bool
) -> None:
    """A 503 alone does not say whether the message was accepted."""
    slack.workspace.faults.add(kind, count=1, status=503)
    with pytest.raises(SlackApiError) as error:
        post(client)
    assert error.value.response.status_code == 503
    assert texts(slack) == (["x"] if accepted else [])
    [call] = slack.workspace.calls.all()
    assert (call.outcome, call.accepted) == ("http 503", accepted)


@pytest.mark.parametrize(("given", "status"), [(503, 302), (308, 308)])
def test_a_redirect_leads_where_one_likes(slack: SandboxServer, given: int, status: int) -> None:
    """As a captive portal does it; the message is not accepted."""
    slack.workspace.faults.add("redirect", count=1, location="http://127.0.0.1:1/login", status=given)
    connection = http.client.HTTPConnection(slack.url.split("/")[2])
    with contextlib.closing(connection):
        connection.request("POST", "/api/chat.postMessage", headers={"Authorization": "Bearer xoxb-sandbox"})
        answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (status, "http://127.0.0.1:1/login")
    [call] = slack.workspace.calls.all()
    assert (call.outcome, call.accepted) == (f"http {status}", False)


def test_garbage_is_an_answer_that_is_no_json(slack: SandboxServer, client: WebClient) -> None:
    """A proxy's page arrives with status 200."""
    slack.workspace.faults.add("garbage", count=1)
    with pytest.raises(SlackApiError) as error:
        post(client)
    assert error.value.response.status_code == 200
    assert "sign in" in str(error.value)


def test_garbage_is_what_one_likes_before_or_after_accepting(slack: SandboxServer, client: WebClient) -> None:
    """The body of the answer can be given, and the message can have been accepted."""
    slack.workspace.faults.add("garbage", count=1, body='{"ok"')
    slack.workspace.faults.add("garbage_after", count=1, body="nothing")
    for body in ('{"ok"', "nothing"):
        with pytest.raises(SlackApiError) as error:
            post(client)
        assert body in str(error.value)
    assert texts(slack) == ["x"]


def test_any_error_code_can_be_answered(slack: SandboxServer, client: WebClient) -> None:
    """A code that the sandbox has no reason for can be had as well."""
    slack.workspace.faults.add("error", error="fatal_error")
    with pytest.raises(SlackApiError) as error:
        post(client)
    assert error.value.response["error"] == "fatal_error"


@pytest.mark.parametrize(("kind", "accepted"), [("drop_before", False), ("drop_after", True)])
def test_a_dropped_connection(slack: SandboxServer, client: WebClient, kind: str, *, accepted: bool) -> None:
    """The client sees the connection end without an answer, whether the message was accepted or not."""
    slack.workspace.faults.add(kind, count=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        post(client)
    assert texts(slack) == (["x"] if accepted else [])
    [call] = slack.workspace.calls.all()
    assert (call.outcome, call.accepted) == ("dropped", accepted)
    post(client)


@pytest.mark.parametrize("kind", ["hang", "slow", "hang_after"])
def test_a_client_that_does_not_wait_may_still_be_heard(slack: SandboxServer, kind: str) -> None:
    """After the client's timeout the message is in the channel all the same."""
    slack.workspace.faults.add(kind, count=1, seconds=0.5)
    hasty = WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[], timeout=0.2)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        post(hasty)
    assert slack.workspace.wait_for(lambda: texts(slack)) == ["x"]


def test_a_call_that_hangs_is_in_flight(slack: SandboxServer) -> None:
    """What is under way can be seen, so that a test may kill the service at this moment."""
    slack.workspace.faults.add("hang", seconds=60)
    with socket.create_connection(("127.0.0.1", int(slack.url.split(":")[2].strip("/")))) as connection:
        connection.sendall(b"GET /api/auth.test HTTP/1.0\r\n\r\n")
        [call] = slack.workspace.wait_for(slack.workspace.calls.all)
        assert (call.method, call.outcome) == ("auth.test", "in_flight")


def test_a_message_is_accepted_while_its_answer_hangs(slack: SandboxServer) -> None:
    """The moment between Slack's accepting and the client's knowing can be seen."""
    slack.workspace.faults.add("hang_after", seconds=60)
    hasty = WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[], timeout=0.2)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        post(hasty)
    [call] = slack.workspace.calls.all()
    assert (call.outcome, call.accepted) == ("in_flight", True)
    assert call.ts == slack.workspace.messages(CHANNEL)[0].ts


def test_a_rule_meets_its_method_and_channel_only(slack: SandboxServer, client: WebClient) -> None:
    """Trouble can be kept to one method in one channel."""
    slack.workspace.faults.add("error", method="chat.update", channel="C1")
    ts, other = post(client, channel="C1"), post(client, channel="C2")
    client.chat_update(channel="C2", ts=other, text="y")
    with pytest.raises(SlackApiError):
        client.chat_update(channel="C1", ts=ts, text="y")


def test_a_rule_ends_with_its_time(slack: SandboxServer, client: WebClient, clock: Clock) -> None:
    """An outage of twenty seconds is one rule."""
    slack.workspace.faults.add("http", lasting=20)
    clock.now += 19
    with pytest.raises(SlackApiError):
        post(client)
    clock.now += 1
    post(client)
    assert slack.workspace.faults.rules() == []


def test_chance_is_repeatable() -> None:
    """The same seed gives the same trouble, some calls met and some not."""
    runs = []
    for _ in range(2):
        with SandboxServer(rate_limits=False, seed=4) as slack:
            client = WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[])
            slack.workspace.faults.add("error", probability=0.5)
            for _ in range(20):
                with contextlib.suppress(SlackApiError):
                    client.auth_test()
            runs.append([call.outcome for call in slack.workspace.calls.all()])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {"ok", "internal_error"}


def test_rules_can_be_cleared(slack: SandboxServer, client: WebClient) -> None:
    """When the trouble is cleared, the next call goes through."""
    slack.workspace.faults.add("http")
    slack.workspace.faults.clear()
    post(client)


def test_stopping_does_not_wait_for_a_call_that_hangs() -> None:
    """A test that ends in the middle of a fault ends at once."""
    with SandboxServer() as slack:
        slack.workspace.faults.add("hang", seconds=600)
        connection = socket.create_connection(("127.0.0.1", int(slack.url.split(":")[2].strip("/"))))
        connection.sendall(b"GET /api/auth.test HTTP/1.0\r\n\r\n")
        slack.workspace.wait_for(slack.workspace.calls.all)
        before = time.monotonic()
    connection.close()
    assert time.monotonic() - before < 2
