"""The sandbox's Web API as slack_sdk sees it: messages, threads, history, tokens, channels."""

import json
import urllib.request
from collections.abc import Iterator

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import SandboxServer

CHANNEL = "C0ALERTS"
HEADER = [{"type": "header", "text": {"type": "plain_text", "text": "Disk full"}}]
BAR = [{"color": "#E01E5A", "fallback": "Disk full"}]
METADATA = {"event_type": "alert_threader", "event_payload": {"attempt": "a1"}}


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """A Slack to speak to."""
    with SandboxServer(rate_limits=False) as server:
        yield server


@pytest.fixture
def client(slack: SandboxServer) -> WebClient:
    """The SDK's client of it."""
    return WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[])


def refusal(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    """The code that the refused call was answered."""
    return str(error.value.response["error"])


def test_auth_test_names_the_bot_and_its_scopes(client: WebClient) -> None:
    """A client learns who it is, and from the header what it may do."""
    answer = client.auth_test()
    assert answer["bot_id"].startswith("B")
    assert answer["user_id"].startswith("U")
    assert answer.headers["x-oauth-scopes"] == "chat:write,channels:history,channels:read"


def test_a_message_comes_back_as_it_was_sent(client: WebClient) -> None:
    """The answer holds the channel, a ts in Slack's form and the message by the bot."""
    answer = client.chat_postMessage(channel=CHANNEL, text="Disk full", blocks=HEADER)
    seconds, fraction = answer["ts"].split(".")
    assert (len(seconds), len(fraction)) == (10, 6)
    assert answer["channel"] == CHANNEL
    message = answer["message"]
    assert message["text"] == "Disk full"
    assert message["blocks"][0]["text"]["text"] == "Disk full"
    assert message["bot_id"]
    assert "thread_ts" not in message


def test_every_message_has_a_later_ts(client: WebClient) -> None:
    """A ts names one message of the workspace, and they rise."""
    stamps = [client.chat_postMessage(channel=f"C{n % 3}", text="x")["ts"] for n in range(20)]
    assert stamps == sorted(set(stamps))


def test_a_reply_is_in_the_thread_and_not_in_the_channel(slack: SandboxServer, client: WebClient) -> None:
    """A reply's answer names its thread; the history shows the parent with a count, and not the reply."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    reply = client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root)
    assert reply["message"]["thread_ts"] == root
    [shown] = client.conversations_history(channel=CHANNEL)["messages"]
    assert (shown["ts"], shown["reply_count"], shown["reply_users_count"]) == (root, 1, 1)
    assert shown["latest_reply"] == reply["ts"]
    assert [m.ts for m in slack.workspace.replies(CHANNEL, root)] == [reply["ts"]]


def test_replies_come_oldest_first_after_the_parent(client: WebClient) -> None:
    """conversations.replies tells a thread from its beginning."""
    root = client.chat_postMessage(channel=CHANNEL, text="0")["ts"]
    for text in "123":
        client.chat_postMessage(channel=CHANNEL, text=text, thread_ts=root)
    answer = client.conversations_replies(channel=CHANNEL, ts=root)
    assert [m["text"] for m in answer["messages"]] == ["0", "1", "2", "3"]
    assert answer["messages"][1]["parent_user_id"]


def test_replies_of_nothing_are_refused(client: WebClient) -> None:
    """There is no thread where there is no message."""
    client.chat_postMessage(channel=CHANNEL, text="x")
    with pytest.raises(SlackApiError) as error:
        client.conversations_replies(channel=CHANNEL, ts="1600000000.000000")
    assert refusal(error) == "thread_not_found"


@pytest.mark.parametrize("with_replies", [False, True])
def test_a_reply_to_a_deleted_parent_lands_in_the_channel(client: WebClient, *, with_replies: bool) -> None:
    """Slack accepts it without a word; only the missing thread_ts tells."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    if with_replies:
        client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root)
    client.chat_delete(channel=CHANNEL, ts=root)
    answer = client.chat_postMessage(channel=CHANNEL, text="late", thread_ts=root)
    assert answer["ok"]
    assert "thread_ts" not in answer["message"]
    assert client.conversations_history(channel=CHANNEL)["messages"][0]["ts"] == answer["ts"]


def test_a_reply_to_an_unknown_parent_lands_in_the_channel(client: WebClient) -> None:
    """A thread_ts that never was is treated like that of a deleted message."""
    answer = client.chat_postMessage(channel=CHANNEL, text="x", thread_ts="1600000000.000000")
    assert "thread_ts" not in answer["message"]


def test_a_deleted_parent_leaves_a_tombstone_while_it_has_replies(client: WebClient) -> None:
    """The thread stays readable under a tombstone, which goes with the last reply."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    reply = client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root)["ts"]
    client.chat_delete(channel=CHANNEL, ts=root)
    [stone] = client.conversations_history(channel=CHANNEL)["messages"]
    assert (stone["subtype"], stone["text"]) == ("tombstone", "This message was deleted.")
    assert len(client.conversations_replies(channel=CHANNEL, ts=root)["messages"]) == 2
    client.chat_delete(channel=CHANNEL, ts=reply)
    assert client.conversations_history(channel=CHANNEL)["messages"] == []


@pytest.mark.parametrize("method", ["chat_update", "chat_delete"])
def test_a_deleted_message_cannot_be_changed(client: WebClient, method: str) -> None:
    """An edit or a deletion of what is gone is message_not_found."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    client.chat_postMessage(channel=CHANNEL, text="reply", thread_ts=root)
    client.chat_delete(channel=CHANNEL, ts=root)
    with pytest.raises(SlackApiError) as error:
        getattr(client, method)(channel=CHANNEL, ts=root, text="again")
    assert refusal(error) == "message_not_found"


def test_an_update_keeps_the_ts_and_marks_the_message(slack: SandboxServer, client: WebClient) -> None:
    """An edited message stays where it is and says that it was edited."""
    root = client.chat_postMessage(channel=CHANNEL, text="before")["ts"]
    assert client.chat_update(channel=CHANNEL, ts=root, text="after")["ts"] == root
    [shown] = client.conversations_history(channel=CHANNEL)["messages"]
    assert shown["text"] == "after"
    assert shown["edited"]["ts"] > root
    assert slack.workspace.find(CHANNEL, root).edited_ts == shown["edited"]["ts"]


def test_an_update_keeps_what_it_does_not_name(slack: SandboxServer, client: WebClient) -> None:
    """Blocks, attachments and metadata stay unless they are sent; an empty list removes them."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=HEADER, attachments=BAR, metadata=METADATA)["ts"]
    client.chat_update(channel=CHANNEL, ts=ts, text="y")
    message = slack.workspace.find(CHANNEL, ts)
    assert message.blocks
    assert message.color == "#E01E5A"
    assert message.metadata == METADATA
    client.chat_update(channel=CHANNEL, ts=ts, text="y", blocks=[], attachments=[], metadata={})
    message = slack.workspace.find(CHANNEL, ts)
    assert (message.blocks, message.attachments, message.metadata) == ((), (), None)


def test_history_is_newest_first_and_comes_in_pages(client: WebClient) -> None:
    """Following next_cursor gives every message once."""
    for n in range(7):
        client.chat_postMessage(channel=CHANNEL, text=str(n))
    pages = [page.data for page in client.conversations_history(channel=CHANNEL, limit=3)]
    assert [page["has_more"] for page in pages] == [True, True, False]
    texts = [message["text"] for page in pages for message in page["messages"]]
    assert texts == ["6", "5", "4", "3", "2", "1", "0"]


def test_history_between_two_times(client: WebClient) -> None:
    """Oldest and latest are left out unless inclusive says otherwise."""
    stamps = [client.chat_postMessage(channel=CHANNEL, text=str(n))["ts"] for n in range(4)]
    between = {"channel": CHANNEL, "oldest": stamps[0], "latest": stamps[3]}
    assert [m["text"] for m in client.conversations_history(**between)["messages"]] == ["2", "1"]
    within = client.conversations_history(**between, inclusive=True)
    assert [m["text"] for m in within["messages"]] == ["3", "2", "1", "0"]


def test_a_thread_between_two_times_keeps_its_parent(client: WebClient) -> None:
    """Asking for the newest replies of a thread returns the parent and those."""
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    stamps = [client.chat_postMessage(channel=CHANNEL, text=t, thread_ts=root)["ts"] for t in "abc"]
    answer = client.conversations_replies(channel=CHANNEL, ts=root, oldest=stamps[1])
    assert [m["text"] for m in answer["messages"]] == ["root", "c"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"oldest": "yesterday"}, "invalid_ts_oldest"),
        ({"latest": "now"}, "invalid_ts_latest"),
        ({"limit": "many"}, "invalid_arguments"),
    ],
)
def test_history_refuses_what_it_cannot_read(client: WebClient, bad: dict[str, str], code: str) -> None:
    """A wrong cursor, time or limit is an error and not the whole history."""
    with pytest.raises(SlackApiError) as error:
        client.conversations_history(channel=CHANNEL, **bad)  # type: ignore[arg-type]
    assert refusal(error) == code


def test_metadata_comes_back_only_when_asked_for(client: WebClient) -> None:
    """The id of an attempt is found with include_all_metadata, in the channel and in a thread."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x", metadata=METADATA)["ts"]
    assert "metadata" not in client.conversations_history(channel=CHANNEL)["messages"][0]
    for answer in (
        client.conversations_history(channel=CHANNEL, include_all_metadata=True),
        client.conversations_replies(channel=CHANNEL, ts=ts, include_all_metadata=True),
    ):
        assert answer["messages"][0]["metadata"] == METADATA


def test_attachments_come_back_as_slack_keeps_them(client: WebClient) -> None:
    """Slack numbers attachments and drops the # of a colour."""
    client.chat_postMessage(channel=CHANNEL, text="x", attachments=BAR)
    [shown] = client.conversations_history(channel=CHANNEL)["messages"]
    assert shown["attachments"] == [{"id": 1, "color": "E01E5A", "fallback": "Disk full"}]


def test_a_permalink_leads_to_the_message(client: WebClient) -> None:
    """The link has Slack's form and is answered by the sandbox's own page."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    link = client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]
    assert link.endswith(f"/archives/{CHANNEL}/p{ts.replace('.', '')}")
    with urllib.request.urlopen(link, timeout=5) as page:
        assert page.url.endswith(f"/#{CHANNEL}/{ts}")
        # Whoever leaves before the end can make the server drop the page's file unclosed.
        assert b"</html>" in page.read()


def test_a_reaction_needs_its_scope_and_is_added_once(slack: SandboxServer, client: WebClient) -> None:
    """Without reactions:write it is refused; with it, the second time is already_reacted."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    with pytest.raises(SlackApiError) as error:
        client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    assert refusal(error) == "missing_scope"
    slack.workspace.configure(scopes=("chat:write", "reactions:write"))
    client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    with pytest.raises(SlackApiError) as error:
        client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    assert refusal(error) == "already_reacted"
    assert slack.workspace.find(CHANNEL, ts).reactions == ("eyes",)


@pytest.mark.parametrize(("token", "code"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
def test_a_wrong_token_is_refused(slack: SandboxServer, token: str, code: str) -> None:
    """No token and an unknown one have different codes."""
    with pytest.raises(SlackApiError) as error:
        WebClient(token, base_url=slack.api_url, retry_handlers=[]).auth_test()
    assert refusal(error) == code


def test_a_revoked_token_is_refused(slack: SandboxServer, client: WebClient) -> None:
    """A token can stop being valid while the service runs."""
    slack.workspace.configure(token_valid=False)
    with pytest.raises(SlackApiError) as error:
        client.chat_postMessage(channel=CHANNEL, text="x")
    assert refusal(error) == "invalid_auth"


def test_a_missing_scope_is_named(slack: SandboxServer, client: WebClient) -> None:
    """The answer says what is needed and what is there."""
    slack.workspace.configure(scopes=("chat:write",))
    with pytest.raises(SlackApiError) as error:
        client.conversations_history(channel=CHANNEL)
    answer = error.value.response
    assert answer["error"] == "missing_scope"
    assert "channels:history" in answer["needed"]
    assert answer["provided"] == "chat:write"


@pytest.mark.parametrize("standing", ["not_in_channel", "missing", "archived"])
def test_a_channel_that_cannot_be_posted_to(slack: SandboxServer, client: WebClient, standing: str) -> None:
    """Archived, missing and not joined channels answer with their own codes, and accept nothing."""
    slack.workspace.set_channel(CHANNEL, standing)
    with pytest.raises(SlackApiError) as error:
        client.chat_postMessage(channel=CHANNEL, text="x")
    codes = {"archived": "is_archived", "missing": "channel_not_found"}
    assert refusal(error) == codes.get(standing, standing)
    assert slack.workspace.messages(CHANNEL) == []


def test_a_message_in_an_archived_channel_cannot_be_edited(slack: SandboxServer, client: WebClient) -> None:
    """chat.update has a code of its own for it."""
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    slack.workspace.set_channel(CHANNEL, "archived")
    with pytest.raises(SlackApiError) as error:
        client.chat_update(channel=CHANNEL, ts=ts, text="y")
    assert refusal(error) == "is_inactive"
    assert client.conversations_info(channel=CHANNEL)["channel"]["is_archived"] is True


@pytest.mark.parametrize("channel", ["alerts", "#alerts", "c0alerts", "X0ALERTS", "C0 ALERTS", "C0ALERTS\n"])
def test_an_ill_formed_channel_is_not_found(client: WebClient, channel: str) -> None:
    """Only ids are channels."""
    with pytest.raises(SlackApiError) as error:
        client.chat_postMessage(channel=channel, text="x")
    assert refusal(error) == "channel_not_found"


def test_forms_carry_blocks_as_json_text(slack: SandboxServer, client: WebClient) -> None:
    """A form body means the same as a JSON body."""
    form = {
        "channel": CHANNEL,
        "text": "x",
        "blocks": json.dumps(HEADER),
        "attachments": json.dumps(BAR),
        "metadata": json.dumps(METADATA),
    }
    client.api_call("chat.postMessage", params=form)
    client.api_call("chat.postMessage", data=form)
    for message in slack.workspace.messages(CHANNEL):
        assert message.blocks == tuple(HEADER)
        assert message.color == "#E01E5A"
        assert message.metadata == METADATA


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[]", "application/json", "json_not_object"),
        (b"\x00", "multipart/form-data; boundary=x", "invalid_form_data"),
        (b"x", "text/plain", "invalid_post_type"),
        (b'{"channel": "C1", "text": "x", "blocks": "["}', "application/json", "invalid_blocks_format"),
        (b'{"channel": "C1", "text": "x", "attachments": "no"}', "application/json", "invalid_attachments"),
        (b'{"channel": "C1", "text": "x", "metadata": "["}', "application/json", "invalid_metadata_format"),
    ],
)
def test_a_body_that_cannot_be_read(slack: SandboxServer, body: bytes, content_type: str, code: str) -> None:
    """Each way to be malformed has its code, with HTTP 200 as always at Slack."""
    headers = {"Authorization": "Bearer xoxb-sandbox", "Content-Type": content_type}
    request = urllib.request.Request(f"{slack.api_url}chat.postMessage", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.load(answer)["error"] == code


def test_an_unknown_method_is_refused(client: WebClient) -> None:
    """A method that the sandbox does not have is an error that names it."""
    with pytest.raises(SlackApiError) as error:
        client.api_call("chat.postMassage")
    assert refusal(error) == "unknown_method"
    assert error.value.response["req_method"] == "chat.postMassage"
