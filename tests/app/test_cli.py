"""The commands, as a person calls them. Slack is the sandbox; where a service is needed, it runs in this process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from werkzeug.serving import make_server

from alert_threader import __version__
from alert_threader.app import create_app
from alert_threader.cli import main as cli
from alert_threader.cli.faults import CommandError
from alert_threader.cli.send_test import send_test
from alert_threader.service import service_of
from alert_threader.settings.secret import Secret
from alert_threader.settings.settings import SETTINGS, Settings
from alert_threader.slack.client import Slack
from alert_threader.store import SqliteStore
from alert_threader.store.lock import FileLock
from alert_threader.threads import Policy
from harness.members import Member
from harness.network import Listener, Serve, answers, stands_still
from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS01"
TOKEN = "xoxb-sandbox-not-to-be-seen"
PAYLOADS = Path(__file__).parents[1] / "payloads"


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


class Cli:
    """The command line with the environment of a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ran:
        """Run a command; it must show no secret and no traceback."""
        code = cli.main([str(argument) for argument in arguments])
        ran = Ran(code, *self._capsys.readouterr())
        assert TOKEN not in ran.out + ran.err
        assert "Traceback" not in ran.out + ran.err
        return ran


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin without any setting of ours but a store of the test's own."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
        monkeypatch.delenv(f"{setting.name}_FILE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("THREAD_STORE_FILE", str(tmp_path / "threads.json"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line."""
    return Cli(capsys)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A Slack, and the settings that lead there."""
    with SandboxServer(rate_limits=False) as server:
        monkeypatch.setenv("SLACK_API_URL", server.api_url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        yield server


@pytest.fixture
def service_url(slack: SandboxServer) -> Iterator[str]:
    """A running service that asks for a token, and where it listens."""
    environ = {**os.environ, "SLACK_API_URL": slack.api_url, "WEBHOOK_TOKEN": "webhook-secret", "SLACK_TIMEOUT": "2s"}
    app = create_app(Settings.from_environ(environ))
    service_of(app).start()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    assert service_of(app).close(5)


def lines(ran: Ran) -> dict[str, str]:
    """What ``check`` says, by subject: ``"ok …"``, ``"warn …"``, ``"skip …"`` or ``"FAIL …"``."""
    said = {}
    for line in ran.out.splitlines():
        verdict, subject, text = line.split(maxsplit=2)
        said[subject] = f"{verdict} {text}"
    return said


# -- the command line itself ----------------------------------------------------------------------------------


def test_version(run: Cli) -> None:
    """It says which version it is."""
    assert run("--version") == (0, f"alert-threader {__version__}\n", "")


def test_help_names_every_command(run: Cli) -> None:
    """Whoever asks for help learns of every command."""
    ran = run("--help")
    assert ran.code == 0
    commands = (
        *("check", "health", "send-test", "render", "migrate", "hand-back", "backup", "restore", "demo"),
        "sandbox",
    )
    for word in commands:
        assert word in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["demo", "--speed", "0"], "'--speed': 0.0 is not in the range"),
        (["demo", "--speed", "nan"], "'--speed': nan"),
        (["demo", "--port", "65536"], "'--port': 65536 is not in the range"),
        (["sandbox", "--port", "x"], "'--port': 'x' is not a valid integer"),
        (["send-test", "--channel", "#alerts"], "'#alerts' must be a channel ID"),
        (["send-test", "--url", "localhost:9009"], "'localhost:9009' is not a URL"),
        (["send-test", "--severity", "bad"], "critical"),
        (["render"], "FILE"),
        (["migrate", "file", "file"], "the same store"),
    ],
)
def test_wrong_arguments(run: Cli, arguments: list[str], said: str) -> None:
    """Wrong arguments end with 2 and say which argument is wrong."""
    ran = run(*arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not ran.out


def test_help_shows_defaults(run: Cli) -> None:
    """Help of a command says what happens without its options."""
    assert "[default: critical]" in run("send-test", "--help").out
    assert "8065" in run("sandbox", "-h").out


def test_each_command_loads_only_what_it_needs() -> None:
    """A command imports neither the stand-in for Slack nor another command's libraries."""
    program = (
        "import sys; from alert_threader.cli.main import main; main(['render', '/nonexistent']); "
        "print({'slack_sandbox', 'requests', 'alert_threader.cli.demo', 'alert_threader.cli.check'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30, text=True)
    assert ended.stdout == "set()\n"


def test_output_that_cannot_be_encoded() -> None:
    """A terminal without emojis gets escapes instead of an error."""
    command = [sys.executable, "-m", "alert_threader", "render", str(PAYLOADS / "01-firing-single.json")]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, capture_output=True, check=True, timeout=30, env=environ)
    assert rb"\U0001f6a8" in ended.stdout


def test_ctrl_c() -> None:
    """Ctrl-C ends a command with 130, and without a traceback."""
    program = "import sys; from alert_threader.cli.main import main; import alert_threader.cli.render"
    program += "; print(flush=True); sys.exit(main(['render', '-']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        state = Path(f"/proc/{process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "S":
            pass  # not yet asleep in its read of a webhook
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip() == b""


def test_closed_pipe() -> None:
    """A reader that goes away (``| head``) ends a command without a word."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as out:
        command = [sys.executable, "-m", "alert_threader", "render", str(PAYLOADS / "01-firing-single.json")]
        ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (1, b"")


# -- check ----------------------------------------------------------------------------------------------------


def test_check_good(run: Cli, slack: SandboxServer, tmp_path: Path) -> None:
    """Where all is well, each subject is ok, nothing is posted and nothing is made."""
    ran = run("check")
    assert ran.code == 0
    assert lines(ran) == {
        "settings": f"ok 4 of {len(SETTINGS)} are given (4 in the environment), all are valid; environment production, "
        f"Slack at {slack.api_url}",
        "token": "ok bot user alert_threader of team Sandbox",
        "scopes": "ok chat:write, channels:history, channels:read",
        "channel": f"ok #c0alerts01 ({CHANNEL}), and the bot is in it",
        "store": f"ok {tmp_path / 'threads.json'} can be written; no threads yet",
    }
    assert slack.workspace.messages(CHANNEL) == []
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_busy_channel(run: Cli, slack: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than a look-up reads say nothing against the channel."""
    monkeypatch.setattr("alert_threader.slack.client.PAGE", 2)
    monkeypatch.setattr("alert_threader.slack.client.MAX_PAGES", 1)
    client = Slack("xoxb-sandbox-1", slack.api_url, 5)
    for number in range(4):
        client.post(CHANNEL, {"text": f"message {number}"})
    assert run("check").code == 0


def test_check_alertmanager(run: Cli, slack: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at whatever Slack says, and one that fails is a failure."""
    with Member() as member:
        monkeypatch.setenv("ALERTMANAGER_URL", member.url)
        ran = run("check")
        assert ran.code == 0
        assert f"ok    alertmanager {member.host} is version 0.28.0, in no cluster: 0 alerts" in ran.out
        monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:1/api/")
        assert f"ok    alertmanager {member.host} is version" in run("check").out
    monkeypatch.setenv("SLACK_API_URL", slack.api_url)
    ran = run("check")
    assert ran.code == 1
    assert lines(ran)["alertmanager"].startswith(f"FAIL {member.host} cannot be reached")


@pytest.mark.usefixtures("slack")
def test_check_open_to_everybody(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that anybody could write to Slack with works, and is warned of."""
    monkeypatch.setenv("BIND_HOST", "0.0.0.0")
    checked = run("check")
    assert checked.code == 0
    assert "set WEBHOOK_TOKEN, or BIND_HOST=127.0.0.1" in checked.out


def test_check_settings(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults of the settings are said at once, a line for each."""
    monkeypatch.setenv("SLACK_CHANNEL", "#alerts")
    monkeypatch.setenv("REOPEN_WINDOW", "soon")
    ran = run("check")
    assert ran.code == 1
    assert [line.split()[:3] for line in ran.out.splitlines()] == [
        ["FAIL", "settings", "SLACK_BOT_TOKEN:"],
        ["FAIL", "settings", "SLACK_CHANNEL:"],
        ["FAIL", "settings", "REOPEN_WINDOW:"],
        *(["skip", subject, "not"] for subject in ("token", "scopes", "channel", "store")),
    ]
    assert ran.out.count("not looked at: the settings must be right first") == 4


def test_check_says_where_settings_come_from(
    run: Cli, slack: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the environment, in a file, as a credential: whoever expects another one sees that it is not read."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "webhook_token").write_text("from-systemd")
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    said = lines(run("check"))["settings"]
    places = "1 in a file, 3 in the environment, 1 as a credential"
    assert said.startswith(f"ok 5 of {len(SETTINGS)} are given ({places}), all are valid; ")
    assert slack.workspace.messages(CHANNEL) == []


@pytest.mark.usefixtures("slack")
def test_check_misspelt_setting(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is warned of where the service can start without it, and stands among the faults where it cannot."""
    monkeypatch.setenv("SLACK_RAET", "5-not-to-be-seen")
    ran = run("check")
    assert ran.code == 0
    assert "warn  settings     SLACK_RAET: did you mean SLACK_RATE?\n" in ran.out
    monkeypatch.setenv("SLACK_CHANEL", "C0123456789")
    monkeypatch.delenv("SLACK_CHANNEL")
    ran = run("check")
    assert ran.code == 1
    assert "FAIL  settings     SLACK_CHANNEL: is not set" in ran.out
    assert "FAIL  settings     SLACK_CHANEL: did you mean SLACK_CHANNEL?\n" in ran.out
    assert "not-to-be-seen" not in ran.out


def test_check_wrong_token(run: Cli, slack: SandboxServer) -> None:
    """A wrong token fails with its remedy; the store is looked at all the same."""
    slack.workspace.configure(token_valid=False)
    ran = run("check")
    said = lines(ran)
    assert ran.code == 1
    assert said["token"].startswith("FAIL invalid_auth: ")
    assert "SLACK_BOT_TOKEN" in said["token"]
    for subject in ("scopes", "channel"):
        assert said[subject] == "skip not looked at: Slack must take the token first"
    assert said["store"].startswith("ok ")


@pytest.mark.usefixtures("slack")
def test_check_no_slack(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slack that cannot be reached fails at the token, with what to look at."""
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:1/")
    ran = run("check")
    assert ran.code == 1
    assert lines(ran)["token"].startswith("FAIL the connection to Slack is refused")


@pytest.mark.usefixtures("slack")
def test_check_behind_a_proxy(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the road of the service, so it says what keeps the service from Slack."""
    with Listener(answers(407)) as proxy:
        monkeypatch.setenv("SLACK_API_URL", "https://slack.com/api/")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret-pw@127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        ran = run("check")
    assert ran.code == 1
    assert lines(ran)["token"] == (
        f"FAIL the proxy 127.0.0.1:{proxy.port} answers 407: check the user and password in HTTPS_PROXY"
    )


@pytest.mark.parametrize(
    ("scopes", "code", "said", "channel"),
    [
        (("channels:history", "channels:read"), 1, "FAIL chat:write is missing", "ok #"),
        (
            ("chat:write", "channels:read"),
            1,
            "FAIL channels:history (",
            f"skip #c0alerts01 ({CHANNEL}) is there; whether",
        ),
        (("chat:write", "groups:history"), 0, "ok chat:write, groups:history", f"ok {CHANNEL}, and the bot"),
        (("chat:write",), 1, "FAIL channels:history (", f"skip {CHANNEL} was not looked at: that"),
    ],
)
def test_check_scopes(
    run: Cli, slack: SandboxServer, scopes: tuple[str, ...], code: int, said: str, channel: str
) -> None:
    """A scope that is needed fails where it is missing; the channel is looked at as far as the others allow.

    What they do not allow to be seen is not said to be well.
    """
    slack.workspace.configure(scopes=scopes)
    ran = run("check")
    assert ran.code == code
    assert lines(ran)["scopes"].startswith(said)
    assert lines(ran)["channel"].startswith(channel)


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ("archived", "FAIL is_archived: the channel is archived: unarchive it"),
        ("missing", "FAIL channel_not_found: "),
        ("not_in_channel", "FAIL not_in_channel: the bot is not in the channel: invite it"),
    ],
)
def test_check_channel(run: Cli, slack: SandboxServer, standing: str, said: str) -> None:
    """A channel that cannot be posted to fails with its remedy."""
    slack.workspace.set_channel(CHANNEL, standing)
    ran = run("check")
    assert ran.code == 1
    assert lines(ran)["channel"].startswith(said)


@pytest.mark.usefixtures("slack")
def test_check_store_in_use(run: Cli, tmp_path: Path) -> None:
    """A store that is in use is well: the service is running."""
    lock = FileLock(tmp_path / "threads.json", 0)
    try:
        ran = run("check")
    finally:
        lock.release()
    assert ran.code == 0
    path = tmp_path / "threads.json"
    said = f"ok {path} is in use by process {os.getpid()} (the service is running); no threads yet"
    assert lines(ran)["store"] == said


@pytest.mark.usefixtures("slack")
def test_check_backup_that_waits(run: Cli, tmp_path: Path) -> None:
    """A file that was put in the place of the service's own copy is named: the next start begins with it."""
    path = tmp_path / "threads.json"
    SqliteStore(path, Policy(), CHANNEL, 0).close()
    assert lines(run("check"))["store"] == f"ok {path} can be written; 0 threads"
    path.write_text('{"version": 2, "threads": {}}')
    ran = run("check")
    assert ran.code == 0
    assert lines(ran)["store"].startswith(f"warn {path} is not the service's own copy: the next start begins with")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a|b": "1234567890.000100"}', "ok {path} can be written; 1 thread"),
        ("{", "FAIL {path} is not a document of threads"),
        ('{"version": 2, "threads": {"a": 1}}', "FAIL {path}: 1 threads cannot be read: restore a backup over it"),
        ('{"version": 99, "threads": {}}', "FAIL {path} was written by a newer version"),
    ],
)
@pytest.mark.usefixtures("slack")
def test_check_store_content(run: Cli, tmp_path: Path, content: str, said: str) -> None:
    """What is in the store is read, and left as it is."""
    path = tmp_path / "threads.json"
    path.write_text(content)
    ran = run("check")
    assert lines(ran)["store"].startswith(said.format(path=path))
    assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("slack")
def test_check_store_impossible(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written fails."""
    monkeypatch.setenv("THREAD_STORE_FILE", "/proc/alert-threader/threads.json")
    ran = run("check")
    assert ran.code == 1
    assert lines(ran)["store"].startswith("FAIL cannot keep threads in /proc/alert-threader/threads.json: ")


@pytest.mark.usefixtures("slack")
def test_check_redis_away(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that cannot be reached fails; what else there was to see in it is not said to be well."""
    monkeypatch.setenv("THREAD_STORE", "redis")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    ran = run("check")
    assert ran.code == 1
    assert lines(ran)["store"].startswith("FAIL Redis cannot be reached")
    assert lines(ran)["redis"].startswith(
        "skip not looked at: whether Redis evicts or loses threads, and whether every"
    )


# -- render ---------------------------------------------------------------------------------------------------


def test_render(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook is shown as the messages it causes, without a token; settings that do not matter may be wrong."""
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("BIND_PORT", "nonsense")
    ran = run("render", "--json", PAYLOADS / "01-firing-single.json")
    assert (ran.code, ran.err) == (0, "")
    (message,) = json.loads(ran.out)
    assert message["step"] == "root"
    assert message["channel"] == "C0123456789"
    assert message["key"].endswith("|staging")
    assert message["message"]["text"].endswith(" [staging]")


def test_render_for_people(run: Cli) -> None:
    """What stands in the channel, and what a phone shows of it, without Slack's signs for form."""
    ran = run("render", PAYLOADS / "01-firing-single.json")
    assert ran.code == 0
    first, header, *body, phone = ran.out.splitlines()
    assert first.startswith("root in C0123456789, thread ")
    assert header == "  🚨 Instance node1.example.test:9100 down"
    assert "  │ Severity: CRITICAL" in body
    assert any(line.startswith("  │ ") and "Graph (http" in line for line in body)
    assert phone == "  on a phone: 🚨 CRITICAL: Instance node1.example.test:9100 down [production]"


def test_render_for_the_block_kit_builder(run: Cli) -> None:
    """An address that holds the message, as Slack reads it."""
    ran = run("render", "--block-kit-builder", PAYLOADS / "01-firing-single.json")
    head, _, shown = ran.out.strip().partition("#")
    assert head == "https://app.slack.com/block-kit-builder"
    message = json.loads(unquote(shown))
    assert message["blocks"][0]["text"]["text"] == "🚨 Instance node1.example.test:9100 down"
    assert set(message) == {"blocks", "attachments"}


def test_render_standard_input() -> None:
    """A webhook can be piped in, and emojis come out as they are."""
    command = [sys.executable, "-m", "alert_threader", "render", "-"]
    body = (PAYLOADS / "01-firing-single.json").read_bytes()
    ended = subprocess.run(command, input=body, capture_output=True, check=True, timeout=30)
    assert "🚨" in ended.stdout.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: no such file or directory"),
        ("", "the body is empty"),
        ('{"alerts": [{"labels": 1}]}', "alerts[0].labels: expected object"),
    ],
)
def test_render_bad_file(run: Cli, tmp_path: Path, content: str | None, said: str) -> None:
    """What cannot be rendered is one line that says why."""
    file = tmp_path / "webhook.json"
    if content is not None:
        file.write_text(content)
    ran = run("render", file)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert ran.err.startswith("alert-threader render: ")
    assert len(ran.err.splitlines()) == 1


def test_render_bad_settings(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that the command uses must be right."""
    monkeypatch.setenv("THREAD_BY", "chance")
    ran = run("render", PAYLOADS / "01-firing-single.json")
    assert ran.code == 1
    assert "THREAD_BY: 'chance' is not allowed" in ran.err


# -- send-test ------------------------------------------------------------------------------------------------


def test_send_test(run: Cli, slack: SandboxServer, service_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test alert and its resolution reach Slack in one thread, and the command says where."""
    monkeypatch.setenv("WEBHOOK_TOKEN", "webhook-secret")
    # Without --url it asks where the service's own settings say.
    monkeypatch.setenv("BIND_PORT", service_url.rpartition(":")[2])
    ran = run("send-test", "--resolve", "--severity", "warning")
    assert (ran.code, ran.err) == (0, "")
    (root,) = slack.workspace.roots(CHANNEL)
    where = f"(thread {root.ts}, key AlertThreaderTest|warning|alert-threader|default|production)"
    assert ran.out.splitlines() == [
        f"firing: posted, it opened a thread {where}",
        f"resolved: posted as a reply {where}",
    ]
    assert len(slack.workspace.replies(CHANNEL, root.ts)) == 1


def test_send_test_twice(run: Cli, slack: SandboxServer, service_url: str, tmp_path: Path) -> None:
    """Every test is a new thread, in whatever channel; the token may stand in a file."""
    token = tmp_path / "token"
    token.write_text("webhook-secret\n")
    arguments = ("send-test", "--url", service_url, "--token-file", token, "--channel", "C0OTHER99")
    assert "posted" in run(*arguments).out
    assert "posted as a reply" in run(*arguments).out
    assert len(slack.workspace.messages("C0OTHER99")) == 2


@pytest.mark.parametrize(
    ("token", "said"), [("", "a token is missing"), ("wrong-secret", "the token is wrong: send WEBHOOK_TOKEN")]
)
def test_send_test_refused(run: Cli, service_url: str, monkeypatch: pytest.MonkeyPatch, token: str, said: str) -> None:
    """A service that refuses the alert is quoted, without the token."""
    monkeypatch.setenv("WEBHOOK_TOKEN", token)
    ran = run("send-test", "--url", service_url)
    assert (ran.code, ran.out) == (1, "")
    assert f"the service refused the alert: {said}" in ran.err
    assert "wrong-secret" not in ran.err


def test_send_test_not_told(slack: SandboxServer, service_url: str) -> None:
    """An alert that Slack does not get in time fails with the service's own words on why."""
    slack.workspace.set_channel(CHANNEL, "archived")
    token = Settings.from_environ({**os.environ, "WEBHOOK_TOKEN": "webhook-secret"}).webhook_token
    with pytest.raises(CommandError, match=r"not in Slack after 0 s: C0ALERTS01: is_archived: .*unarchive"):
        list(send_test(service_url, "info", None, token, resolve=False, patience=0))


def test_send_test_waits(run: Cli, slack: SandboxServer, service_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert that Slack gets late is waited for, and delivered once."""
    slack.workspace.faults.add("http", method="chat.postMessage", status=503, count=3)
    monkeypatch.setenv("WEBHOOK_TOKEN", "webhook-secret")
    ran = run("send-test", "--url", service_url)
    assert ran.code == 0
    assert ran.out.startswith("firing: ")
    assert " after " in ran.out
    assert len(slack.workspace.messages(CHANNEL)) == 1


def test_send_test_nobody_there(run: Cli) -> None:
    """Where nothing listens, that is what is said."""
    ran = run("send-test", "--url", "http://127.0.0.1:1")
    assert ran.code == 1
    assert ran.err.startswith("alert-threader send-test: nothing answers at http://127.0.0.1:1: is the service running")


def test_send_test_wrong_address(run: Cli, slack: SandboxServer) -> None:
    """Something else that listens is not taken for the service."""
    ran = run("send-test", "--url", slack.url)
    assert ran.code == 1
    assert "is not Alert Threader (it answers 404): check --url" in ran.err


# -- health ---------------------------------------------------------------------------------------------------


@pytest.fixture
def service_port(service_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The port of a running service, in the settings."""
    port = service_url.rpartition(":")[2]
    monkeypatch.setenv("BIND_PORT", port)
    return port


@pytest.mark.usefixtures("service_port")
def test_health(run: Cli, slack: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that takes alerts is healthy; only where it listens must be known for that, and no proxy is asked."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", slack.url)
    assert run("health") == (0, "healthy\n", "")


@pytest.mark.usefixtures("service_port")
def test_health_without_slack(run: Cli, slack: SandboxServer, service_url: str) -> None:
    """While Slack refuses messages the service takes alerts all the same: it is not to be started again."""
    slack.workspace.set_channel(CHANNEL, "archived")
    with pytest.raises(CommandError, match="stored, but not in Slack"):
        list(send_test(service_url, "info", None, Secret("webhook-secret"), resolve=False, patience=0))
    ran = run("health")
    assert ran.code == 0
    assert ran.out.startswith("degraded: C0ALERTS01: is_archived: ")
    assert len(ran.out.splitlines()) == 1


def test_health_without_store(run: Cli, slack: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that cannot store alerts fails, with its own words on why."""
    redis = {"THREAD_STORE": "redis", "REDIS_URL": "redis://127.0.0.1:1/0", "SLACK_API_URL": slack.api_url}
    answer = create_app(Settings.from_environ({**os.environ, **redis})).test_client().get("/health")
    with Listener(answers(answer.status_code, body=answer.text)) as unhealthy:
        monkeypatch.setenv("BIND_PORT", str(unhealthy.port))
        ran = run("health")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("alert-threader health: unhealthy: Redis ")
    assert len(ran.err.splitlines()) == 1


def test_health_nobody_there(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing listens, that is what is said; the address that everybody can reach is not one to ask."""
    monkeypatch.setenv("BIND_HOST", "0.0.0.0")
    monkeypatch.setenv("BIND_PORT", "1")
    said = "nothing answers at http://127.0.0.1:1: is the service running?"
    assert run("health") == (1, "", f"alert-threader health: {said}\n")


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (answers(200, body="<html>"), "is not Alert Threader: check BIND_HOST and BIND_PORT"),
        (answers(404, body='{"detail": "Not Found"}'), "is not Alert Threader: check BIND_HOST and BIND_PORT"),
        (stands_still, "did not answer (TimeoutError)"),
    ],
)
def test_health_no_answer(run: Cli, monkeypatch: pytest.MonkeyPatch, serve: Serve, said: str) -> None:
    """Neither another program nor one that stands still is taken for a service that takes alerts."""
    monkeypatch.setattr("alert_threader.cli.health._TIMEOUT", 0.2)
    with Listener(serve) as listener:
        monkeypatch.setenv("BIND_PORT", str(listener.port))
        began = time.monotonic()
        ran = run("health")
        assert time.monotonic() - began < 5
    assert ran == (1, "", f"alert-threader health: http://127.0.0.1:{listener.port} {said}\n")


# -- sandbox and demo -----------------------------------------------------------------------------------------


def test_sandbox() -> None:
    """It says where the page is and how the service gets there, and Ctrl-C ends it well."""
    command = [sys.executable, "-m", "alert_threader", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, "it ended by itself"
            said += line
        process.send_signal(signal.SIGINT)
        rest, faults = process.communicate(timeout=30)
    assert (process.returncode, rest, faults) == (0, "", "")
    assert "Open this page:  http://127.0.0.1:" in said
    for setting in ("SLACK_API_URL=http://127.0.0.1:", "SLACK_BOT_TOKEN=xoxb-sandbox", "SLACK_CHANNEL=C0"):
        assert f"export {setting}" in said


@pytest.mark.parametrize("arguments", [("sandbox", "--port"), ("demo", "--port"), ("demo", "--sandbox-port")])
def test_taken_port(run: Cli, arguments: tuple[str, ...]) -> None:
    """A port that is taken is one line that says how to go on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run(*arguments, str(port))
    command, option = arguments
    said = f"port {port} on 127.0.0.1 is taken: end what listens there, or give another {option}"
    assert ran == (1, "", f"alert-threader {command}: {said}\n")


def test_unknown_host(run: Cli) -> None:
    """So is an address that is not this machine's."""
    ran = run("sandbox", "--host", "192.0.2.1")
    assert ran.code == 1
    assert ran.err.startswith("alert-threader sandbox: port 8065 on 192.0.2.1 cannot be listened on: ")
