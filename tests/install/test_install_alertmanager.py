"""``install.sh`` with an Alertmanager to ask, on a Debian with systemd (see box.py); Alertmanager is outside."""

from typing import NamedTuple

import pytest

from harness.members import Member, status
from tests.install.kit import INSTALL, Place, Played, preparation, stopped_at
from tests.install.story import tell

_TOKEN_PARTS = ("alertmanager", "not-to-be-seen")


class Asked(NamedTuple):
    """What came of it, and the member that was asked."""

    played: Played
    member: str


@pytest.fixture(scope="module")
def asked(place: Place) -> Asked:
    """It is set up with an Alertmanager, which then ends."""
    with Member(status("a", "a", "b")) as member:
        options = f"--set ALERTMANAGER_URL={member.url} --set GONE_AFTER=1m"
        options += " --secret-file ALERTMANAGER_TOKEN=/root/alertmanager"
        here = {
            **preparation(),
            "token": f"umask 077; printf '%s-%s\\n' {' '.join(_TOKEN_PARTS)} >/root/alertmanager",
            "at odds": f"{INSTALL} {place.answers('--set GONE_AFTER=1m')}",
            "install": f"{INSTALL} {place.answers(options)}",
            "settings": "cd /etc/alert-threader; grep ALERTMANAGER alert-threader.env; ls credentials",
            "elsewhere": f"{INSTALL} --set ALERTMANAGER_URL=http://127.0.0.1:1",
        }
        return Asked(Played(tell(here), place), member.host)


def test_what_needs_it(asked: Asked) -> None:
    """Without an address, its settings are refused before anything is changed."""
    assert stopped_at(asked.played["at odds"]) == "GONE_AFTER: needs ALERTMANAGER_URL, which is polled"


def test_it_is_looked_at(asked: Asked) -> None:
    """The end of the installation shows what it holds, and what would keep threads from closing."""
    install = asked.played["install"]
    assert install.code == 0
    holds, peer, gone_after = [line.strip() for line in install.out.splitlines() if " alertmanager " in line]
    assert holds.startswith(f"ok    alertmanager {asked.member} is version 0.28.0, in a cluster of 2 (status ready): ")
    assert peer == "warn  alertmanager peer b.example.test:9094 is not in ALERTMANAGER_URL: nothing is closed"
    assert gone_after.startswith("warn  alertmanager GONE_AFTER is 1m: a resolution can take up to 11m")
    assert "-".join(_TOKEN_PARTS) not in install.out


def test_its_settings_are_stored(asked: Asked) -> None:
    """The address among the settings, the token among the secrets."""
    stored = asked.played["settings"].out.splitlines()
    assert stored[0] == f'ALERTMANAGER_URL="http://{asked.member}"'
    assert "alertmanager_token" in stored
    assert "-".join(_TOKEN_PARTS) not in asked.played["settings"].out


def test_one_that_is_down(asked: Asked) -> None:
    """The service runs without it, and the last step says so."""
    elsewhere = asked.played["elsewhere"]
    assert elsewhere.code == 0
    assert "FAIL  alertmanager 127.0.0.1:1 cannot be reached" in elsewhere.out
