"""A real Alertmanager drives the service: its timers, its groups, its retries."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.alertmanager import GROUP_INTERVAL, OTHER_CHANNEL, REPEAT_INTERVAL, Alertmanager, notifying
from harness.servers import HOST
from harness.service import CHANNEL, Service, wait_for
from harness.story import GREEN, RED, assert_delivered, delivered, root_of, said, words
from harness.webhooks import FIRED, RESOLVED, key, print_of
from slack_sandbox.workspace import Workspace

_WEBHOOK_TOKEN = "webhook-token-never-to-be-seen"
#: What Alertmanager needs beyond its timers, on a busy machine, in seconds.
_SLACK = 10.0


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service that asks for a token."""
    started = make_service(WEBHOOK_TOKEN=_WEBHOOK_TOKEN, SLACK_TIMEOUT="1s")
    started.start()
    return started


@pytest.fixture
def alertmanager(tmp_path: Path, service: Service) -> Iterator[Alertmanager]:
    """An Alertmanager that notifies the service."""
    running = Alertmanager(tmp_path / "alertmanager", notifying(f"http://{HOST}:{service.port}", _WEBHOOK_TOKEN))
    yield running
    running.stop()


def test_an_incident(alertmanager: Alertmanager, service: Service, workspace: Workspace) -> None:
    """Firing, a member joins, part resolves, a repeat, all resolve; in between the service is killed and comes back."""
    name = "DatabaseCriticalFailure"
    sent = {print_of(name): [FIRED]}
    turn = GROUP_INTERVAL + _SLACK

    # It opens; beside it an alert of another team's, by another route, into that team's channel.
    alertmanager.push(name, {"db01": FIRED})
    alertmanager.push("DiskFull", {"db09": FIRED}, team="database")
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, _SLACK)
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == RED
    assert root.mentions == ()
    workspace.wait_for(lambda: workspace.roots(OTHER_CHANNEL), _SLACK)
    assert root_of(workspace, OTHER_CHANNEL, f"{key('DiskFull')}@{OTHER_CHANNEL}").color == RED

    # A member joins while the service is dead; Alertmanager tries again until it is back.
    service.kill()
    alertmanager.push(name, {"db02": FIRED})
    wait_for(lambda: "Notify attempt failed" in alertmanager.log, turn, lambda: alertmanager.log)
    assert delivered(workspace, CHANNEL) == sent
    service.start()
    sent[print_of(name, "db02")] = [FIRED]
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    assert_delivered(workspace, CHANNEL, sent)

    # One of the two resolves: said in a reply, the root still burns.
    alertmanager.push(name, {"db01": RESOLVED})
    sent[print_of(name)].append(RESOLVED)
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    service.wait_until_delivered()
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == RED
    assert "Firing: 1 | Resolved: 1" in words(root)

    # Alertmanager repeats itself, which changes nothing in the channel.
    before = workspace.messages(CHANNEL)
    before_repeat = webhooks(service)
    repeated = time.monotonic() + REPEAT_INTERVAL + turn
    wait_for(lambda: webhooks(service) > before_repeat, repeated - time.monotonic(), lambda: alertmanager.log)
    service.wait_until_delivered()
    assert workspace.messages(CHANNEL) == before

    # All is well again.
    alertmanager.push(name, {"db02": RESOLVED})
    sent[print_of(name, "db02")].append(RESOLVED)
    workspace.wait_for(lambda: delivered(workspace, CHANNEL) == sent, turn)
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, sent)
    root = root_of(workspace, CHANNEL, key(name))
    assert root.color == GREEN
    assert "RESOLVED" in root.text
    assert len(workspace.roots(CHANNEL)) == 1
    replies = workspace.replies(CHANNEL, root.ts)
    assert [reply.color for reply in replies] == [RED, GREEN, GREEN]
    assert [each.message for each in said(workspace, CHANNEL)] == [root, *replies]
    service.stop()


def webhooks(service: Service) -> int:
    """How many were answered since the service's start."""
    answer = service.request("GET", "/stats")
    return sum(answer.json["webhooks"].values())
