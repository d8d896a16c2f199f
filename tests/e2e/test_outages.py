"""Slack fails in every way it knows, and the webhook is taken all the same.

Nothing is lost, nothing is delivered twice, and ``/health`` says what is wrong and what to do, until it is over.
"""

from collections.abc import Callable

import pytest

from harness.service import CHANNEL, Service, wait_for
from harness.story import (
    GREEN,
    RED,
    assert_delivered,
    assert_threads,
    delivered,
    header,
    root_of,
    said,
    words,
)
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox.workspace import Workspace
from tests.e2e.outages import FAILURES, Outage


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service that gives up on a call after a second."""
    started = make_service(SLACK_TIMEOUT="1s", RESPONSE_WAIT="1s")
    started.start()
    return started


def test_rate_limited(service: Service, workspace: Workspace) -> None:
    """A 429 is obeyed for as long as it says, is nobody's trouble, and what came meanwhile is delivered once."""
    workspace.faults.add("ratelimited", method="chat.postMessage", retry_after=2, count=1)
    assert service.send(webhook("Limited")).status == 202
    assert service.send(webhook("Behind")).status == 202
    assert service.health["status"] == "healthy"
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 2, 6)
    refused, *others = workspace.calls.all("chat.postMessage")
    assert refused.outcome == "ratelimited"
    assert min(call.time for call in others) >= refused.time + 2
    assert_delivered(workspace, CHANNEL, {print_of("Limited"): [FIRED], print_of("Behind"): [FIRED]})
    assert service.get("/stats").json["slack_calls"]["chat.postMessage"]["rate_limited"] == 1


@pytest.mark.parametrize("code", ["invalid_attachments", "invalid_blocks", "invalid_metadata_format", "msg_too_long"])
def test_a_refused_form(service: Service, workspace: Workspace, code: str) -> None:
    """A message whose form Slack refuses is sent in a simpler one at once; the alert is not lost to formatting."""
    workspace.faults.add("error", method="chat.postMessage", error=code, count=2)
    answer = service.send(webhook("Ornate", summary="The database is on fire"))
    assert answer.ok
    service.wait_healthy()
    root = root_of(workspace, CHANNEL, key("Ornate"))
    assert "The database is on fire" in root.text
    assert root.attachments == ()
    assert_delivered(workspace, CHANNEL, {print_of("Ornate"): [FIRED]})
    # The next message has everything again.
    assert service.send(webhook("Ornate", {"db01": RESOLVED}, summary="The database is on fire")).ok
    service.wait_healthy()
    assert_delivered(workspace, CHANNEL, {print_of("Ornate"): [FIRED, RESOLVED]})
    assert root_of(workspace, CHANNEL, key("Ornate")).color == GREEN


def test_a_token_that_is_not_accepted(service: Service, workspace: Workspace) -> None:
    """With a wrong token everything is kept, ``/health`` names the setting to correct; then all is delivered."""
    workspace.configure(token_valid=False)
    assert service.send(webhook("Keyless")).status == 202
    assert service.send(webhook("Keyless", {"db01": FIRED, "db02": FIRED})).status == 202
    health = service.wait_degraded("invalid_auth", "SLACK_BOT_TOKEN")
    assert health["slack"]["last_error"]["code"] == "invalid_auth"
    workspace.configure(token_valid=True)
    service.wait_healthy(timeout=20)
    expected = {print_of("Keyless"): [FIRED], print_of("Keyless", "db02"): [FIRED]}
    assert_delivered(workspace, CHANNEL, expected)


def test_a_workspace_that_lets_nobody_edit(service: Service, workspace: Workspace) -> None:
    """The root stays red. That is said, and the end of the problem stands in the channel too."""
    assert service.send(webhook("Fixed")).status == 200
    workspace.faults.add("error", method="chat.update", error="edit_window_closed")
    assert service.send(webhook("Fixed", {"db01": RESOLVED})).ok
    service.wait_degraded("edit_window_closed", "Message editing")
    service.wait_until_delivered()
    root = root_of(workspace, CHANNEL, key("Fixed"))
    *_, last = workspace.replies(CHANNEL, root.ts)
    assert (root.color, last.color, last.broadcast) == (RED, GREEN, True)
    assert len(workspace.calls.all("chat.update")) == 1
    workspace.faults.clear()
    assert service.send(webhook("Editable")).ok
    assert service.send(webhook("Editable", {"db01": RESOLVED})).ok
    service.wait_healthy()


def test_a_refusal_that_is_not_known(service: Service, workspace: Workspace) -> None:
    """It meets all threads of a channel: none loses the form of its message, and all go out when it is over."""
    workspace.faults.add("error", method="chat.postMessage", error="flux_capacitor_empty")
    names = [f"Denied{number}" for number in range(3)]
    for name in names:
        assert service.send(webhook(name)).status == 202
    service.wait_degraded("flux_capacitor_empty")
    workspace.wait_for(lambda: len(workspace.calls.all("chat.postMessage")) >= 3, 20)
    workspace.faults.clear()
    service.wait_healthy(timeout=40)
    assert {root_of(workspace, CHANNEL, key(name)).color for name in names} == {RED}, "in full"


def test_channels_that_cannot_be_posted_in(service: Service, workspace: Workspace) -> None:
    """An archived, a missing and a private channel are named with their remedies, hold nobody else up, and recover."""
    remedies = {
        "C0ARCHIVED": ("archived", "is_archived: ", "unarchive it"),
        "C0MISSING1": ("missing", "channel_not_found: ", "check its ID"),
        "C0PRIVATE1": ("not_in_channel", "not_in_channel: ", "invite it with /invite"),
    }
    for channel, (standing, *_) in remedies.items():
        workspace.set_channel(channel, standing)
        assert service.send(webhook("Unheard"), f"/alert/{channel}").status == 202
    for channel, (_, code, remedy) in remedies.items():
        service.wait_degraded(f"{channel}: {code}", remedy)
    assert service.send(webhook("Heard")).status == 200
    for channel in remedies:
        workspace.set_channel(channel, "exists")
    service.wait_healthy(timeout=20)
    for channel in remedies:
        assert_delivered(workspace, channel, {print_of("Unheard"): [FIRED]})
    assert_delivered(workspace, CHANNEL, {print_of("Heard"): [FIRED]})


def test_a_channel_that_is_archived_in_between(service: Service, workspace: Workspace) -> None:
    """A thread whose channel is archived goes on in the same thread once it is unarchived."""
    assert service.send(webhook("Paused")).status == 200
    workspace.set_channel(CHANNEL, "archived")
    assert service.send(webhook("Paused", {"db01": RESOLVED})).status == 202
    service.wait_degraded("archived")
    workspace.set_channel(CHANNEL, "exists")
    service.wait_healthy(timeout=20)
    assert_delivered(workspace, CHANNEL, {print_of("Paused"): [FIRED, RESOLVED]})
    assert root_of(workspace, CHANNEL, key("Paused")).color == GREEN


def test_a_deleted_root_and_a_reply(service: Service, workspace: Workspace) -> None:
    """After a person deleted the root, the next reply becomes the root: it looks like one and gathers what follows."""
    assert service.send(webhook("Deleted", summary="On fire")).status == 200
    old = root_of(workspace, CHANNEL, key("Deleted"))
    workspace.delete(CHANNEL, old.ts)
    assert service.send(webhook("Deleted", {"db01": FIRED, "db02": FIRED}, summary="On fire")).ok
    service.wait_healthy()
    new = root_of(workspace, CHANNEL, key("Deleted"))
    assert new.color == RED
    assert header(new) == header(old)
    assert "Firing: 2" in words(new)

    answer = service.send(webhook("Deleted", {"db01": RESOLVED, "db02": RESOLVED}))
    assert answer.json["results"][0]["thread_ts"] == new.ts
    service.wait_healthy()
    assert root_of(workspace, CHANNEL, key("Deleted")).color == GREEN
    assert [each.delivered for each in said(workspace, CHANNEL)] == [
        [(FIRED, print_of("Deleted", "db02"))],
        [(RESOLVED, print_of("Deleted")), (RESOLVED, print_of("Deleted", "db02"))],
    ]
    assert_threads(workspace, CHANNEL)


def test_a_root_deleted_before_its_edit(service: Service, workspace: Workspace) -> None:
    """An edit that finds no root (message_not_found) posts a new one in the state that the edit would have shown."""
    assert service.send(webhook("Edited")).status == 200
    root = root_of(workspace, CHANNEL, key("Edited"))
    workspace.faults.add("ratelimited", method="chat.update", count=1, retry_after=1)
    assert service.send(webhook("Edited", {"db01": RESOLVED})).ok
    workspace.wait_for(lambda: workspace.replies(CHANNEL, root.ts))
    workspace.delete(CHANNEL, root.ts)
    service.wait_healthy()
    assert [call.outcome for call in workspace.calls.all("chat.update")] == ["ratelimited", "message_not_found"]
    new = root_of(workspace, CHANNEL, key("Edited"))
    assert new.color == GREEN
    assert delivered(workspace, CHANNEL) == {print_of("Edited"): [RESOLVED]}, "the first one was in the deleted root"
    assert len(workspace.roots(CHANNEL)) == 1


def test_without_the_history_scope(service: Service, workspace: Workspace) -> None:
    """Where messages cannot be looked up, a lost answer means a second copy, not a loss, and the log says so once."""
    workspace.configure(scopes=("chat:write",))
    workspace.faults.add("drop_after", method="chat.postMessage", count=1)
    assert service.send(webhook("Blind")).status == 202
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 2, 10)
    workspace.faults.add("drop_after", method="chat.postMessage", count=1)
    assert service.send(webhook("Blinder")).ok
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 4, 10)
    service.wait_until_delivered()
    assert service.log.count("messages cannot be looked up") == 1


def test_slack_is_not_there_at_all(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """An address where nobody listens is named as such, and nothing is lost."""
    service = make_service(SLACK_API_URL="http://127.0.0.1:9/api/")
    service.start()
    assert service.send(webhook("Nowhere")).status == 202
    service.wait_degraded("the connection to Slack is refused (127.0.0.1:9): check SLACK_API_URL")
    wait_for(lambda: key("Nowhere") in service.stored(), 2)
    assert workspace.messages(CHANNEL) == []
    service.stop()


# -- what has gone on beside all other tests ------------------------------------------------------------------------


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_slack(outages: dict[str, Outage], failure: str) -> None:
    """While Slack fails, webhooks are taken and the trouble is named; after it, all is delivered once, in order."""
    outages[failure].finish()


def test_every_form_refused(outages: dict[str, Outage]) -> None:
    """Where Slack refuses even the plainest message, the alert is kept and named, and delivered later."""
    outages["every form refused"].finish()


def test_twenty_seconds_of_503(outages: dict[str, Outage]) -> None:
    """In an outage of 20 s each webhook is taken and each change delivered once; what came and went says so."""
    outages["503 for 20 s"].finish()
