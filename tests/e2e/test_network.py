"""The whole service where the network stands still, and where Slack takes the token back."""

import os
from collections.abc import Callable
from pathlib import Path

from chaos.faults.network import STALLED
from harness.service import Service
from harness.webhooks import webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace


def test_resolver_that_never_answers(
    make_service: Callable[..., Service], slack: SandboxServer, tmp_path: Path
) -> None:
    """Webhooks are taken, /health says what stands still, a stop is not held up, and all is delivered afterwards."""
    stalled = tmp_path / "stalled"
    stalled.touch()
    service = make_service(
        SLACK_API_URL=slack.api_url.replace("127.0.0.1", "localhost"),
        SLACK_TIMEOUT="1s",
        RESPONSE_WAIT="100ms",
        CHAOS_STALLED=str(stalled),
    )
    service.settings["PYTHONPATH"] = os.pathsep.join([str(STALLED), str(service.source)])
    service.start()
    assert service.send(webhook("Stalled")).status == 202
    service.wait_degraded("the name localhost is not resolved within 1 s: check DNS")
    assert service.health["slack"]["token_checked"] is None
    service.stop(within=5)
    stalled.unlink()
    service.start()
    service.wait_healthy()
    [call] = slack.workspace.calls.all("chat.postMessage")
    assert call.outcome == "ok"


def test_token_that_was_revoked_before_the_start(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """The service starts all the same, and says so without any alert."""
    workspace.configure(token_valid=False)
    service = make_service()
    service.start()
    health = service.wait_degraded("token: invalid_auth: ", "SLACK_BOT_TOKEN")
    assert health["slack"]["token_checked"]
    assert "\nalert_threader_slack_token_valid 0.0\n" in service.get("/metrics").text
