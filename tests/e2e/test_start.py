"""What a start says, and where it works all the same."""

from collections.abc import Callable

from harness.service import Service

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
