"""The image as it runs: any user, a root that cannot be written, no capabilities; and what ends it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.service import CHANNEL, Background, wait_for
from harness.story import GREEN, assert_delivered, root_of
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox.workspace import Workspace
from tests.container.kit import LOCKED, STATE, USER, Container


def test_it_serves_with_nothing_that_it_does_not_need(service: Container, workspace: Workspace) -> None:
    """Any user ID, a root that cannot be written, no capability: a webhook becomes a thread all the same."""
    service.send(webhook("DiskFull"))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED]})
    assert service.is_healthy()
    # As it was asked for.
    status = dict(line.split(":\t", 1) for line in service.exec("cat", "/proc/1/status").stdout.splitlines())
    assert status["Uid"].split() == [USER] * 4
    assert status["Gid"].split() == ["0"] * 4
    assert (int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, "1")
    assert service.exec("touch", "/opt/alert-threader/new").returncode == 1
    assert service.exec("sh", "-c", ">/new").returncode != 0


def test_it_is_the_first_process(service: Container) -> None:
    """No shell stands between it and a signal, and it says that anybody can reach it."""
    program = service.exec("cat", "/proc/1/cmdline").stdout.split("\0")[0]
    assert program.startswith("/opt/alert-threader/bin/python")
    assert "anyone who can reach 0.0.0.0 port 9009 can post to Slack" in service.log


def test_secrets_are_files(make: Callable[..., Container], workspace: Workspace, token_file: Path) -> None:
    """A token that is mounted is read, and WEBHOOK_TOKEN_FILE ends the warning."""
    service = make(
        SLACK_BOT_TOKEN="", SLACK_BOT_TOKEN_FILE="/run/secrets/token", WEBHOOK_TOKEN_FILE="/run/secrets/token"
    )
    service.options = (*LOCKED, f"--volume={token_file}:/run/secrets/token:ro")
    service.start()
    assert service.request("POST", "/alert", webhook("DiskFull")).status == 401
    assert "anyone who can reach" not in service.log
    assert service.exec("alert-threader", "send-test").returncode == 0
    assert len(workspace.messages(CHANNEL)) == 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--read-only", "--read-only-tmpfs=false", f"--user={USER}"), id="no /tmp"),
        pytest.param(("--read-only", "--read-only-tmpfs=false"), id="the image's user"),
        pytest.param((f"--user={USER}:{USER}", "--group-add=0"), id="group 0 beside another"),
        pytest.param(("--user=0",), id="root"),
    ],
)
def test_it_writes_only_into_its_volume(
    make: Callable[..., Container], workspace: Workspace, options: tuple[str, ...]
) -> None:
    """Whoever it runs as, it leaves nothing elsewhere, even where it could."""
    service = make()
    service.options = options
    service.command = ("--version",)
    service.launch()
    assert service.exit_code == 0
    others = service.changes
    service.discard()
    service.command = ()
    service.start()
    service.send(webhook("DiskFull"))
    service.wait_until_delivered()
    assert service.exec("alert-threader", "health").stdout == "healthy\n"
    assert len(workspace.messages(CHANNEL)) == 1
    assert service.stop() == 0
    # What podman changes for every container, and where temporary files were.
    assert service.changes - others - {"C /tmp"} == set()


def test_stop_ends_the_call_under_way(service: Container, workspace: Workspace) -> None:
    """TERM: the post that Slack has not answered yet is waited for, the exit code is 0, and the next start goes on."""
    workspace.faults.add("hang_after", method="chat.postMessage", seconds=1.5, count=1)
    sending = Background(lambda: service.request("POST", "/alert", webhook("DiskFull")))
    wait_for(lambda: workspace.messages(CHANNEL), 5)
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 10
    sending.finish()
    service.start()
    service.send(webhook("DiskFull", {"db01": RESOLVED}))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED, RESOLVED]})


def test_kill_loses_nothing(service: Container, workspace: Workspace) -> None:
    """KILL: what was taken is delivered after the next start, and its threads go on."""
    service.send(webhook("DiskFull"))
    service.wait_until_delivered()
    workspace.faults.add("http", method="chat.postMessage", status=503)
    service.send(webhook("HighLoad"))
    service.kill()
    assert service.exit_code == 137
    workspace.faults.clear()
    service.start()
    service.send(webhook("DiskFull", {"db01": RESOLVED}))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED, RESOLVED], print_of("HighLoad"): [FIRED]})


def test_a_new_container_takes_over_the_volume(service: Container, workspace: Workspace) -> None:
    """An upgrade is a new container: it goes on with what the one before left in the volume."""
    service.send(webhook("DiskFull"))
    service.stop()
    service.discard()
    service.start()
    service.send(webhook("DiskFull", {"db01": RESOLVED}))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("DiskFull"): [FIRED, RESOLVED]})
    assert root_of(workspace, CHANNEL, key("DiskFull")).color == GREEN


def test_one_container_for_a_volume(service: Container) -> None:
    """A second one on the same volume ends with one line that says why; the first goes on."""
    second = service.run("serve")
    assert second.returncode == 1
    assert "one process owns a file store" in second.stderr.splitlines()[-1]
    service.send(webhook("DiskFull"))


def test_healthy_while_slack_is_away(make: Callable[..., Container]) -> None:
    """Without Slack alerts are stored: the container is healthy, and says what is wrong."""
    service = make(SLACK_API_URL="http://127.0.0.1:1/api/")
    service.start()
    service.send(webhook("DiskFull"))
    assert service.is_healthy()
    assert service.exec("alert-threader", "health").stdout.startswith("degraded: ")


def test_unhealthy_where_nothing_is_served(make: Callable[..., Container]) -> None:
    """A container in which nobody takes alerts is unhealthy."""
    service = make()
    service.command = ("sandbox",)
    service.launch()
    assert not service.is_healthy()
    ended = service.exec("alert-threader", "health")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nothing answers at http://127.0.0.1:9009" in ended.stderr


def test_commands_in_the_container(service: Container) -> None:
    """`check` and `backup` work beside the service, as the documentation has them."""
    assert "FAIL" not in service.exec("alert-threader", "check").stdout
    ended = service.exec("alert-threader", "backup", f"{STATE}/backups/", "--keep", "14")
    assert ended.returncode == 0, ended.stderr
