"""The real service as a process of its own, for as long as a ``with`` block: as an operator would run it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from alert_threader.cli.faults import CommandError
from alert_threader.settings.settings import SETTINGS

#: How long the service may take to start, and to stop before it is killed, in seconds.
_START = 20.0
_STOP = 15.0
_POLL = 0.1
#: Alertmanager waits as long for an answer, in seconds.
_TIMEOUT = 10
#: How much of the log explains a fault, in lines.
_LOG_LINES = 10
#: What would change the service from outside: our settings, gunicorn's own, and proxies, which the Slack SDK asks even
#: for this machine.
_NOT_INHERITED = {
    *(name for setting in SETTINGS for name in (setting.name, f"{setting.name}_FILE")),
    *("CREDENTIALS_DIRECTORY", "GUNICORN_CMD_ARGS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
}


class LocalService:
    """A service on this machine; ``url`` is where it listens."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        """Take its settings, which must name host and port, and the file that its log goes to."""
        self.url = f"http://{settings['BIND_HOST']}:{settings['BIND_PORT']}"
        self._settings = settings
        self._log = log
        self._session = requests.Session()
        # No proxy, no ~/.netrc: it is this machine.
        self._session.trust_env = False

    def __enter__(self) -> Self:
        """Start it; it is not ready yet."""
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in _NOT_INHERITED}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "python:alert_threader.server"],
                env={**inherited, **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A terminal's Ctrl-C is for us alone: we end the service before the Slack that it speaks to.
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, as gently as it lets us."""
        self._session.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, is_ending: Callable[[float], bool]) -> bool:
        """Wait until it answers; ``is_ending`` waits so many seconds and says whether to give up.

        False if that was so. Raises CommandError, with the end of the log, if it does not come up.
        """
        until = time.monotonic() + _START
        while self.health() is None:
            if self._process.poll() is not None:
                raise self.fault("the service did not start")
            if time.monotonic() > until:
                raise self.fault(f"the service did not start within {_START:.0f} s")
            if is_ending(_POLL):
                return False
        return True

    def health(self) -> dict[str, object] | None:
        """What it says of itself, or None while it takes no alerts."""
        try:
            response = self._session.get(f"{self.url}/health", timeout=_TIMEOUT)
            health: dict[str, object] | None = response.json() if response.ok else None
            return health
        except requests.RequestException:
            return None

    def send(self, body: object) -> list[dict[str, str]]:
        """Send a webhook and return the answer's results. Raises CommandError, with the end of the log."""
        try:
            response = self._session.post(f"{self.url}/alert", json=body, timeout=_TIMEOUT)
            response.raise_for_status()
            results: list[dict[str, str]] = response.json()["results"]
            return results
        except requests.RequestException as error:
            raise self.fault(f"the service did not take an alert ({error})") from None

    def fault(self, what: str) -> CommandError:
        """An error that shows the log's last lines."""
        lines = self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        return CommandError("\n  ".join([f"{what}; its log ends with:", *lines]))
