"""What ``install.sh`` refuses, and that nothing is left of it, on a Debian with systemd (see box.py)."""

import pytest

from tests.install.kit import (
    INSTALL,
    LIST_BEFORE,
    LIST_CHANGED,
    STATUS,
    UNPRIVILEGED,
    Place,
    Played,
    preparation,
    said,
    stopped_at,
)
from tests.install.story import tell


@pytest.fixture(scope="module")
def refused(place: Place) -> Played:
    """One refusal after the other."""
    answers = place.answers()
    here = {
        **preparation(),
        "not root": """
            cp -r /root/clone /tmp/clone; setpriv --reuid 65534 /tmp/clone/install.sh; code=$?
            rm -r /tmp/clone; exit $code""",
        "before": LIST_BEFORE,
        "unknown argument": f"{INSTALL} --frobnicate",
        "token as argument": f"{INSTALL} --token xoxb-an-argument",
        "secret as setting": f"{INSTALL} --set SLACK_BOT_TOKEN=xoxb-an-argument",
        "unknown setting": f"{INSTALL} {answers} --set SLACK_CHANEL=x",
        "wrong channel": f"{INSTALL} {answers} --channel '#alerts'",
        "wrong address": f"{INSTALL} {answers} --listen 9009",
        "no channel": f"{INSTALL} --non-interactive --token-file /root/token --set SLACK_API_URL={place.slack.api_url}",
        "no terminal": INSTALL,
        "token refused": f"{INSTALL} {answers} --token-file <(echo xoxb-of-somebody-else)",
        "no slack": f"{INSTALL} {answers} --set SLACK_API_URL=http://127.0.0.1:1/",
        "port taken": f"{INSTALL} {answers} --listen {place.slack_address}",
        "low port": f"{INSTALL} {answers} --listen 127.0.0.1:80",
        "settings at odds": f"{INSTALL} {answers} --set SLACK_TIMEOUT=60s",
        "status before": STATUS,
        "uninstall before": f"{INSTALL} --uninstall",
        "dry run": f"{INSTALL} {answers} --dry-run",
        "empty wheelhouse": f"mkdir /root/none; {INSTALL} {answers} --wheelhouse /root/none",
        "half-way": f"""
            touch /var/lib/alert-threader; {INSTALL} {answers}; code=$?; rm /var/lib/alert-threader; exit $code""",
        "after refusals": LIST_CHANGED,
    }  # fmt: skip
    return Played(tell(here), place)


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("not root", 1, "run it as root: sudo ./install.sh"),
        ("unknown argument", 2, "unknown argument '--frobnicate'"),
        ("token as argument", 2, "--token: every user can see arguments: put it into a file"),
        ("secret as setting", 2, "--set SLACK_BOT_TOKEN: every user can see arguments"),
        ("unknown setting", 2, "SLACK_CHANEL: there is no such setting"),
        ("wrong channel", 2, "SLACK_CHANNEL: '#alerts' is not allowed: must be a channel ID such as C0123456789"),
        ("wrong address", 2, "--listen: '9009' is no address: use one like 127.0.0.1:9009"),
        ("no channel", 1, "SLACK_CHANNEL is not given"),
        ("no terminal", 1, "there is no terminal to ask at: use --non-interactive"),
        ("token refused", 1, "Slack refuses the token (invalid_auth): copy the Bot User OAuth Token again"),
        ("no slack", 1, "Slack cannot be reached ("),
        ("settings at odds", 1, "GRACEFUL_TIMEOUT: must exceed SLACK_TIMEOUT"),
        ("status before", 1, "alert-threader is not installed: run install.sh"),
        ("empty wheelhouse", 1, "pip cannot install the requirements: ERROR: Could not find"),
    ],
)
def test_is_one_line(refused: Played, name: str, code: int, line: str) -> None:
    """What is wrong is said in one line, with what to do about it."""
    assert stopped_at(refused[name], code).startswith(line)


def test_address_in_use(refused: Played) -> None:
    """An address that another program listens on is found out before anything is changed."""
    line = stopped_at(refused["port taken"])
    assert line.endswith("cannot be listened on (address already in use): choose another address")


@pytest.mark.skipif(UNPRIVILEGED <= 80, reason="every user may listen on port 80 here")
def test_port_of_root(refused: Played) -> None:
    """A port that only root can listen on, which the service is not, is found out as well."""
    line = stopped_at(refused["low port"])
    assert line == f"port 80 is for root, which the service is not: choose {UNPRIVILEGED} or more"


def test_changes_nothing(refused: Played) -> None:
    """Neither a refusal nor a dry run leaves a file or a user behind."""
    assert said(refused["after refusals"]) == []


def test_half_way(refused: Played) -> None:
    """What cannot be put in place to its end is taken away again, and that is said."""
    step = refused["half-way"]
    assert step.code == 1
    assert step.err.splitlines()[-1] == "install.sh: this failed: everything new has been removed"


def test_dry_run(refused: Played) -> None:
    """It names each change."""
    shown = said(refused["dry run"])
    assert shown[-1] == "  nothing is changed (--dry-run)"
    for change in ("add the system user alert-threader", "write /etc/alert-threader/credentials/slack_bot_token"):
        assert any(line.startswith(f"  would {change}") for line in shown)


def test_nothing_to_remove(refused: Played) -> None:
    """Where nothing is installed, that is what is said."""
    assert said(refused["uninstall before"]) == ["  alert-threader is not installed: nothing to remove"]
