"""``install.sh`` and a person at a terminal, on a Debian with systemd (see box.py)."""

import pytest

from tests.install.kit import (
    CHANNEL,
    LEAKS,
    LIST_BEFORE,
    LIST_CHANGED,
    SLOW_COMPARISON,
    UNPRIVILEGED,
    Place,
    Played,
    check_secrets,
    dialogue,
    preparation,
    said,
)
from tests.install.story import tell


@pytest.fixture(scope="module")
def asked(place: Place) -> Played:
    """A person at a terminal, who is wrong first."""
    api, taken = f"--set SLACK_API_URL={place.slack.api_url}", place.slack_address
    store, token, channel = "threads: file", "bot token (xoxb-…, not shown)", "Slack channel"
    good = [(store, "\r"), (token, "@token\r"), (channel, f"{CHANNEL}\r"), ("named in every", "\r"),
            ("listen on", f"127.0.0.1:{place.port}\r"), ("must carry", "\r")]  # fmt: skip
    wrong = [
        (store, "paper\r"), (store, "file\r"),
        (token, "\r"), (token, "xoxp-1-a-users\r"), (token, "xoxb-of-somebody-else\r"), (token, "  @token \r"),
        (channel, "\r"), (channel, "#alerts\r"), (channel, f"{CHANNEL}\r"),
        ("named in every", "my place\r"),
        ("listen on", "9009\r"), ("listen on", "127.0.0.1:99999\r"), ("listen on", f"{taken}\r"),
        *([("listen on", "127.0.0.1:80\r")] if UNPRIVILEGED > 80 else []),
        ("listen on", "192.0.2.1:9009\r"), ("listen on", f"127.0.0.1:{place.port}\r"),
        ("must carry", "keep\r"), ("must carry", "short\r"), ("must carry", "\r"),
    ]  # fmt: skip
    here = {
        **preparation(),
        "before": LIST_BEFORE,
        "interrupted": dialogue(api, (store, "\r"), (token, "xoxb-half\x03")),
        "ended": dialogue(api, (store, "\r"), (token, "\x04")),
        "interrupted building": dialogue(api, *good, ("building it in", "\x03")),
        "interrupted comparing": SLOW_COMPARISON + dialogue(api, *good, ("[5/7]", "\x03")),
        "after interruptions": LIST_CHANGED,
        "install": f". /root/library; watch_arguments\n{dialogue(api, *wrong)}; code=$?; kill $watcher; exit $code",
        "env file": "cat /etc/alert-threader/alert-threader.env",
        "token": "cmp /root/token /etc/alert-threader/credentials/slack_bot_token && echo the same",
        "leaks": LEAKS,
        "same again": dialogue("--reconfigure", *[(wanted, "\r") for wanted, _ in good]),
        "other answers": dialogue(
            "--reconfigure", *good[:3], ("named in every", "other\r"), ("listen on", "\r"),
            ("must carry", "none\r"), ("[6/7] service", "\x03"),
        ),
        "after that": """
            cat /etc/alert-threader/alert-threader.env; ls /etc/alert-threader/credentials; alert-threader check""",
        "undecided": dialogue("--uninstall", ("yes or no", "perhaps\r")),
        "uninstall": dialogue("--uninstall", ("yes or no", "\r")),
        "kept": "ls /opt; ls -d /etc/alert-threader /var/lib/alert-threader",
        "purge": dialogue("--uninstall", ("yes or no", "yes\r")),
        "after": LIST_CHANGED,
    }  # fmt: skip
    return Played(tell(here), place)


class TestQuestions:
    def test_wrong_answers(self, asked: Played) -> None:
        """Each is explained and asked again, and at the end the service is healthy."""
        shown = said(asked["install"])
        wrong = [line.removeprefix("  ! ") for line in shown if line.startswith("  ! ")]
        expected = [
            "THREAD_STORE: 'paper' is not allowed: one of file, redis",
            "an answer is needed",
            "SLACK_BOT_TOKEN: a value of 14 characters is not allowed: is a user token, but must be",
            "Slack refuses the token (invalid_auth): copy the Bot User OAuth Token again",
            "an answer is needed",
            "SLACK_CHANNEL: '#alerts' is not allowed: must be a channel ID such as C0123456789",
            "'9009' is no address: use one like 127.0.0.1:9009",
            "BIND_PORT: '99999' is not allowed: a whole number from 1 to 65535",
            f"{asked.place.slack_address} cannot be listened on (address already in use)",
            *(["port 80 is for root, which the service is not: choose "] if UNPRIVILEGED > 80 else []),
            "192.0.2.1:9009 cannot be listened on (cannot assign requested address)",
            "there is none to keep",
            "a token of less than 16 characters can be guessed: take a longer one",
        ]
        assert [line[: len(start)] for line, start in zip(wrong, expected, strict=True)] == expected
        assert f"  healthy at http://127.0.0.1:{asked.place.port}" in shown

    def test_good_answers(self, asked: Played) -> None:
        """What was answered is what is set; the token is in its file as typed, without the spaces around it."""
        assert 'ENVIRONMENT="my place"' in said(asked["env file"])
        assert f'BIND_PORT="{asked.place.port}"' in said(asked["env file"])
        assert said(asked["token"]) == ["the same"]

    @pytest.mark.parametrize(
        ("name", "code", "line"),
        [
            ("interrupted", 130, "interrupted: nothing is changed"),
            ("ended", 1, "the answers ended: nothing is changed"),
            ("interrupted building", 130, "interrupted: nothing is changed"),
            ("interrupted comparing", 130, "interrupted: nothing is changed"),
        ],
    )
    def test_interruption(self, asked: Played, name: str, code: int, line: str) -> None:
        """Ctrl-C and Ctrl-D end it with a line."""
        assert asked[name].code == code
        assert asked[name].out.rstrip().endswith(f"install.sh: {line}")

    def test_interruption_leaves_nothing(self, asked: Played) -> None:
        """Neither while it asks nor while it builds, nor afterwards."""
        assert said(asked["after interruptions"]) == []

    def test_same_answers_change_nothing(self, asked: Played) -> None:
        """Asked again, an empty answer is the present one."""
        shown = said(asked["same again"])
        assert shown[shown.index("[5/7] what changes") + 1] == "  nothing"

    def test_other_answers(self, asked: Played) -> None:
        """Others are taken, a secret that is not wanted any more goes; Ctrl-C does not cut the change in half."""
        healthy = f"  healthy at http://127.0.0.1:{asked.place.port}"
        assert any(line.endswith(healthy) for line in said(asked["other answers"]))
        shown = said(asked["after that"])
        assert 'ENVIRONMENT="other"' in shown
        assert "slack_bot_token" in shown
        assert "webhook_token" not in shown
        assert [line.split()[0] for line in shown[-5:]] == ["ok"] * 5

    def test_removal_asks(self, asked: Played) -> None:
        """Whether the threads are to go; nothing goes for an answer that is none, and little for an empty one."""
        assert asked["undecided"].code == 1
        assert asked["undecided"].out.splitlines()[-1].endswith("'perhaps' is neither yes nor no: nothing is removed")
        assert "are kept in /etc/alert-threader" in asked["uninstall"].out
        assert said(asked["kept"]) == ["/etc/alert-threader", "/var/lib/alert-threader"]

    def test_removal(self, asked: Played) -> None:
        """With a yes, nothing is left that was not there before."""
        assert "  removed, with settings, secrets, threads and backups" in asked["purge"].out
        assert said(asked["after"]) == []

    def test_no_secret_is_seen(self, asked: Played) -> None:
        """What is typed is not shown, and is no program's argument."""
        check_secrets(asked)
