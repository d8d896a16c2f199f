"""What Slack does late, after it has said that it failed: in the end each message is there once, and tells the truth.

A post whose answer was lost is made again as soon as Slack does not seem to have it. That is a guess: it may still
arrive, or be there already while Slack's history lags behind. Then the thread's own message stays, and the copy goes.
"""

from collections.abc import Callable

import pytest

from harness.service import CHANNEL, Service, wait_for
from harness.story import GREEN, assert_delivered, root_of
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox.messages import Message
from slack_sandbox.workspace import Workspace

#: How long a call may take: after twice this time Slack has surely ended its work.
_TIMEOUT = "2s"
#: When a late call is carried out, in seconds: after it was looked up and made again, and before that.
_LATE = 2.5


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service."""
    started = make_service(SLACK_TIMEOUT=_TIMEOUT)
    started.start()
    return started


def wait_for_both(workspace: Workspace) -> list[Message]:
    """Wait until a message and its copy are there; in their order."""
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 2, 10)
    return workspace.roots(CHANNEL)


def wait_until_one(workspace: Workspace) -> None:
    """Wait until only one of them is left."""
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 1, 20)


def test_a_root_that_arrives_late_is_removed(service: Service, workspace: Workspace) -> None:
    """It was posted again within seconds, and what was said in its thread stays."""
    workspace.faults.add("http_late", method="chat.postMessage", count=1, seconds=_LATE)
    service.send(webhook("Late"))
    first, copy = wait_for_both(workspace)
    service.send(webhook("Late", {"db01": RESOLVED}))
    wait_until_one(workspace)
    root = root_of(workspace, CHANNEL, key("Late"))
    assert (root.ts, root.color) == (first.ts, GREEN)
    assert root.ts != copy.ts
    assert_delivered(workspace, CHANNEL, {print_of("Late"): [FIRED, RESOLVED]})


def test_a_reply_that_arrives_late_is_removed(service: Service, workspace: Workspace) -> None:
    """From its thread."""
    service.send(webhook("Late"))
    workspace.faults.add("http_late", method="chat.postMessage", count=1, seconds=_LATE)
    service.send(webhook("Late", {"db01": FIRED, "db02": FIRED}))
    root = root_of(workspace, CHANNEL, key("Late"))
    workspace.wait_for(lambda: len(workspace.replies(CHANNEL, root.ts)) == 2, 10)
    workspace.wait_for(lambda: len(workspace.replies(CHANNEL, root.ts)) == 1, 20)
    assert_delivered(workspace, CHANNEL, {print_of("Late"): [FIRED], print_of("Late", "db02"): [FIRED]})


def test_a_post_that_the_history_shows_late_is_removed(service: Service, workspace: Workspace) -> None:
    """It was a success, behind a 503."""
    workspace.faults.add("http_after", method="chat.postMessage", count=1)
    workspace.faults.add("lag", method="conversations.history", count=1, seconds=5)
    service.send(webhook("Lagging"))
    first, again = wait_for_both(workspace)
    wait_until_one(workspace)
    assert [root.ts for root in workspace.roots(CHANNEL)] == [again.ts] != [first.ts]
    assert_delivered(workspace, CHANNEL, {print_of("Lagging"): [FIRED]})


def test_a_copy_that_somebody_has_answered_stays(service: Service, workspace: Workspace) -> None:
    """What people wrote is not taken away. It says where the thread goes on."""
    workspace.faults.add("http_late", method="chat.postMessage", count=1, seconds=_LATE)
    service.send(webhook("Late"))
    first, copy = wait_for_both(workspace)
    workspace.react(CHANNEL, copy.ts, "eyes")
    assert duplicate_of(workspace, copy).endswith(f"/archives/{CHANNEL}/p{first.ts.replace('.', '')}>")


def test_a_copy_that_cannot_be_deleted_says_so(service: Service, workspace: Workspace) -> None:
    """Workspaces can forbid it."""
    workspace.faults.add("http_late", method="chat.postMessage", count=1, seconds=_LATE)
    workspace.faults.add("error", method="chat.delete", error="cant_delete_message")
    service.send(webhook("Late"))
    _, copy = wait_for_both(workspace)
    duplicate_of(workspace, copy)
    service.wait_healthy()


def test_a_copy_is_removed_when_slack_is_back(service: Service, workspace: Workspace) -> None:
    """It is looked for again after a failure, and after a restart."""
    workspace.faults.add("http_late", method="chat.postMessage", count=1, seconds=_LATE)
    service.send(webhook("Late"))
    wait_for_both(workspace)
    service.kill()
    service.start()
    wait_until_one(workspace)


def test_a_red_edit_that_lands_late_does_not_stay(service: Service, workspace: Workspace) -> None:
    """On top of the green one, it is overwritten."""
    service.send(webhook("Edited"))
    service.wait_until_delivered()
    workspace.faults.add("http_late", method="chat.update", count=1, seconds=_LATE)
    service.send(webhook("Edited", {"db01": FIRED, "db02": FIRED}))
    workspace.wait_for(lambda: any(call.outcome == "http 503" for call in workspace.calls.all("chat.update")), 10)
    service.send(webhook("Edited", {"db01": RESOLVED, "db02": RESOLVED}))
    workspace.wait_for(lambda: root_of(workspace, CHANNEL, key("Edited")).color == GREEN, 10)
    workspace.wait_for(lambda: any(call.outcome == "late" for call in workspace.calls.all("chat.update")), 10)
    assert root_of(workspace, CHANNEL, key("Edited")).color != GREEN, "the late edit has landed"
    workspace.wait_for(lambda: root_of(workspace, CHANNEL, key("Edited")).color == GREEN, 20)
    wait_for(lambda: not service.stored()[key("Edited")].get("shown", {}).get("unsure_until"), 20)


def test_a_message_that_cannot_be_looked_up_is_posted_all_the_same(service: Service, workspace: Workspace) -> None:
    """Slack allows an app one page of history a minute, say: being late is nearly as bad as a loss."""
    workspace.faults.add("http", method="chat.postMessage", count=1)
    workspace.faults.add("ratelimited", method="conversations.history", retry_after=60)
    service.send(webhook("Unseen"))
    workspace.wait_for(lambda: workspace.roots(CHANNEL), 20)
    assert len(workspace.calls.all("conversations.history")) == 1, "Slack has asked to wait"
    assert_delivered(workspace, CHANNEL, {print_of("Unseen"): [FIRED]})


def test_a_thread_that_always_fails_holds_up_no_other(service: Service, workspace: Workspace) -> None:
    """Slack, or a filter on the way, fails on what one alert says: the rest of its channel is told all the same."""
    workspace.faults.add("http", method="chat.postMessage", containing="Poisoned", status=500)
    assert service.send(webhook("Poisoned", severity="critical")).status == 202
    assert service.send(webhook("Harmless", severity="warning")).status == 202
    workspace.wait_for(lambda: workspace.roots(CHANNEL), 40)
    service.send(webhook("Another", severity="warning"))
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 2, 5)
    workspace.faults.clear()
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == 3, 40)


def duplicate_of(workspace: Workspace, copy: Message) -> str:
    """Wait until a copy says that it is one, and return what it says."""

    def text() -> str | None:
        said = workspace.find(CHANNEL, copy.ts).text
        return said if said.startswith("Duplicate, see <http") else None

    return workspace.wait_for(text, 20) or ""
