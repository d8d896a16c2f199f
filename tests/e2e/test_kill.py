"""Kill -9 at any moment: after a restart every change is told exactly once, in order, in one thread.

These are the moments that matter, each hit on purpose. ``python -m chaos kill`` hits many more by chance.
"""

import socket
import time
from collections.abc import Callable
from functools import partial

import pytest

from harness.servers import HOST
from harness.service import CHANNEL, Background, Service, wait_for
from harness.story import GREEN, assert_delivered, root_of
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: How long a call may take: what was cut off is looked for after this time. It has to leave
#: room for what the sandbox takes on a busy machine to accept a call.
_TIMEOUT = "1s"


def test_between_the_stored_attempt_and_slack(make_service: Callable[..., Service]) -> None:
    """An attempt that was stored, but never reached Slack, is told after the restart."""
    with socket.socket() as nobody:
        # It takes connections and nothing that is sent over them, and ends them all when it is closed.
        nobody.bind((HOST, 0))
        nobody.listen(16)
        port = nobody.getsockname()[1]
        service = make_service(SLACK_API_URL=f"http://{HOST}:{port}/api/", SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
        service.start()
        assert service.send(webhook("Mute")).status == 202
        wait_for(lambda: "attempt" in service.stored()[key("Mute")], 5)
        service.kill()
    with SandboxServer(port=port, rate_limits=False) as slack:
        service.start()
        service.wait_until_delivered()
        assert_delivered(slack.workspace, CHANNEL, {print_of("Mute"): [FIRED]})
        service.stop()


@pytest.mark.parametrize("accepted", ["before", "after"])
def test_during_the_call(make_service: Callable[..., Service], workspace: Workspace, accepted: str) -> None:
    """A call that is under way is told once, whether Slack has taken it before the kill or takes it after."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    service.start()
    kind, seconds = ("hang_after", 5.0) if accepted == "before" else ("hang", 0.4)
    workspace.faults.add(kind, method="chat.postMessage", seconds=seconds, count=1)
    service.send_until_taken(webhook("Cut"))
    workspace.wait_for(lambda: workspace.calls.all("chat.postMessage"))
    if accepted == "before":
        workspace.wait_for(lambda: workspace.roots(CHANNEL))
    assert bool(workspace.roots(CHANNEL)) == (accepted == "before")
    service.kill()
    service.start()
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("Cut"): [FIRED]})
    assert len(workspace.calls.all("chat.postMessage")) == 1, "it was looked up, not posted again"


def test_after_each_acceptance(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """Root, reply and edit, each accepted by Slack with nobody left to hear of it, are neither lost nor told again."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    for payload in (
        webhook("Deaf"),
        webhook("Deaf", {"db01": FIRED, "db02": FIRED}),
        webhook("Deaf", {"db01": RESOLVED, "db02": RESOLVED}),
    ):
        service.start()
        wait_for(lambda: "attempt" not in service.stored().get(key("Deaf"), {}), 10)
        deafen(workspace, "chat.postMessage", partial(service.send_until_taken, payload))
        service.kill()
    # The edit follows as soon as the reply is found.
    deafen(workspace, "chat.update", service.start)
    service.kill()
    service.start()
    service.wait_until_delivered()
    expected = {print_of("Deaf"): [FIRED, RESOLVED], print_of("Deaf", "db02"): [FIRED, RESOLVED]}
    assert_delivered(workspace, CHANNEL, expected)
    assert root_of(workspace, CHANNEL, key("Deaf")).color == GREEN


@pytest.mark.parametrize("how", ["killed", "timed out"])
def test_an_edit_that_lands_late(make_service: Callable[..., Service], workspace: Workspace, how: str) -> None:
    """An edit that Slack still works on when nobody waits for it any more does not stay on top of a newer one."""
    timeout, late = ("6s", 4.0) if how == "killed" else ("3s", 5.5)
    service = make_service(SLACK_TIMEOUT=timeout, RESPONSE_WAIT="0")
    service.start()
    service.send(webhook("Late"))
    service.wait_until_delivered()
    workspace.faults.add("hang", method="chat.update", seconds=late, count=1)
    service.send(webhook("Late", {"db01": RESOLVED}))
    workspace.wait_for(lambda: workspace.calls.all("chat.update"))
    if how == "killed":
        service.kill()
        service.start()
    service.send_until_taken(webhook("Late"))
    workspace.wait_for(lambda: workspace.calls.all("chat.update")[0].accepted, 15)
    workspace.wait_for(lambda: root_of(workspace, CHANNEL, key("Late")).color != GREEN, 20)
    service.wait_until_delivered()


def test_during_the_commit(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """A webhook that is cut off somewhere between its arrival and its answer is told once, sent again or not."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    sent = {}
    for number, delay in enumerate((0.0, 0.001, 0.002, 0.004, 0.007, 0.012)):
        service.start()
        name = f"Commit{number}"
        sender = Background(partial(service.send_until_taken, webhook(name)))
        time.sleep(delay)
        service.kill()
        service.start()
        sender.finish()
        sent[print_of(name)] = [FIRED]
        service.kill()
    service.start()
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, sent)


def deafen(workspace: Workspace, method: str, act: Callable[[], object]) -> None:
    """Act, and return once Slack has taken the call that follows from it, whose answer will not come."""
    calls = len(workspace.calls.all(method))
    workspace.faults.add("hang_after", method=method, seconds=30)
    act()
    workspace.wait_for(lambda: len(workspace.calls.all(method)) > calls, 20)
    call = workspace.calls.all(method)[-1]
    workspace.wait_for(lambda: any(float(m.edited_ts or m.ts) >= call.time for m in workspace.messages(CHANNEL)), 20)
    workspace.faults.clear()
