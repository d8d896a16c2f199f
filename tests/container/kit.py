"""A container of the project's image, run with no more than it needs."""

import http.client
import json
import subprocess
from collections.abc import Sequence

from harness.containers import Podman
from harness.servers import HOST
from harness.service import CHANNEL, Answer, wait_for

#: Some user ID that no image knows; its group is 0, as where a platform chooses it.
USER = "12345"
STATE = "/var/lib/alert-threader"
SLACK_PORT = 8065
PORT = 9009
_STARTING = 20.0

#: What takes from a container whatever it can do without. Podman would mount more folders in memory by itself.
LOCKED: Sequence[str] = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp"),
    *("--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}"),
)


class Container:
    """One installation: its volume and its settings stay, the processes come and go."""

    def __init__(self, podman: Podman, image: str, **settings: str) -> None:
        """Take the settings that differ; Slack is at the network's gateway."""
        self.name = "service"
        self.volume = "service-state"
        #: Podman's options, and what the image is asked to do.
        self.options: Sequence[str] = LOCKED
        self.command: Sequence[str] = ()
        self._podman = podman
        self._image = image
        self.settings = {
            "SLACK_API_URL": f"http://{gateway(podman)}:{SLACK_PORT}/api/",
            "SLACK_BOT_TOKEN": "xoxb-sandbox",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_TIMEOUT": "2s",
            "GRACEFUL_TIMEOUT": "10s",
            **settings,
        }

    def launch(self) -> None:
        """Run it, in the background."""
        settings = (f"--env={name}={value}" for name, value in self.settings.items() if value)
        self._podman(
            *("run", "--detach", f"--name={self.name}", f"--publish={HOST}:{PORT}:{PORT}", "--stop-timeout=15"),
            *(f"--volume={self.volume}:{STATE}", *self.options, *settings, self._image, *self.command),
        )

    def start(self) -> None:
        """Run it, for the first time or again, and wait until it answers."""
        if self._podman.run(["podman", "container", "exists", self.name], check=False).returncode == 0:
            self._podman("start", self.name)
        else:
            self.launch()
        wait_for(self._answers, _STARTING, lambda: self.log)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the image in a container of its own, on the same volume, until it ends."""
        settings = (f"--env={name}={value}" for name, value in self.settings.items() if value)
        volume = f"--volume={self.volume}:{STATE}"
        return self._podman.run(
            ["podman", "run", "--rm", volume, *self.options, *settings, self._image, *command], check=False
        )

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return self._podman.run(["podman", "exec", self.name, *command], check=False)

    def stop(self) -> int:
        """End it as docker does: its STOPSIGNAL, and after a while KILL. Return its exit code."""
        self._podman("stop", self.name)
        return self.exit_code

    def kill(self) -> None:
        """End all of its processes at once."""
        self._podman("kill", self.name)
        self._podman("wait", self.name)

    def discard(self) -> None:
        """Remove the container; its volume stays."""
        self._podman("rm", "--force", "--time=0", "--ignore", self.name)

    def remove(self) -> None:
        """Remove it, and its volume."""
        self.discard()
        self._podman("volume", "rm", "--force", self.volume)

    def is_healthy(self) -> bool:
        """What its HEALTHCHECK finds."""
        return self._podman.run(["podman", "healthcheck", "run", self.name], check=False).returncode == 0

    @property
    def exit_code(self) -> int:
        """How it ended, once it has."""
        return int(self._podman("wait", self.name))

    @property
    def changes(self) -> set[str]:
        """What was written outside of its mounts: ``A /path`` is new, ``C /path`` has changed, ``D /path`` is gone."""
        return set(self._podman("diff", self.name).splitlines())

    @property
    def log(self) -> str:
        """What it logged."""
        logs = self._podman.run(["podman", "logs", self.name])
        return logs.stdout + logs.stderr

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Ask it, at the port that it publishes. Raises OSError or HTTPException where there is no answer."""
        return self._podman.ask(lambda: request(PORT, method, path, body))

    def send(self, body: object) -> None:
        """Send a webhook, which must be taken."""
        answer = self.request("POST", "/alert", body)
        assert answer.ok, answer

    def wait_until_delivered(self) -> None:
        """Wait until nothing is pending."""
        wait_for(lambda: self.request("GET", "/health").json["pending"] == 0, _STARTING, lambda: self.log)

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/health").ok
        except (OSError, http.client.HTTPException):
            return False


def gateway(podman: Podman) -> str:
    """Where a container finds what listens outside of containers."""
    network = json.loads(podman("network", "inspect", "podman"))
    return str(network[0]["subnets"][0]["gateway"])


def request(port: int, method: str, path: str, body: object = None, token: str = "") -> Answer:
    """Ask whoever publishes this port. Only where the containers are (``Podman.ask``) is there anybody."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request(method, path, json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))
    finally:
        connection.close()
