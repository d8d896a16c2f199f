"""The documents say what is so, and both languages say the same."""

import io
import json
import re
import shlex
from typing import Any

import click
import msgspec
import pytest
import requests
import urllib3
from flask.testing import FlaskClient

from alert_threader.alertmanager.api import Alertmanager
from alert_threader.alertmanager.model import AlertmanagerError, Login, MemberState
from alert_threader.cli.main import command_line, main
from alert_threader.delivery import reconciler
from alert_threader.delivery.cluster_views import ClusterViews
from alert_threader.errors import ConfigError
from alert_threader.settings.settings import SETTINGS, Settings
from slack_sandbox import SandboxServer
from tests.app.conftest import MakeApp, webhook
from tests.build import NOW
from tests.documents import (
    ALERTMANAGER,
    CONFIGURATION,
    DOCUMENTS,
    HTTP,
    OPERATIONS,
    PAGES,
    PAIRS,
    README,
    ROOT,
    blocks,
    both,
    text,
)

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
    """What is said in all the troubles of the table."""
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


@pytest.fixture
def poll_lines(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What polling says in each of its troubles."""
    errors = []
    refusal = urllib3.HTTPResponse(io.BytesIO(b"Unauthorized"), status=401, preload_content=False)
    page = urllib3.HTTPResponse(io.BytesIO(b"<html>"), status=200, preload_content=False)
    for trouble in (requests.ConnectionError(), requests.ReadTimeout(), refusal, page):

        def request(*_: Any, trouble: Any = trouble, **__: Any) -> requests.Response:
            if isinstance(trouble, Exception):
                raise trouble
            answer = requests.Response()
            answer.status_code, answer.raw = trouble.status, trouble
            return answer

        monkeypatch.setattr(requests.Session, "request", request)
        (error,) = Alertmanager(["http://am-1:9093"], Login()).look()
        errors.append(error)
    views = [_lines(_member(), error) for error in errors]
    views += [
        _lines(_member(peers={"self": "10.0.0.1:9094", "other": "10.0.0.2:9094"})),
        _lines(_member(peers={"self": "10.0.0.2:9094", "former": "10.0.0.2:9094"})),
        _lines(_member(started_at=NOW - 60)),
        _lines(_member(cluster_status="settling")),
    ]
    never_arrived = reconciler.never_arrived(4, "alert-threader")
    return {never_arrived}.union(*views)


@pytest.mark.parametrize("name", both(CONFIGURATION))
def test_settings(name: str) -> None:
    """The tables of settings have every setting once, with its default, and no other."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`|(\(\S+\))) \| \S.* \|$", text(name), re.MULTILINE)
    documented = [(setting, default or NO_DEFAULT[missing]) for setting, default, missing in rows]
    there = [(setting.name, setting.required if setting.default is None else setting.default) for setting in SETTINGS]
    assert sorted(documented, key=str) == sorted(there, key=str)


@pytest.mark.parametrize("name", both(CONFIGURATION))
def test_bounds(name: str) -> None:
    """The row of every number says the least and the most that it can be."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| \S+ \| (.*) \|$", text(name), re.MULTILINE))
    bounded = {setting.name: setting.kind.bounds for setting in SETTINGS if setting.kind.bounds}
    missing = [name for name, bounds in bounded.items() if not all(bound in rows[name] for bound in bounds)]
    assert missing == []


@pytest.mark.parametrize(("english", "korean"), PAIRS.items())
def test_same_blocks(english: str, korean: str) -> None:
    """The code blocks are identical in both languages, down to the last sign."""
    assert blocks(of=english) == blocks(of=korean)


@pytest.mark.parametrize(("english", "korean"), PAIRS.items())
def test_same_outline(english: str, korean: str) -> None:
    """Both have the same headings at the same places, and rows and items of the same number below each."""
    outlines = [re.findall(r"^(#+(?= )|\||- |\d\. |```)", text(name), re.MULTILINE) for name in (english, korean)]
    assert outlines[0] == outlines[1]
    assert "#" in outlines[0]


@pytest.mark.parametrize("mark", ["bench", "late"])
def test_same_figures(mark: str) -> None:
    """Both show what the same run of `make bench` has measured: between the marks, all numbers are the same."""
    english, korean = (
        re.findall(rf"^<!-- {mark} -->$(.*?)^<!-- /{mark} -->$", text(name), re.MULTILINE | re.DOTALL)
        for name in both("docs/performance.md")
    )
    assert len(english) == len(korean) == 1
    assert _figures(english[0]) == _figures(korean[0])
    assert len(_figures(english[0])) > 10


@pytest.mark.parametrize("name", both(README))
def test_readme_is_short(name: str) -> None:
    """Whoever opens the repository reads the README to its end: what does not belong there has a page."""
    assert len(text(name)) <= 12_000


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links(name: str) -> None:
    """What a document links to within the repository is there, down to the heading."""
    links = re.findall(r"\]\(([^)]+)\)", text(name))
    for link in (link for link in links if "://" not in link):
        path, _, heading = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), link
        assert not heading or heading in _anchors(target.read_text("utf-8")), link


def test_every_page_is_reached() -> None:
    """Each README, and each first page, names all other pages of its language."""
    for first in (*both(README), *both("docs/index.md")):
        folder = {"README.md": "docs/", "README.ko.md": "docs/ko/"}.get(first, "")
        assert [page for page in PAGES[1:] if f"]({folder}{page}.md)" not in text(first)] == [], first


def test_picture() -> None:
    """It is small enough for a first look."""
    assert (ROOT / "docs/demo.png").stat().st_size < 300_000


def test_commands() -> None:
    """Every command of ours in a code block is one that the command line takes."""
    blocks_of_ours = [block for block in blocks("sh") if not re.search("curl |docker |kubectl ", block)]
    lines = [shlex.split(line) for block in blocks_of_ours for line in block.splitlines()]
    ours = [words[1:] for words in lines if words[0].rpartition("/")[2] == "alert-threader"]
    assert {words[0] for words in ours} >= {"serve", "check", "send-test", "render", "migrate"}
    for words in ours:
        name, command, rest = command_line.resolve_command(click.Context(command_line), words)
        assert command is not None
        command.make_context(name, rest)


def test_make_targets() -> None:
    """Every `make` target in a code block is in the Makefile."""
    targets = set(re.findall(r"^make (\w+)$", "".join(blocks("sh")), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets >= {"demo", "test", "chaos"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_first_request(client: FlaskClient, sandbox: SandboxServer) -> None:
    """The example is answered as promised, but for the time in ``thread_ts``: one thread, green at the end."""
    channel = client.get("/health").get_json()["channel"]
    requests = [shlex.split(block) for block in blocks("sh", of=HTTP)]
    promises = [json.loads(block) for block in blocks("json", of=HTTP)]
    assert len(requests) == len(promises) == 2
    answers = [_post(client, words) for words in requests]
    (root,) = sandbox.workspace.roots(channel)
    for answer, promise in zip(answers, promises, strict=True):
        promise["results"][0]["thread_ts"] = root.ts
        assert answer == promise
        assert list(answer) == list(promise)
    assert root.color == GREEN
    assert len(sandbox.workspace.replies(channel, root.ts)) == 1


@pytest.mark.parametrize("name", both(OPERATIONS))
def test_troubleshooting(name: str, sayings: str) -> None:
    """What the table quotes is what is said then, to the letter; `…` stands for more, and scripts count themselves."""
    quotes = re.findall(r"^\| [^|`]+ \| `[^`]+` \| `([^`]+)` \| \S.* \|$", text(name), re.MULTILINE)
    assert len(quotes) == 8
    wanted = [quote.removesuffix("…") for quote in quotes if quote != OF_SYSTEMD]
    assert [quote for quote in wanted if quote not in sayings and re.sub(r"\d+", "N", quote) not in sayings] == []


@pytest.mark.parametrize("name", both(ALERTMANAGER))
def test_poll_lines(name: str, poll_lines: set[str]) -> None:
    """The table of what `/health` says of Alertmanager quotes it to the letter; `…` stands for more."""
    quotes = re.findall(r"^\| `([^`]* [^`]*)` \| \S.* \|$", text(name), re.MULTILINE)
    assert len(quotes) == 10
    starts = tuple(quote.removesuffix("…") for quote in quotes if quote.endswith("…"))
    assert {line for line in poll_lines if not line.startswith(starts)} == {q for q in quotes if not q.endswith("…")}
    assert all(any(line.startswith(start) for line in poll_lines) for start in starts)


def _member(**changes: Any) -> MemberState:
    """A member with nothing to say, but for ``changes``."""
    member = MemberState(host="am-0:9093", name="self", cluster_status="ready", started_at=1, alerts={}, silences={})
    return msgspec.structs.replace(member, **changes)


def _lines(*states: MemberState | AlertmanagerError) -> set[str]:
    """Why a view of these members is not complete."""
    looked = ClusterViews("am-0:9093", None, 30).view(states, NOW, ["am-0:9093"])
    return {*looked.problems, *looked.notices}


def _anchors(document: str) -> set[str]:
    """The names by which GitHub and the site link to a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


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
