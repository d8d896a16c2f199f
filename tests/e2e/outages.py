"""Outages that take long, as they are waited out. They go on beside all other tests, each with a Slack of its own."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness.service import CHANNEL, Background, Service
from harness.story import GREEN, RED, assert_delivered, root_of, words
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: What is wrong with Slack, and a word of it that ``/health`` must say.
FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "503": ({"kind": "http", "status": 503}, "Slack answers 503"),
    "503 though accepted": ({"kind": "http_after", "status": 503}, "Slack answers 503"),
    "garbage": ({"kind": "garbage"}, "check SLACK_API_URL"),
    "hangs": ({"kind": "hang", "seconds": 1.3}, "did not answer in time"),
    "hangs though accepted": ({"kind": "hang_after", "seconds": 1.3}, "did not answer in time"),
    "drops": ({"kind": "drop_before"}, "the connection to Slack broke off"),
    "drops though accepted": ({"kind": "drop_after"}, "the connection to Slack broke off"),
    "internal_error": ({"kind": "error", "error": "internal_error"}, "internal_error: wait for Slack"),
    "fatal_error": ({"kind": "error", "error": "fatal_error"}, "fatal_error: wait for Slack"),
    "unknown code": ({"kind": "error", "error": "flux_capacitor_empty"}, "flux_capacitor_empty: look it up"),
}


class Outage:
    """An outage that begins at once, in a thread of its own. ``finish`` says how it went."""

    def __init__(self, folder: Path, tale: Callable[[Service, Workspace], None]) -> None:
        """Take a folder for the service's files, and what happens."""
        self._slack = SandboxServer(port=0, rate_limits=False).start()
        self._service = Service(folder, SLACK_API_URL=self._slack.api_url, SLACK_TIMEOUT="1s", RESPONSE_WAIT="200ms")
        self._story = Background(partial(self._run, tale))

    def finish(self) -> None:
        """Wait until it is over, and raise what was wrong."""
        self._story.finish(90)

    def close(self) -> None:
        """End what runs."""
        try:
            self._service.close()
        finally:
            self._slack.stop()

    def _run(self, tale: Callable[[Service, Workspace], None]) -> None:
        self._service.start()
        tale(self._service, self._slack.workspace)


def a_failing_slack(failure: str, service: Service, workspace: Workspace) -> None:
    """Slack fails in one way for a while, with webhooks before and during it."""
    fault, named = FAILURES[failure]
    sent = {print_of("Before"): [FIRED], print_of("During"): [FIRED], print_of("Twice"): [FIRED]}
    assert service.send(webhook("Before")).ok
    service.wait_until_delivered()
    assert service.health["status"] == "healthy"

    workspace.faults.add(**fault)
    first = service.send(webhook("During"))
    assert first.status == 202
    assert first.json["results"][0]["delivery"] == "queued"
    assert first.json["results"][0]["thread_ts"] is None
    assert service.send(webhook("Twice")).ok
    assert service.send(webhook("Twice")).ok
    assert service.send(webhook("Before", {"db01": RESOLVED})).ok
    sent[print_of("Before")].append(RESOLVED)
    health = service.wait_degraded(CHANNEL, named)
    assert health["slack"]["last_error"]["channel"] == CHANNEL
    assert health["slack"]["last_error"]["failures"] >= 1
    assert health["pending"] == 3
    assert health["oldest_pending_seconds"] >= 0

    workspace.faults.clear()
    service.wait_healthy(timeout=20)
    assert service.health["slack"]["last_error"] is None
    assert_delivered(workspace, CHANNEL, sent)
    # A code that we do not know is taken for the message's fault after a while, and a simpler one has no colour.
    if failure != "unknown code":
        assert root_of(workspace, CHANNEL, key("Before")).color == GREEN
        assert root_of(workspace, CHANNEL, key("During")).color == RED


def twenty_seconds_of_503(service: Service, workspace: Workspace) -> None:
    """An outage of 20 s, with alerts that come, go and come back."""
    assert service.send(webhook("Open")).ok
    service.wait_until_delivered()
    began = time.monotonic()
    workspace.faults.add("http", status=503, lasting=20)
    steps = [
        webhook("Open", {"db01": FIRED, "db02": FIRED}),
        webhook("New"),
        webhook("Gone"),
        webhook("Open", {"db01": RESOLVED, "db02": FIRED}),
        webhook("Gone", {"db01": RESOLVED}),
        webhook("Back"),
        webhook("Back", {"db01": RESOLVED}),
        webhook("Back"),
    ]
    for number in range(18):
        # Each comes twice, as from two Alertmanagers.
        assert service.send(steps[min(number // 2, len(steps) - 1)]).status == 202
        time.sleep(max(began + number + 1 - time.monotonic(), 0))
    service.wait_degraded("Slack answers 503: wait for Slack")
    assert len(workspace.messages(CHANNEL)) == 1
    while time.monotonic() < began + 20:
        time.sleep(0.05)

    service.wait_healthy(timeout=60)
    assert_delivered(
        workspace,
        CHANNEL,
        {
            print_of("Open"): [FIRED, RESOLVED],
            print_of("Open", "db02"): [FIRED],
            print_of("New"): [FIRED],
            print_of("Gone"): [RESOLVED],
            print_of("Back"): [FIRED],
        },
    )
    gone = root_of(workspace, CHANNEL, key("Gone"))
    assert gone.color == GREEN, "what came and went is told by a root in its final state"
    assert workspace.replies(CHANNEL, gone.ts) == []
    assert root_of(workspace, CHANNEL, key("Back")).color == RED
    assert root_of(workspace, CHANNEL, key("Open")).color == RED


def every_form_refused(service: Service, workspace: Workspace) -> None:
    """Slack refuses even the plainest message for a while."""
    workspace.faults.add("error", method="chat.postMessage", error="invalid_attachments")
    assert service.send(webhook("Hopeless")).status == 202
    service.wait_degraded("invalid_attachments: Slack refuses the message's form")
    assert service.send(webhook("Hopeless", {"db01": FIRED, "db02": FIRED})).status == 202
    workspace.faults.clear()
    service.wait_healthy(timeout=60)
    assert len(workspace.messages(CHANNEL)) in (1, 2)
    text = "\n".join(words(message) for message in workspace.messages(CHANNEL))
    assert "db01" in text
    assert "db02" in text


OUTAGES: dict[str, Callable[[Service, Workspace], None]] = {
    **{failure: partial(a_failing_slack, failure) for failure in FAILURES},
    "503 for 20 s": twenty_seconds_of_503,
    "every form refused": every_form_refused,
}
