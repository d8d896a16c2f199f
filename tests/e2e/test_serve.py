"""``alert-threader serve``: the process that is started is gunicorn's master, whatever signal it gets."""

import subprocess
import sys
from pathlib import Path

from harness.service import Service, wait_for
from harness.webhooks import webhook
from slack_sandbox import SandboxServer


class Served(Service):
    """A service that is started with the command."""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it in a folder of its own, where nothing of ours lies."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "alert_threader", "serve"],
                cwd=elsewhere,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._process


def test_signals(slack: SandboxServer, tmp_path: Path) -> None:
    """HUP replaces the worker, and TERM stops with 0: both reach the process that was started."""
    service = Served(tmp_path / "served", SLACK_API_URL=slack.api_url)
    service.start()
    try:
        assert service.send(webhook("Before")).status == 200
        before = service.workers
        service.reload()
        wait_for(lambda: bool(service.workers) and not set(service.workers) & set(before), 20, lambda: service.log)
        wait_for(service.answers_health, 20)
        assert service.send(webhook("After")).status == 200
        service.stop()
    finally:
        service.close()


def test_wrong_settings(slack: SandboxServer, tmp_path: Path) -> None:
    """A line for each fault, exit code 1, and no traceback."""
    service = Served(tmp_path / "served", SLACK_API_URL=slack.api_url, SLACK_CHANNEL="#alerts", BIND_PORT="x")
    process = service.launch()
    assert process.wait(30) == 1
    assert "alert-threader cannot start, the settings are wrong:" in service.log
    assert "SLACK_CHANNEL: '#alerts' is not allowed" in service.log
    assert "BIND_PORT: 'x' is not allowed" in service.log
    assert "Traceback" not in service.log


def test_another_folder_does_not_matter(slack: SandboxServer, tmp_path: Path) -> None:
    """A gunicorn.conf.py that lies where it is started is not read."""
    service = Served(tmp_path / "served", SLACK_API_URL=slack.api_url)
    (service.folder / "elsewhere").mkdir()
    (service.folder / "elsewhere/gunicorn.conf.py").write_text("raise SystemExit('read')\n")
    service.start()
    service.stop()
    assert [path.name for path in (service.folder / "elsewhere").iterdir()] == ["gunicorn.conf.py"]
