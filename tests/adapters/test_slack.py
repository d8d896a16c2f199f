"""What slack.py makes of Slack's answers, over HTTP against the sandbox."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from alert_threader.slack import search
from alert_threader.slack.client import Slack
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.search import Sent
from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS1"
TOKEN = "xoxb-sandbox-secret-1"
TIMEOUT = 0.5


def message(attempt: str = "a1", key: str = "k") -> dict[str, object]:
    """A message with an attempt's id and a thread's key."""
    return {
        "text": "x",
        "metadata": {"event_type": "alert_threader", "event_payload": {"attempt": attempt, "key": key}},
    }


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A Slack without rate limits."""
    with SandboxServer(rate_limits=False) as server:
        yield server


@pytest.fixture
def slack(sandbox: SandboxServer) -> Slack:
    """The adapter, speaking to it."""
    return Slack(TOKEN, sandbox.api_url, TIMEOUT)


class TestFindLast:
    """What Slack has of a thread since the copy that a store was restored from."""

    def test_newest_root_of_the_key(self, slack: Slack) -> None:
        """Not that of another thread, nor a reply, nor a message of somebody else."""
        slack.post(CHANNEL, message())
        root = slack.post(CHANNEL, message("a2"))
        slack.post(CHANNEL, message("a3", key="another"))
        slack.post(CHANNEL, message("a4"), root.ts)
        slack.post(CHANNEL, {"text": "k"})
        assert slack.find_last(CHANNEL, "k", time.time(), None) == root

    def test_last_reply(self, slack: Slack) -> None:
        """The root is none, and a person's answer neither."""
        root = slack.post(CHANNEL, message())
        assert slack.find_last(CHANNEL, "k", time.time(), root.ts) is None
        slack.post(CHANNEL, message("a2"), root.ts)
        last = slack.post(CHANNEL, message("a3"), root.ts)
        slack.post(CHANNEL, {"text": "on it"}, root.ts)
        assert slack.find_last(CHANNEL, "k", time.time(), root.ts) == last

    def test_not_from_before_the_copy(self, slack: Slack) -> None:
        """That would be a former thread of the same key."""
        slack.post(CHANNEL, message())
        assert slack.find_last(CHANNEL, "k", time.time() + 3600, None) is None

    def test_deleted_thread(self, slack: Slack, sandbox: SandboxServer) -> None:
        """Nothing is found, and the reply that is posted then becomes the root."""
        root = slack.post(CHANNEL, message())
        sandbox.workspace.delete(CHANNEL, root.ts)
        assert slack.find_last(CHANNEL, "k", time.time(), root.ts) is None


class TestCalls:
    """The calls that succeed."""

    def test_reply_says_that_it_is_threaded(self, slack: Slack) -> None:
        """A root is not, a reply under it is."""
        root = slack.post(CHANNEL, message())
        assert not root.threaded
        assert slack.post(CHANNEL, message("a2"), root.ts).threaded

    def test_reply_to_a_deleted_root_is_not_threaded(self, slack: Slack, sandbox: SandboxServer) -> None:
        """Slack posts it into the channel without a word; only the answer's missing thread_ts tells."""
        root = slack.post(CHANNEL, message())
        sandbox.workspace.delete(CHANNEL, root.ts)
        assert not slack.post(CHANNEL, message("a2"), root.ts).threaded

    def test_edit_replaces_everything(self, slack: Slack, sandbox: SandboxServer) -> None:
        """A simpler message leaves nothing of the one before it."""
        bar = [{"color": "#E01E5A", "fallback": "x"}]
        root = slack.post(CHANNEL, {"text": "x", "attachments": bar})
        slack.update(CHANNEL, root.ts, {"text": "y"})
        edited = sandbox.workspace.find(CHANNEL, root.ts)
        assert edited is not None
        assert (edited.text, list(edited.attachments)) == ("y", [])


class TestFind:
    """Looking a message up by its attempt."""

    def test_finds_a_root_among_many(self, slack: Slack) -> None:
        """Over more than one page."""
        root = slack.post(CHANNEL, message("mine"))
        for n in range(205):
            slack.post(CHANNEL, message(f"other{n}"))
        assert slack.find(CHANNEL, ["mine"], float(root.ts), None) == {"mine": Sent(root.ts, threaded=False)}

    def test_finds_a_reply_in_its_thread(self, slack: Slack) -> None:
        """The channel's history does not show replies."""
        root = slack.post(CHANNEL, message("root"))
        reply = slack.post(CHANNEL, message("mine"), root.ts)
        assert slack.find(CHANNEL, ["mine"], float(reply.ts), root.ts) == {"mine": Sent(reply.ts, threaded=True)}

    def test_finds_a_reply_that_lost_its_root(self, slack: Slack, sandbox: SandboxServer) -> None:
        """It stands in the channel."""
        root = slack.post(CHANNEL, message("root"))
        sandbox.workspace.delete(CHANNEL, root.ts)
        reply = slack.post(CHANNEL, message("mine"), root.ts)
        assert slack.find(CHANNEL, ["mine"], float(reply.ts), root.ts) == {"mine": Sent(reply.ts, threaded=False)}

    def test_message_that_never_arrived_is_none(self, slack: Slack) -> None:
        """So it may be posted."""
        root = slack.post(CHANNEL, message("root"))
        assert slack.find(CHANNEL, ["mine"], float(root.ts), None) == {}
        assert slack.find(CHANNEL, ["mine"], float(root.ts), root.ts) == {}

    @pytest.mark.parametrize("off", [86400, -86400])
    def test_a_clock_that_is_a_day_off_finds_it_all_the_same(self, sandbox: SandboxServer, off: float) -> None:
        """The time of this machine is not Slack's, which says it in each answer."""
        slack = Slack(TOKEN, sandbox.api_url, TIMEOUT, clock=lambda: time.time() + off)
        root = slack.post(CHANNEL, message("mine"))
        assert slack.find(CHANNEL, ["mine"], time.time() + off, None) == {"mine": root}

    def test_a_clock_that_was_set_finds_it_all_the_same(self, slack: Slack) -> None:
        """Between the post and the look-up."""
        root = slack.post(CHANNEL, message("mine"))
        for off in (-600, 600):
            assert slack.find(CHANNEL, ["mine"], time.time() + off, None) == {"mine": root}

    @pytest.mark.parametrize("minutes", [20, 0])
    def test_busy_channel(self, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """What came long after the attempt does not matter; where too much came with it, nobody calls it missing."""
        monkeypatch.setattr(search, "PAGE", 5)
        monkeypatch.setattr(search, "MAX_PAGES", 2)
        now = 1_800_000_000.0
        with SandboxServer(rate_limits=False, clock=lambda: now) as server:
            slack = Slack(TOKEN, server.api_url, TIMEOUT, clock=lambda: now)
            root = slack.post(CHANNEL, message("mine"))
            now += minutes * 60
            for n in range(12):
                slack.post(CHANNEL, message(f"other{n}"))
            if minutes:
                assert slack.find(CHANNEL, ["mine"], float(root.ts), None) == {"mine": Sent(root.ts, threaded=False)}
            else:
                with pytest.raises(SlackError, match="too_many_messages: past 10 of them"):
                    slack.find(CHANNEL, ["mine"], float(root.ts), None)


@pytest.mark.parametrize(
    ("fault", "kind", "code", "outcome_unknown"),
    [
        ({"kind": "ratelimited", "retry_after": 7}, FailureKind.RATE_LIMITED, "ratelimited", False),
        ({"kind": "http", "status": 503}, FailureKind.TRANSIENT, "http_503", True),
        ({"kind": "http", "status": 500}, FailureKind.TRANSIENT, "http_500", True),
        ({"kind": "garbage"}, FailureKind.TRANSIENT, "not_json", True),
        ({"kind": "drop_before"}, FailureKind.TRANSIENT, "connection", True),
        ({"kind": "drop_after"}, FailureKind.TRANSIENT, "connection", True),
        ({"kind": "hang", "seconds": 2 * TIMEOUT}, FailureKind.TRANSIENT, "timeout", True),
        ({"kind": "error", "error": "internal_error"}, FailureKind.TRANSIENT, "internal_error", True),
        ({"kind": "error", "error": "request_timeout"}, FailureKind.TRANSIENT, "request_timeout", False),
        ({"kind": "error", "error": "invalid_auth"}, FailureKind.AUTH, "invalid_auth", False),
        ({"kind": "error", "error": "token_revoked"}, FailureKind.AUTH, "token_revoked", False),
        ({"kind": "error", "error": "is_archived"}, FailureKind.DESTINATION, "is_archived", False),
        ({"kind": "error", "error": "not_in_channel"}, FailureKind.DESTINATION, "not_in_channel", False),
        ({"kind": "error", "error": "channel_not_found"}, FailureKind.DESTINATION, "channel_not_found", False),
        ({"kind": "error", "error": "invalid_attachments"}, FailureKind.PAYLOAD, "invalid_attachments", False),
        ({"kind": "error", "error": "invalid_blocks"}, FailureKind.PAYLOAD, "invalid_blocks", False),
        ({"kind": "error", "error": "msg_too_long"}, FailureKind.PAYLOAD, "msg_too_long", False),
        ({"kind": "error", "error": "message_not_found"}, FailureKind.GONE, "message_not_found", False),
        ({"kind": "error", "error": "edit_window_closed"}, FailureKind.UNEDITABLE, "edit_window_closed", False),
        ({"kind": "error", "error": "never_heard_of"}, FailureKind.UNKNOWN_CODE, "never_heard_of", False),
    ],
    ids=lambda value: value.get("error", value["kind"]) if isinstance(value, dict) else "",
)
def test_each_failure_has_its_kind(
    slack: Slack, sandbox: SandboxServer, fault: dict[str, Any], kind: FailureKind, code: str, outcome_unknown: bool
) -> None:
    """What to do next hangs on it; a message that Slack may have taken is called outcome_unknown."""
    sandbox.workspace.faults.add(**fault)
    with pytest.raises(SlackError) as caught:
        slack.post(CHANNEL, message())
    error = caught.value
    assert (error.kind, error.code, error.outcome_unknown) == (kind, code, outcome_unknown)
    assert error.retry_after == (7 if kind is FailureKind.RATE_LIMITED else 0)


@pytest.mark.parametrize("body", ["", "{", "null", "[]", "[1]", '"ok"', "17", "true", "\0\xff", '{"ok": "maybe"', "{}"])
@pytest.mark.parametrize("call", ["post", "update", "find"])
def test_answer_that_is_none(slack: Slack, sandbox: SandboxServer, body: str, call: str) -> None:
    """Whatever JSON stands there, or none: nobody knows what Slack did."""
    root = slack.post(CHANNEL, message())
    sandbox.workspace.faults.add("garbage", body=body)
    calls: dict[str, Callable[[], object]] = {
        "post": lambda: slack.post(CHANNEL, message()),
        "update": lambda: slack.update(CHANNEL, root.ts, message()),
        "find": lambda: slack.find(CHANNEL, "mine", float(root.ts), root.ts),
    }
    with pytest.raises(SlackError) as caught:
        calls[call]()
    assert (caught.value.kind, caught.value.code, caught.value.outcome_unknown) == (
        FailureKind.TRANSIENT,
        "not_json",
        True,
    )


@pytest.mark.parametrize(
    ("code", "kind", "line"),
    [
        ("posting_to_channel_denied", FailureKind.DESTINATION, "the bot may not post in this channel"),
        ("ekm_access_denied", FailureKind.DESTINATION, "suspended posting in this channel"),
        ("team_not_found", FailureKind.DESTINATION, "check the channel's ID"),
        ("accesslimited", FailureKind.AUTH, "from this network: ask a workspace admin"),
        ("two_factor_setup_required", FailureKind.AUTH, "ask a workspace admin"),
        ("method_deprecated", FailureKind.AUTH, "upgrade Alert Threader, check SLACK_API_URL"),
        ("slack_connect_file_link_sharing_blocked", FailureKind.PAYLOAD, "refuses the message's form"),
        ("markdown_text_conflict", FailureKind.PAYLOAD, "refuses the message's form"),
        ("restricted_action_thread_locked", FailureKind.GONE, "locked the thread: it goes on in a new one"),
        ("cannot_reply_to_message", FailureKind.GONE, "goes on in a new one"),
        ("external_channel_migrating", FailureKind.TRANSIENT, "wait for Slack"),
        ("update_failed", FailureKind.TRANSIENT, "wait for Slack"),
        ("cant_update_message", FailureKind.UNEDITABLE, "lets nobody edit messages"),
    ],
)
def test_each_code_has_its_remedy(
    slack: Slack, sandbox: SandboxServer, code: str, kind: FailureKind, line: str
) -> None:
    """Codes that Slack documents for the methods that are called; the line begins with the code."""
    sandbox.workspace.faults.add("error", error=code)
    with pytest.raises(SlackError) as caught:
        slack.post(CHANNEL, message())
    assert (caught.value.kind, caught.value.code) == (kind, code)
    assert str(caught.value).startswith(f"{code}: ")
    assert line in str(caught.value)
    assert caught.value.outcome_unknown == (code == "update_failed")


def test_refused_connection_is_certain(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: the message cannot have arrived, so nothing is looked up."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        slack = Slack(TOKEN, f"http://127.0.0.1:{unused.getsockname()[1]}/api/", TIMEOUT)
        with pytest.raises(SlackError) as caught:
            slack.post(CHANNEL, message())
    assert (caught.value.code, caught.value.outcome_unknown) == ("refused", False)
    assert not caplog.records


def test_missing_scope_names_it(sandbox: SandboxServer, slack: Slack) -> None:
    """The remedy is one line with the scope's name."""
    sandbox.workspace.configure(scopes=("channels:history",))
    with pytest.raises(SlackError, match=r"missing_scope: .*needed: chat:write"):
        slack.post(CHANNEL, message())


def test_wrong_token_is_in_no_line(sandbox: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error nor the log repeats it."""
    slack = Slack("xoxb-wrong-9876", sandbox.api_url, TIMEOUT)
    with caplog.at_level(logging.DEBUG), pytest.raises(SlackError, match="SLACK_BOT_TOKEN") as caught:
        slack.identify()
    assert "9876" not in str(caught.value)
    assert "9876" not in caplog.text


def test_identifies_the_bot_and_its_scopes(slack: Slack) -> None:
    """For alert-threader check."""
    assert slack.identify().scopes == ("chat:write", "channels:history", "channels:read")


def test_archived_channel_is_recognised(slack: Slack, sandbox: SandboxServer) -> None:
    """Before an alert finds out."""
    assert slack.channel_name(CHANNEL)
    sandbox.workspace.set_channel(CHANNEL, "archived")
    with pytest.raises(SlackError, match="is_archived: the channel is archived: unarchive it"):
        slack.channel_name(CHANNEL)
