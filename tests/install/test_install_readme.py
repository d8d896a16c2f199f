"""The README's commands for an installation, as they stand there, on a Debian with systemd (see box.py)."""

import re

import pytest

from tests.install.box import ROOT
from tests.install.kit import CHANNEL, CLONE, INSTALL, Place, Told, preparation, said
from tests.install.story import tell

#: What another test runs (it asks, or removes), and what is for a token that is elsewhere.
_NOT_HERE = re.compile(r"sudo \./setup-redis\.sh|sudo \./install\.sh(?: --uninstall.*|.* --token-file .*)?")


def commands() -> tuple[list[str], list[str]]:
    """The lines of the README's blocks that an administrator types: by hand, and with what install.sh has set up."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    by_hand: list[str] = next((block.splitlines() for block in blocks if "useradd" in block), [])
    others = [
        line for block in blocks for line in block.splitlines() if line.startswith("sudo ") and line not in by_hand
    ]
    return by_hand, [line for line in others if not _NOT_HERE.fullmatch(line)]


@pytest.fixture(scope="module")
def story(place: Place) -> Told:
    """First by hand, then with install.sh."""
    by_hand, others = commands()
    if not by_hand:
        pytest.skip("README.md says nothing about it")
    settings = f"printf 'SLACK_CHANNEL={CHANNEL}\\nBIND_PORT={place.port}\\nSLACK_API_URL={place.slack.api_url}\\n'"
    typed = [line.replace("echo SLACK_CHANNEL=C0123456789", settings) for line in by_hand]
    here = {
        **preparation(),
        **{f"by hand: {line}": f"cd /root/clone && {{ {line}; }} </root/token" for line in typed},
        "by hand": place.script("healthy; systemctl is-enabled alert-threader; send firing db01 | jq .ok"),
        "removed": f"{INSTALL} --uninstall --purge && rm -r /root/clone && {CLONE.strip()}",
        "installed": f"{INSTALL} {place.answers()}",
        **{line: f"cd /root/clone && {line}" for line in others},
        "secret gone": """
            rm /etc/alert-threader/credentials/slack_bot_token
            systemctl restart alert-threader 2>/dev/null; systemctl status alert-threader""",
    }
    return Told(tell(here), place)


def test_by_hand(story: Told) -> None:
    """Each line of the manual way works, and at the end the service takes alerts."""
    failed = {name: step for name, step in story.steps.items() if name.startswith("by hand: ") and step.code}
    assert not failed
    assert said(story["by hand"]) == ["healthy", "enabled", "true"]


def test_with_install(story: Told) -> None:
    """So does each of the others, in their order."""
    _, others = commands()
    assert len(others) > 8
    assert not {line: story[line] for line in others if story[line].code}


def test_secret_gone(story: Told) -> None:
    """Without one of its secrets systemd does not start the service, and says so in the words that README.md has."""
    assert "status=243/CREDENTIALS" in (ROOT / "README.md").read_text("utf-8")
    assert "status=243/CREDENTIALS" in story["secret gone"].out
