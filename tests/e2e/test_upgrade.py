"""What an installation of the first release has open goes on after the upgrade: no second root, nothing left red."""

import signal
from collections.abc import Callable

import pytest

from harness import first_release
from harness.service import CHANNEL, Service
from harness.story import GREEN, RED
from harness.webhooks import FIRED, RESOLVED, webhook
from slack_sandbox.workspace import Workspace

#: What an alert carries that the rules for keys of today read, and those of the first release did not.
_KINDS: list[dict[str, str]] = [
    {"env": "staging"},
    {"environment": "eu-1"},
    {"grafana_folder": "Operations"},
    {"grafana_folder": "Operations", "alertname": "DatasourceNoData", "rulename": "Backup age"},
    {"alertname": "", "event": "Router down"},
]
_THREADS = 20


def sent(number: int, state: str) -> dict[str, object]:
    """A webhook about the alert of a thread whose key is another today."""
    hook = webhook(f"Open{number}", {"db01": state})
    labels = hook["alerts"][0]["labels"]
    labels |= {**_KINDS[number % len(_KINDS)], "service": f"service{number}"}
    if not labels["alertname"]:
        del labels["alertname"]
    return hook


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_open_threads_go_on(make_service: Callable[..., Service], workspace: Workspace, how: signal.Signals) -> None:
    """Twenty threads whose keys today's rules change: repeats and ends find them, and what fires anew is of today."""
    service = make_service()
    today = service.source, service.config
    service.source, service.config = first_release.extracted() / "src", first_release.extracted() / "gunicorn.conf.py"
    service.start()
    for number in range(_THREADS):
        assert service.send(sent(number, FIRED)).ok
    service.wait_until_delivered()
    before = {root.ts: root for root in workspace.roots(CHANNEL)}
    assert len(before) == _THREADS
    service.stop() if how is signal.SIGTERM else service.kill()

    service.source, service.config = today
    service.start()
    for number in range(_THREADS):
        assert service.send(sent(number, FIRED)).ok
    service.wait_until_delivered()
    assert {root.ts: root for root in workspace.roots(CHANNEL)} == before  # an upgrade edits nothing

    for number in range(_THREADS):
        assert service.send(sent(number, RESOLVED)).ok
        assert service.send(sent(number, RESOLVED)).ok  # an HA peer says so too
    service.wait_until_delivered()
    roots = {root.ts: root for root in workspace.roots(CHANNEL)}
    assert roots.keys() == before.keys()
    assert {root.attachments[0]["color"] for root in roots.values()} == {GREEN}

    assert service.send(sent(0, FIRED)).ok
    service.wait_until_delivered()
    (new,) = [root for root in workspace.roots(CHANNEL) if root.ts not in before]
    assert new.attachments[0]["color"] == RED
    assert "staging" in new.text
