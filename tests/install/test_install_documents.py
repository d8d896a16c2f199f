"""The documented commands for an installation, as they stand there, on a Debian with systemd (see box.py)."""

import re

import pytest

from tests.documents import blocks, text
from tests.install.kit import (
    CHANNEL,
    CLONE,
    INSTALL,
    MEND,
    Place,
    Played,
    broken_start,
    check_taken_back,
    preparation,
    said,
)
from tests.install.story import tell

#: What another test runs (it asks, or removes), and what is for a token that is elsewhere.
_NOT_HERE = re.compile(r"sudo \./setup-redis\.sh|sudo \./install\.sh(?: --uninstall.*|.* --token-file .*)?")


def commands() -> tuple[list[str], list[str]]:
    """The lines of the documents' blocks that an administrator types: by hand, and with what install.sh has set up."""
    typed = blocks("sh")
    by_hand: list[str] = next((block.splitlines() for block in typed if "useradd" in block), [])
    others = [
        line for block in typed for line in block.splitlines() if line.startswith("sudo ") and line not in by_hand
    ]
    return by_hand, [line for line in others if not _NOT_HERE.fullmatch(line)]


@pytest.fixture(scope="module")
def story(place: Place) -> Played:
    """First by hand, then with install.sh."""
    by_hand, others = commands()
    if not by_hand:
        pytest.skip("the documents say nothing about it")
    settings = f"printf 'SLACK_CHANNEL={CHANNEL}\\nBIND_PORT={place.port}\\nSLACK_API_URL={place.slack.api_url}\\n'"
    typed = [line.replace("echo SLACK_CHANNEL=C0123456789", settings) for line in by_hand]
    script = place.script
    here = {
        **preparation(),
        **{f"by hand: {line}": f"cd /root/clone && {{ {line}; }} </root/token" for line in typed},
        "by hand": script("healthy; systemctl is-enabled alert-threader; send firing db01 | jq .ok; cache"),
        "broken over it": broken_start("--offline"),
        "as by hand": script("healthy; cache; ls /opt/alert-threader/versions /usr/local/bin"),
        "over it": f"{MEND}; {INSTALL} --offline",
        "after that": script(
            "healthy; cache; ls /opt/alert-threader/versions; cat /etc/alert-threader/alert-threader.env"
        ),
        "removed": f"{INSTALL} --uninstall --purge && rm -r /root/clone && {CLONE.strip()}",
        "installed": f"{INSTALL} {place.answers()} && echo xapp-sandbox-box >/root/slack_app_token",
        **{line: f"cd /root/clone && {line}" for line in others},
        "secret gone": """
            rm /etc/alert-threader/credentials/slack_bot_token
            systemctl restart alert-threader 2>/dev/null; systemctl status alert-threader""",
        "secrets gone": f"""
            rm /etc/alert-threader/credentials/webhook_token
            {INSTALL} {place.answers()}
            stat -c %s /etc/alert-threader/credentials/webhook_token""",
    }
    return Played(tell(here), place)


def test_by_hand(story: Played) -> None:
    """Each line of the manual way works, and at the end the service takes alerts."""
    failed = {name: step for name, step in story.steps.items() if name.startswith("by hand: ") and step.code}
    assert not failed
    assert said(story["by hand"])[:3] == ["healthy", "enabled", "true"]


def test_over_it_and_taken_back(story: Played) -> None:
    """install.sh takes the manual installation for a version: it is back where the new one does not work."""
    assert "  keep /opt/alert-threader/current as version by-hand" in story["broken over it"].out.splitlines()
    check_taken_back(story["broken over it"], "the service does not start", former="by-hand")
    healthy, cache, *listed = said(story["as by hand"])
    assert (healthy, cache) == ("healthy", said(story["by hand"])[3])
    assert listed == ["/opt/alert-threader/versions:", "by-hand", "", "/usr/local/bin:"]


def test_over_it(story: Played) -> None:
    """It goes on with the threads and settings of the manual installation, and keeps it as the former version."""
    assert "[7/7] look around" in said(story["over it"])
    healthy, cache, *shown = said(story["after that"])
    assert (healthy, cache) == ("healthy", said(story["by hand"])[3])
    assert shown[0].startswith("0.2.0-")
    assert shown[1:3] == ["by-hand", f"SLACK_CHANNEL={CHANNEL}"]


def test_with_install(story: Played) -> None:
    """So does each of the others, in their order."""
    _, others = commands()
    assert len(others) > 8
    assert not {line: story[line] for line in others if story[line].code}


def test_secret_gone(story: Played) -> None:
    """Without one of its secrets systemd does not start the service, and says so as documented."""
    assert "status=243/CREDENTIALS" in text("docs/operations.md")
    assert "status=243/CREDENTIALS" in story["secret gone"].out


def test_secrets_gone(story: Played) -> None:
    """With install.sh they come back, and nobody may send alerts without a token all of a sudden."""
    out = story["secrets gone"].out
    assert "credentials/webhook_token is gone: a new token is made, which Alertmanager needs too" in out
    assert int(said(story["secrets gone"])[-1]) >= 32
