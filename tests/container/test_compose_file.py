"""compose.yaml as it is written: what each service may do, what it is told, and when it is started."""

from typing import Any

import pytest

from alert_threader.settings.settings import SETTINGS, Settings
from harness.service import ROOT
from tests.container.compose import COMPOSE

SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "alert-threader"}
SERVED = {name: service for name, service in OURS.items() if "command" not in service}

every = pytest.mark.parametrize("name", SERVICES)
every_served = pytest.mark.parametrize("name", SERVED)


def seconds(text: str) -> int:
    """A duration in seconds."""
    assert text.endswith("s")
    return int(text[:-1])


def test_each_way_to_run_it_is_a_profile() -> None:
    """A profile starts what it needs and nothing else, so that none needs the settings of another."""
    profiles: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for profile in service["profiles"]:
            profiles.setdefault(profile, set()).add(name)
    assert profiles == {
        "file": {"alert-threader"},
        "redis": {"alert-threader-1", "alert-threader-2", "redis"},
        "try": {"alert-threader-try", "sandbox", "alertmanager", "first-alert"},
    }


@every
def test_no_service_can_do_more_than_it_must(name: str) -> None:
    """Nothing is written but into volumes and memory, and no process gets rights that it was not given."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service.get("user") != "root"


@every
def test_only_this_machine_reaches_a_port(name: str) -> None:
    """Docker opens what it publishes to the world, past a firewall's rules, unless an address is named."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@every
def test_images_have_a_version(name: str) -> None:
    """What is pulled is the same tomorrow; what is built here has no version to be pulled by."""
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert (name in OURS) == (not tag)
    assert tag != "latest"


@every
def test_it_starts_again(name: str) -> None:
    """After a crash and after a restart of the machine; the first alert only until it has been sent."""
    assert SERVICES[name]["restart"] == ("on-failure" if name == "first-alert" else "unless-stopped")


@pytest.mark.parametrize("name", OURS)
def test_it_is_built_from_here(name: str) -> None:
    """Each builds the same image, so that `git pull` and `up` are an upgrade."""
    service = OURS[name]
    assert service["build"] == {"context": ".", "dockerfile": "Containerfile"}
    assert (ROOT / service["build"]["dockerfile"]).exists()
    assert service["pull_policy"] == "build"
    assert service["tmpfs"] == ["/tmp"]


@every_served
def test_every_name_is_a_setting(name: str) -> None:
    """The service ignores what it does not know: a misspelt name would be an unset setting."""
    settings = {each.name for each in SETTINGS}
    files = {f"{each.name}_FILE" for each in SETTINGS if each.kind.secret}
    assert set(SERVED[name]["environment"]) <= settings | files


@every_served
def test_the_settings_are_right(name: str) -> None:
    """With a channel in .env and both secrets in place the service starts."""
    service = SERVED[name]
    given = {"SLACK_CHANNEL": "C0123456789", "SLACK_BOT_TOKEN": "xoxb-1", "WEBHOOK_TOKEN": "secret"}
    environ: dict[str, str] = {}
    for setting, value in service["environment"].items():
        if setting.removesuffix("_FILE") in given and setting.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
            environ[setting.removesuffix("_FILE")] = given[setting.removesuffix("_FILE")]
        elif value is not None:
            environ[setting] = value.replace("${ENVIRONMENT:-production}", "production")
        elif setting in given:
            # Without a value compose takes it from .env; what is not there stays unset.
            environ[setting] = given[setting]
    settings = Settings.from_environ(environ)
    assert (settings.thread_store == "redis") == ("redis" in service["profiles"])
    assert settings.environment == "production"
    assert bool(settings.alertmanager_url) == (name == "alert-threader-try")


@every_served
def test_alertmanager_can_be_asked(name: str) -> None:
    """In the profile try it is the one that is there; elsewhere .env may say where it is."""
    given = SERVED[name]["environment"]["ALERTMANAGER_URL"]
    assert given == ("http://alertmanager:9093" if name == "alert-threader-try" else None)
    assert "alertmanager" in SERVICES


@pytest.mark.parametrize("name", [name for name in SERVED if name != "alert-threader-try"])
def test_secrets_are_files(name: str) -> None:
    """No token stands in the environment, where `docker inspect` shows it, nor in a file of the repository."""
    environ = SERVED[name]["environment"]
    assert "SLACK_BOT_TOKEN" not in environ
    assert "WEBHOOK_TOKEN" not in environ
    assert environ["SLACK_BOT_TOKEN_FILE"] == "/run/secrets/slack_bot_token"
    assert environ["WEBHOOK_TOKEN_FILE"] == "/run/secrets/webhook_token"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for secret in SERVED[name]["secrets"]:
        assert COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}"
    assert {"/secrets/", "/.env"} <= set(ignored)


@every_served
def test_there_is_time_to_stop(name: str) -> None:
    """KILL comes later than the service itself gives up."""
    default = next(each.default for each in SETTINGS if each.name == "GRACEFUL_TIMEOUT")
    assert default is not None
    assert "GRACEFUL_TIMEOUT" not in SERVED[name]["environment"]
    assert seconds(SERVED[name]["stop_grace_period"]) >= seconds(default) + 10


@every_served
def test_its_health_is_asked(name: str) -> None:
    """As the image has it; podman-compose would build an image without."""
    health = SERVED[name]["healthcheck"]
    lines = (ROOT / "Containerfile").read_text().splitlines()
    line = next(line for line in lines if line.startswith("HEALTHCHECK"))
    assert f"--interval={health['interval']} --timeout={health['timeout']}" in line
    assert f"--start-period={health['start_period']}" in line
    assert health["test"] == ["CMD", "alert-threader", "health"]


def test_threads_are_kept() -> None:
    """Of each store in a volume with a name, which outlives its containers."""
    assert SERVICES["alert-threader"]["volumes"] == ["state:/var/lib/alert-threader"]
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert {"state", "redis"} == set(COMPOSE["volumes"])
    command = SERVICES["redis"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_redis_is_reached_by_the_replicas_alone() -> None:
    """It asks for no password: no port leads to it, and its network leads nowhere."""
    assert "ports" not in SERVICES["redis"]
    assert SERVICES["redis"]["networks"] == ["redis"]
    assert COMPOSE["networks"]["redis"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "redis" in service.get("networks", ())} == {
        "alert-threader-1",
        "alert-threader-2",
        "redis",
    }
