"""The READMEs say what is so, and both say the same."""

import json
import re
import shlex
from typing import Any

import click
import pytest
from flask.testing import FlaskClient

from alert_threader.cli.main import command_line, main
from alert_threader.errors import ConfigError
from alert_threader.settings.settings import SETTINGS, Settings
from slack_sandbox import SandboxServer
from tests.app.conftest import MakeApp, webhook
from tests.readme import ROOT, blocks, text

READMES = ("README.md", "README.ko.md")
#: What stands in the place of a default, in either language.
NO_DEFAULT = {"(required)": True, "(필수)": True, "(none)": False, "(없음)": False}
GREEN = "#2EB67D"
#: The one quote in the table of troubles that is another's: tests/install looks whether it is said.
OF_SYSTEMD = "status=243/CREDENTIALS"


@pytest.fixture
def sayings(
    make_app: MakeApp,
    sandbox: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> str:
    """What is said in all the troubles of the READMEs' table."""
    environ = {"SLACK_BOT_TOKEN": "xoxb-sandbox-1", "SLACK_CHANNEL": "C0123456789", "SLACK_API_URL": sandbox.api_url}
    with pytest.raises(ConfigError) as refused:
        Settings.from_environ({**environ, "SLACK_CHANNEL": "#alerts"})
    client = make_app(**environ, WEBHOOK_TOKEN="open-sesame").test_client()
    sandbox.workspace.set_channel("C0123456789", "not_in_channel")
    client.post("/alert", json=webhook())
    client.post("/alert", json=webhook(), headers={"Authorization": "Bearer open-sesame"})
    health = client.get("/health").text
    sandbox.workspace.configure(token_valid=False)
    for setting, value in {**environ, "THREAD_STORE": "redis", "REDIS_URL": "redis://127.0.0.1:1/0"}.items():
        monkeypatch.setenv(setting, value)
    assert main(["check"]) == 1
    scripts = "".join((ROOT / script).read_text() for script in ("bin/back-off", "smoke-test.sh"))
    counted = re.sub(r"\$\(\(.*?\)\)|\$\w+", "N", scripts)
    return "\n".join([str(refused.value), health, caplog.text, capsys.readouterr().out, counted])


@pytest.mark.parametrize("name", READMES)
def test_settings(name: str) -> None:
    """The table of settings has every setting with its default, in the order of the code, and no other."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`|(\(\S+\))) \| \S.* \|$", text(name), re.MULTILINE)
    documented = [(setting, default or NO_DEFAULT[missing]) for setting, default, missing in rows]
    assert documented == [(s.name, s.required if s.default is None else s.default) for s in SETTINGS]


@pytest.mark.parametrize("name", READMES)
def test_bounds(name: str) -> None:
    """The row of every number says the least and the most that it can be."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| \S+ \| (.*) \|$", text(name), re.MULTILINE))
    bounded = {setting.name: setting.kind.bounds for setting in SETTINGS if setting.kind.bounds}
    missing = [name for name, bounds in bounded.items() if not all(bound in rows[name] for bound in bounds)]
    assert missing == []


def test_same_blocks() -> None:
    """The code blocks are identical in both languages, down to the last sign."""
    english, korean = (blocks(name) for name in READMES)
    assert english == korean
    assert len(english) > 10


def test_same_outline() -> None:
    """Both have the same headings at the same places, and rows and items of the same number below each."""
    english, korean = (re.findall(r"^(#+(?= )|\||- |\d\. |```)", text(name), re.MULTILINE) for name in READMES)
    assert english == korean


def test_same_figures() -> None:
    """Both show what the same run of `make bench` has measured: between the marks, all numbers are the same."""
    english, korean = (
        re.findall(r"^<!-- bench -->$(.*?)^<!-- /bench -->$", text(name), re.MULTILINE | re.DOTALL) for name in READMES
    )
    assert len(english) == len(korean) == 1
    assert _figures(english[0]) == _figures(korean[0])
    assert len(_figures(english[0])) > 10


@pytest.mark.parametrize("name", READMES)
def test_links(name: str) -> None:
    """What a README links to within the repository is there; the picture is small enough for a first look."""
    targets = [link for link in re.findall(r"\]\(([^)]+)\)", text(name)) if "://" not in link]
    assert {"docs/demo.png", "LICENSE", "ARCHITECTURE.md", "CONTRIBUTING.md", *READMES} - {name} == set(targets)
    assert all((ROOT / target).is_file() for target in targets)
    assert (ROOT / "docs/demo.png").stat().st_size < 300_000


def test_commands() -> None:
    """Every command of ours in a code block is one that the command line takes."""
    lines = [
        shlex.split(line) for block in blocks("README.md", "sh") if "curl" not in block for line in block.splitlines()
    ]
    ours = [words[1:] for words in lines if words[0].endswith("/alert-threader")]
    assert {words[0] for words in ours} == {"check", "send-test", "render", "migrate", "sandbox", "demo"}
    for words in ours:
        name, command, rest = command_line.resolve_command(click.Context(command_line), words)
        assert command is not None
        command.make_context(name, rest)


def test_make_targets() -> None:
    """Every `make` target in a code block is in the Makefile."""
    targets = set(re.findall(r"^make (\w+)$", "".join(blocks("README.md", "sh")), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets >= {"install", "demo", "test", "lint"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_first_request(client: FlaskClient, sandbox: SandboxServer) -> None:
    """The example is answered as promised, but for the time in ``thread_ts``: one thread, green at the end."""
    channel = client.get("/health").get_json()["channel"]
    requests = [shlex.split(block) for block in blocks("README.md", "sh") if "curl" in block]
    promises = [json.loads(block) for block in blocks("README.md", "json")]
    assert len(requests) == len(promises) == 2
    answers = [_post(client, words) for words in requests]
    (root,) = sandbox.workspace.roots(channel)
    for answer, promise in zip(answers, promises, strict=True):
        promise["results"][0]["thread_ts"] = root.ts
        assert answer == promise
        assert list(answer) == list(promise)
    assert root.color == GREEN
    assert len(sandbox.workspace.replies(channel, root.ts)) == 1


@pytest.mark.parametrize("name", READMES)
def test_troubleshooting(name: str, sayings: str) -> None:
    """What the table quotes is what is said then, to the letter; `…` stands for more, and scripts count themselves."""
    quotes = re.findall(r"^\| [^|`]+ \| `[^`]+` \| `([^`]+)` \| \S.* \|$", text(name), re.MULTILINE)
    assert len(quotes) == 8
    wanted = [quote.removesuffix("…") for quote in quotes if quote != OF_SYSTEMD]
    assert [quote for quote in wanted if quote not in sayings and re.sub(r"\d+", "N", quote) not in sayings] == []


def _figures(section: str) -> list[tuple[list[str], bool]]:
    """The numbers of each line, and whether a goal is missed there."""
    lines = [line for line in section.splitlines() if line]
    return [(re.findall(r"\d[\d.,]*\d|\d", line), "MISSED" in line or "미달" in line) for line in lines]


def _post(client: FlaskClient, words: list[str]) -> dict[str, Any]:
    """Send what a curl command line sends."""
    curl, _, url, _, header, _, body = words
    assert (curl, url, header) == ("curl", "http://127.0.0.1:9009/alert", "Content-Type: application/json")
    response = client.post("/alert", data=body, content_type="application/json")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer
