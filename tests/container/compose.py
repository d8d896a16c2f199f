"""compose.yaml, run as it is: with podman-compose, on stand-ins for the images that a registry would have."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.containers import Podman
from harness.images import stand_in
from harness.service import CHANNEL, ROOT, wait_for
from tests.container.kit import PORT, SLACK_PORT, request

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())

#: How long containers may take until something happens, in seconds.
PATIENCE = 30.0
TOKEN = "webhook-secret"
_SUBNET = "10.90"
#: Where Slack is, in the network of the name "default".
SLACK = f"http://{_SUBNET}.0.1:{SLACK_PORT}/api/"
#: What the official images set.
_REDIS = (
    "RUN echo redis:x:999:999::/data:/bin/sh >>/etc/passwd && install -d -o 999 /data",
    *("WORKDIR /data", "VOLUME /data", 'CMD ["redis-server"]'),
)
_ALERTMANAGER = (
    "RUN install -d -o nobody /alertmanager",
    *("USER nobody", "WORKDIR /alertmanager", "VOLUME /alertmanager", 'ENTRYPOINT ["/bin/alertmanager"]'),
    'CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]',
)


class Compose:
    """A folder with compose.yaml and what belongs to it, as after `git clone`, and one of the profiles."""

    def __init__(self, podman: Podman, folder: Path, profile: str) -> None:
        self.folder = folder
        self.options: Sequence[str] = ()
        self._podman = podman
        self._profile = profile
        shutil.copytree(ROOT / "deploy" / "compose", folder / "deploy" / "compose")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of it, which must succeed."""
        program = Path(sys.executable).with_name("podman-compose")
        return self._podman.run([program, *self.options, *arguments], cwd=self.folder)

    def install(self) -> None:
        """Write settings and secrets as the documentation has them."""
        (self.folder / ".env").write_text(f"COMPOSE_PROFILES={self._profile}\nSLACK_CHANNEL={CHANNEL}\n")
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700)
        for name, secret in (("slack_bot_token", "xoxb-sandbox"), ("webhook_token", TOKEN)):
            (secrets / name).write_text(f"{secret}\n")
            (secrets / name).chmod(0o644)

    def up(self, **environment: str) -> None:
        """Start everything, with more settings for the service."""
        described = located(COMPOSE, self._profile)
        for name in ("alert-threader", "alert-threader-1", "alert-threader-2"):
            described["services"][name]["environment"].update(environment)
        (self.folder / "compose.yaml").write_text(yaml.safe_dump(described))
        self("up", "--detach", "--no-build")

    def send(self, body: object, port: int = PORT) -> None:
        """Send a webhook, which must be taken."""
        answer = self._podman.ask(lambda: request(port, "POST", "/alert", body, TOKEN))
        assert answer.ok, answer

    def wait_until_served(self, *ports: int) -> None:
        """Wait until the service answers at each of these ports."""
        for port in ports:
            wait_for(lambda port=port: self._is_served(port), PATIENCE, self.logs)  # type: ignore[misc]

    def logs(self) -> str:
        """What everything logged."""
        ended = self("logs")
        return ended.stdout + ended.stderr

    def _is_served(self, port: int) -> bool:
        try:
            return self._podman.ask(lambda: request(port, "GET", "/health")).ok
        except OSError:
            return False


def located(compose: dict[str, Any], profile: str) -> dict[str, Any]:
    """The same with fixed addresses and hosts files instead of a name server: Debian 12's now and then falls silent.

    A name that nobody has in a shared network is not found here either.
    """
    # A copy in which nothing is shared.
    compose = json.loads(json.dumps(compose))
    services = [(name, each) for name, each in compose["services"].items() if profile in each["profiles"]]
    hosts: dict[str, list[str]] = {}
    for number, (network, described) in enumerate(compose["networks"].items()):
        subnet = {"ipam": {"config": [{"subnet": f"{_SUBNET}.{number}.0/24"}]}, "x-podman.disable_dns": True}
        compose["networks"][network] = {**(described or {}), **subnet}
        for place, (name, service) in enumerate(services, start=10):
            joined = service.get("networks", ["default"])
            service["networks"] = joined if isinstance(joined, dict) else {each: {} for each in joined}
            if network in service["networks"]:
                address = f"{_SUBNET}.{number}.{place}"
                options = service["networks"][network] or {}
                service["networks"][network] = {**options, "ipv4_address": address}
                names = (name, *options.get("aliases", ()))
                hosts.setdefault(network, []).extend(f"{each}:{address}" for each in names)
    for _, service in services:
        service["extra_hosts"] = [host for network in service["networks"] for host in hosts[network]]
    return compose


def make_stand_ins(podman: Podman, folder: Path) -> None:
    """Make images for Redis and Alertmanager, of the names in compose.yaml."""
    services = COMPOSE["services"]
    stand_in(podman, folder / "redis", services["redis"]["image"], ["redis-server", "redis-cli"], *_REDIS)
    # Debian's build reads its templates from there.
    templates = "/usr/share/prometheus/alertmanager"
    programs = ["prometheus-alertmanager=alertmanager", "amtool", templates]
    stand_in(podman, folder / "alertmanager", services["alertmanager"]["image"], programs, *_ALERTMANAGER)
