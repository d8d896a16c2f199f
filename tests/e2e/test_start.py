"""What a start says, and where it works all the same."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.servers import RedisCluster
from harness.service import Service
from harness.webhooks import webhook
from slack_sandbox.workspace import Workspace

MakeService = Callable[..., Service]


def test_misspelt_setting(make_service: MakeService) -> None:
    """It is named in one line, without its value, and does not keep the service from its work."""
    service = make_service(SLACK_BOT_TOKN="s3cret-value", REDIS_PORT_6379_TCP="tcp://10.0.0.1:6379")
    service.start()
    (line,) = [line for line in service.log.splitlines() if "did you mean" in line]
    assert "WARNING" in line
    assert line.endswith("some settings are not read: SLACK_BOT_TOKN: did you mean SLACK_BOT_TOKEN?")
    assert "s3cret-value" not in service.log
    assert service.health["status"] == "healthy"


def test_misspelt_setting_among_faults(make_service: MakeService) -> None:
    """Where the service cannot start without it, it stands beside the fault that it explains."""
    service = make_service(SLACK_CHANNEL="", SLACK_CHANEL="C0123456789")
    assert service.launch().wait(20) == 1
    told = service.log.splitlines()
    assert told[0] == "alert-threader cannot start, the settings are wrong:"
    assert [line.partition(":")[0] for line in told[1:]] == ["SLACK_CHANNEL", "SLACK_CHANEL"]


def test_redis_in_cluster_mode(make_service: MakeService, tmp_path: Path, workspace: Workspace) -> None:
    """Without a hash tag in the prefix the start says what every webhook is answered, and ``/health`` too.

    With one, alerts are stored and delivered.
    """
    with RedisCluster(tmp_path / "cluster") as cluster:
        settings = {"THREAD_STORE": "redis", "REDIS_URL": cluster.url, "WEB_CONCURRENCY": "2"}
        service = make_service("untagged", **settings)
        service.start()
        said = "Redis is in cluster mode: set REDIS_KEY_PREFIX={threader}:ts"
        assert service.log.count(f"nothing can be stored now: {said}") == 1
        assert service.get("/health").status == 503
        assert said in service.health["problems"][0]
        refused = service.send(webhook("Alert"))
        assert refused.status == 503
        assert said in refused.error
        service.stop()

        service = make_service("tagged", **settings, REDIS_KEY_PREFIX="{threader}:ts")
        service.start()
        assert service.send(webhook("Alert")).ok
        service.wait_until_delivered()
        assert service.health["status"] == "healthy"
        assert len(workspace.roots(service.settings["SLACK_CHANNEL"])) == 1
        assert "cluster mode" not in service.log
        service.stop()


#: Nothing can be written but what stands in the first argument, there and as /mnt; the user has no name and no home.
#: It may read as root does, so that it gets at the code wherever that is.
CONFINED = """
set -e
mount --make-rprivate /
mount --bind "$1" /mnt
for folder in / /tmp /var/tmp $2; do
  mount --bind "$folder" "$folder"
  mount -o remount,bind,ro "$folder"
done
shift 2
exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search "$@"
"""


@pytest.fixture(params=["", "/dev/shm"], ids=["memory", "no memory"])
def confined(request: pytest.FixtureRequest, tmp_path: Path, make_service: MakeService) -> Service:
    """A service on a read-only root, as some uid; with or without a folder in memory."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 54321, 54321)
    wrapper = ["unshare", "--mount", "sh", "-c", CONFINED, "sh", str(state), request.param]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    service = make_service(THREAD_STORE_FILE="/mnt/threads.json", HOME="/nonexistent", XDG_RUNTIME_DIR="", TMPDIR="")
    service.wrapper = wrapper
    return service


def test_read_only_root(confined: Service, workspace: Workspace) -> None:
    """Nowhere a temporary folder and no name for the user: the state folder, or memory, is enough."""
    confined.start()
    assert confined.send(webhook("Alert")).ok
    confined.wait_until_delivered()
    confined.wait_healthy()
    assert len(workspace.roots(confined.settings["SLACK_CHANNEL"])) == 1
    confined.stop()
    command = [*confined.wrapper, sys.executable, "-m", "alert_threader", "check"]
    checked = subprocess.run(command, env=confined.environ, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


@pytest.mark.parametrize("confined", ["/dev/shm"], indirect=True)
def test_nothing_can_be_written(confined: Service) -> None:
    """One line says what is missing."""
    confined.settings["THREAD_STORE_FILE"] = "/var/lib/nowhere/threads.json"
    assert confined.launch().wait(20) == 1
    (line,) = confined.log.splitlines()
    assert line.startswith("alert-threader cannot start: no temporary file can be made")
    assert "set TMPDIR to a folder that can be written" in line


def test_changed_channel(make_service: MakeService, workspace: Workspace) -> None:
    """The channel is archived, another one is set: what waited is delivered there without another webhook.

    So is what follows a first message in the old one, once Slack has said that it is gone.
    """
    service = make_service()
    former, other = service.settings["SLACK_CHANNEL"], "C0OTHER001"
    service.start()
    assert service.send(webhook("Posted")).ok
    service.wait_until_delivered()
    workspace.set_channel(former, "archived")
    assert service.send(webhook("Waiting")).ok
    assert service.send(webhook("Posted", {"db02": "fired"})).ok
    service.wait_degraded("is_archived")
    service.stop()
    service.settings["SLACK_CHANNEL"] = other
    service.start()
    service.wait_until_delivered()
    assert {key.partition("|")[0] for key in service.stored()} == {"Posted", "Waiting"}
    assert len(workspace.roots(other)) == 2
    assert len(workspace.roots(former)) == 1
    said = f"threads that waited for {former}: 1 go to {other}, 1 stay where their first message is"
    assert said in service.log
