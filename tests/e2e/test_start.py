"""What a start says, and where it works all the same."""

from collections.abc import Callable
from pathlib import Path

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
        assert said in service.log
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
