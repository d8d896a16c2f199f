"""What of an installation needs no machine of its own: scripts, units, Alertmanager's configuration."""

import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.network import Listener, answers, authority
from slack_sandbox import SandboxServer
from tests.install.box import ROOT, unusable

SCRIPTS = ("install.sh", "smoke-test.sh", "setup-redis.sh", "bin/alert-threader", "bin/back-off")
UNITS = ("alert-threader.service", "alert-threader-backup.service", "alert-threader-backup.timer")


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck(script: str) -> None:
    """Nothing is found in a script."""
    if shutil.which("shellcheck") is None:
        unusable("shellcheck is missing")
    ended = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("script", ["install.sh", "smoke-test.sh"])
def test_help(script: str) -> None:
    """--help is the comment that the script begins with, and names every option."""
    ended = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"^      (--[a-z-]+)\)", (ROOT / script).read_text(), re.MULTILINE))
    assert options - set(re.findall(r"--[a-z-]+", ended.stdout)) == set()
    assert "Exit codes:" in ended.stdout


def test_units_know_old_systemd() -> None:
    """No directive is newer than Ubuntu 22.04's systemd 249, which would only warn and leave it out."""
    newer = "RestartSteps|RestartMaxDelaySec|RestartMode|ImportCredential|MemoryZSwapMax|ExtensionDirectories"
    for unit in UNITS:
        assert not re.search(f"^({newer})=", (ROOT / "systemd" / unit).read_text(), re.MULTILINE)


def test_alertmanager_takes_its_configuration() -> None:
    """No fault is found in it."""
    if shutil.which("amtool") is None:
        unusable("amtool is missing")
    command = ["amtool", "check-config", str(ROOT / "alertmanager-threader.yml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "1 inhibit rules\n - 2 receivers" in ended.stdout


def test_back_off(tmp_path: Path) -> None:
    """The waits grow to a minute; a stop that was asked for, and a run of ten minutes, begin anew."""
    sleep = tmp_path / "sleep"
    sleep.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/waits\n")
    sleep.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir()
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNTIME_DIRECTORY": str(state)}

    def run(what: str, result: str = "") -> None:
        command = [str(ROOT / "bin" / "back-off"), what]
        subprocess.run(command, env={**path, "SERVICE_RESULT": result}, check=True, capture_output=True)

    def waits() -> list[int]:
        """The waits since the last look, in seconds."""
        file = tmp_path / "waits"
        shown = [int(line) for line in file.read_text().split()] if file.exists() else []
        file.unlink(missing_ok=True)
        return shown

    for _ in range(9):
        run("wait")
        run("note", "exit-code")
    assert waits() == [1, 2, 4, 8, 16, 60, 60]
    os.utime(state / "started", (0, 0))
    run("note", "signal")
    run("wait")
    assert waits() == []
    run("note", "signal")
    run("wait")
    assert waits() == [1]
    run("note", "success")
    run("wait")
    assert waits() == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HTTPS_PROXY", "http://proxy.example.com:3128", ""),
        ("HTTPS_PROXY", "http://me:secret-pw@proxy.example.com:3128", "HTTPS_PROXY: a password belongs in /etc/"),
        ("NO_PROXY", "slack-gateway.example.com", ""),
        ("SSL_CERT_FILE", "{folder}/ca.pem", ""),
        ("SSL_CERT_FILE", "{folder}/none.pem", "SSL_CERT_FILE: '{folder}/none.pem' is no PEM file with certificates"),
        ("SSL_CERT_FILE", "/etc/passwd", "SSL_CERT_FILE: '/etc/passwd' is no PEM file with certificates"),
        ("SSL_CERT", "x", "SSL_CERT: there is no such setting"),
        ("SLACK_RATE", "1", ""),
        ("SLACK_RATE", "fast", "SLACK_RATE: 'fast' is not allowed: "),
        ("SLACK_BOT_TOKEN", "xoxp-secret-pw", "SLACK_BOT_TOKEN: a value of 14 characters is not allowed: "),
        # What they need of each other shows when all are known.
        ("ALERTMANAGER_URL", "http://am-0:9093,http://am-1:9093", ""),
        ("ALERTMANAGER_URL", "am-0:9093", "ALERTMANAGER_URL: 'am-0:9093' is not allowed: "),
        ("ALERTMANAGER_USER", "alert-threader", ""),
        ("ALERTMANAGER_PASSWORD", "secret-pw", ""),
        ("ALERTMANAGER_TOKEN", "secret-pw-secret-pw", ""),
        ("GONE_AFTER", "10m", ""),
        ("GONE_AFTER", "soon", "GONE_AFTER: 'soon' is not allowed: "),
        ("PROTECT_METRICS", "yes", ""),
    ],
)
def test_a_setting_by_itself(tmp_path: Path, name: str, value: str, said: str) -> None:
    """``--set`` takes what can be right, also for a company's network, and says what cannot."""
    authority(tmp_path, "slack.test")
    alone = r"""
        SOURCE=$1 python=python3
        eval "$(sed -n '/^fault_of() {/,/^}/p; /^of_source() {/,/^}/p' "$SOURCE/install.sh")"
        fault_of "$2" "$3"
    """
    value = value.format(folder=tmp_path)
    command = ["bash", "-c", alone, "-", str(ROOT), name, value]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.stdout.startswith(said.format(folder=tmp_path))
    assert bool(ended.stdout) == bool(said)
    assert "secret-pw" not in ended.stdout


def test_token_is_tested_where_slack_is_alone() -> None:
    """Whatever stands in Slack's place sends the token to nobody else."""
    alone = r"""
        SOURCE=$1 python=python3 offline=false
        declare -A wanted=([SLACK_API_URL]=$2)
        eval "$(sed -n '/^ask_slack() {/,/^}/p; /^of_source() {/,/^}/p' "$SOURCE/install.sh")"
        ask_slack xoxb-sandbox-1
    """
    with ExitStack() as stack:
        other = stack.enter_context(Listener(answers(200, body='{"ok": true}')))
        moved = stack.enter_context(Listener(answers(302, f"Location: http://127.0.0.1:{other.port}/")))
        sandbox = stack.enter_context(SandboxServer())
        said = [
            subprocess.run(["bash", "-c", alone, "-", ROOT, url], capture_output=True, text=True, check=False).stdout
            for url in (sandbox.api_url, f"http://127.0.0.1:{moved.port}/api/")
        ]
    assert said[0].startswith("Slack knows the token")
    assert said[1].startswith("Slack cannot be reached (302)")
    assert other.heads == []
