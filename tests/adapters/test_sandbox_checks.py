"""What Slack would not accept, the sandbox does not accept either; and whom a message mentions."""

from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import SandboxServer
from slack_sandbox.checks import BLOCK_COST, MAX_BLOCKS_SIZE

CHANNEL = "C0ALERTS"
Json = dict[str, Any]


def plain(text: str) -> Json:
    """A plain text object."""
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    """A mrkdwn text object."""
    return {"type": "mrkdwn", "text": text}


def section(text: str, **more: object) -> Json:
    """A section with a text."""
    return {"type": "section", "text": {**mrkdwn(text), **more}}


def fields(*texts: str) -> Json:
    """A section with fields."""
    return {"type": "section", "fields": [mrkdwn(text) for text in texts]}


def button(text: str, **more: object) -> Json:
    """An actions block with a button."""
    return {"type": "actions", "elements": [{"type": "button", "text": plain(text), **more}]}


GOOD_BLOCKS: list[Json] = [
    {"type": "header", "text": {**plain("h" * 150), "emoji": True}},
    fields(*["f" * 100] * 10),
    section("s" * 3000),
    {"type": "context", "elements": [mrkdwn("c")] * 10},
    {"type": "divider"},
    {"type": "image", "image_url": "https://example.com/x.png", "alt_text": "x"},
    button("b" * 75, url="https://example.com", style="danger"),
]

#: blocks, what the fault says, where it is
BAD_BLOCKS: dict[str, tuple[list[Json], str, str]] = {
    "header too long": ([{"type": "header", "text": plain("h" * 151)}], "less than 151", "/0/text/text"),
    "header as mrkdwn": ([{"type": "header", "text": mrkdwn("h")}], "type: mrkdwn", "/0/text/type"),
    "header without text": ([{"type": "header"}], "text object", "/0/text"),
    "section too long": ([section("s" * 3001)], "less than 3001", "/0/text/text"),
    "section empty": ([section("")], "more than 0", "/0/text/text"),
    "section of nothing": ([{"type": "section"}], "`text` or `fields`", "/0"),
    "text is no string": (
        [{"type": "header", "text": {"type": "plain_text", "text": 5}}],
        "a string",
        "/0/text/text",
    ),
    "emoji in mrkdwn": ([section("x", emoji=True)], "property: emoji", "/0/text"),
    "eleven fields": ([fields(*"12345678901")], "more than 10", "/0/fields"),
    "no fields": ([fields()], "at least one", "/0/fields"),
    "field too long": ([fields("f" * 2001)], "less than 2001", "/0/fields/0/text"),
    "eleven elements": ([{"type": "context", "elements": [mrkdwn("c")] * 11}], "more than 10", "/0/elements"),
    "empty element": ([{"type": "context", "elements": [mrkdwn("")]}], "more than 0", "/0/elements/0/text"),
    "51 blocks": ([{"type": "divider"}] * 51, "no more than 50", "]"),
    "unknown type": ([{"type": "banner"}], "unsupported type: banner", "/0/type"),
    "unknown property": ([{"type": "divider", "colour": "red"}], "property: colour", "/0"),
    "button text": ([button("b" * 76)], "less than 76", "/0/elements/0/text/text"),
    "button url": ([button("b", url="example")], "invalid url", "/0/elements/0/url"),
    "button style": ([button("b", style="loud")], "primary, danger", "/0/elements/0/style"),
    "accessory": (
        [{**section("x"), "accessory": {"type": "button", "text": plain("b" * 76)}}],
        "less than 76",
        "/0/accessory/text/text",
    ),
    "image": ([{"type": "image", "image_url": "https://example.com"}], "a string", "/0/alt_text"),
    "same block_id": ([{"type": "divider", "block_id": "a"}] * 2, "already exists: a", "/1/block_id"),
    "block_id too long": ([{"type": "divider", "block_id": "a" * 256}], "less than 256", "/0/block_id"),
}


@pytest.fixture(scope="module")
def slack() -> Iterator[SandboxServer]:
    """A Slack to speak to."""
    with SandboxServer(rate_limits=False) as server:
        yield server


@pytest.fixture
def client(slack: SandboxServer) -> WebClient:
    """The SDK's client of it."""
    slack.workspace.reset()
    return WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[])


def refused(client: WebClient, **message: object) -> Json:
    """The answer to a message that must be refused."""
    with pytest.raises(SlackApiError) as error:
        client.api_call("chat.postMessage", json={"channel": CHANNEL, **message})
    answer: Json = error.value.response.data
    return answer


def test_blocks_at_their_limits_are_accepted(client: WebClient) -> None:
    """Everything that is just allowed passes, in a message and in an attachment."""
    client.chat_postMessage(channel=CHANNEL, text="x", blocks=GOOD_BLOCKS)
    attachment = {"color": "#2EB67D", "fallback": "x", "blocks": GOOD_BLOCKS}
    client.chat_postMessage(channel=CHANNEL, text="x", attachments=[attachment])


@pytest.mark.parametrize("case", BAD_BLOCKS)
def test_a_block_fault_is_named(slack: SandboxServer, client: WebClient, case: str) -> None:
    """A fault is invalid_blocks in a message, invalid_attachments in an attachment, and says where it is."""
    blocks, what, where = BAD_BLOCKS[case]
    answer = refused(client, text="x", blocks=blocks)
    assert answer["error"] == "invalid_blocks"
    [*messages] = answer["response_metadata"]["messages"]
    assert any(what in m and where in m for m in messages), messages
    assert all(m.startswith("[ERROR] ") and "[json-pointer:/blocks" in m for m in messages)
    inside = refused(client, text="x", attachments=[{"color": "#E01E5A", "blocks": blocks}])
    assert inside["error"] == "invalid_attachments"
    assert "[json-pointer:/attachments/0/blocks" in inside["response_metadata"]["messages"][0]
    assert slack.workspace.messages(CHANNEL) == []


def test_beside_blocks_an_attachment_has_only_colour_and_fallback(client: WebClient) -> None:
    """An old field next to blocks is what Slack rejects without saying why; here it is named."""
    answer = refused(client, text="x", attachments=[{"blocks": [{"type": "divider"}], "text": "old"}])
    assert answer["error"] == "invalid_attachments"
    assert "text" in answer["response_metadata"]["messages"][0]


def test_an_attachment_of_the_old_kind_is_accepted(slack: SandboxServer, client: WebClient) -> None:
    """Without blocks the old fields are fine, and an attachment alone is a message."""
    attachments = [{"color": "good", "text": "x"}]
    client.api_call("chat.postMessage", json={"channel": CHANNEL, "attachments": attachments})
    assert slack.workspace.messages(CHANNEL)[0].color == "good"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "", "blocks": [], "attachments": [{"color": "#fff"}]}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
        ({"text": "x", "blocks": [section("s" * 2700)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "attachments": [{"blocks": [section("s" * 2700)] * 5}]}, "msg_blocks_too_long"),
        ({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": 5, "event_payload": {}}}, "invalid_metadata_format"),
        (
            {"text": "x", "metadata": {"event_type": "x", "event_payload": {"a": {"b": {"c": 1}}}}},
            "invalid_metadata_schema",
        ),
        (
            {"text": "x", "metadata": {"event_type": "x", "event_payload": {"a": [["b"]]}}},
            "invalid_metadata_schema",
        ),
        (
            {"text": "x", "metadata": {"event_type": "x", "event_payload": {"a": "y" * 20_000}}},
            "metadata_too_large",
        ),
    ],
)
def test_a_message_that_is_refused_as_a_whole(client: WebClient, message: Json, code: str) -> None:
    """Nothing to say, too much to say, and metadata out of shape each have a code."""
    assert refused(client, **message)["error"] == code


def test_the_largest_message_is_accepted(client: WebClient) -> None:
    """The limit for all blocks together is a sum over blocks and attachments."""
    rest = MAX_BLOCKS_SIZE - 5 * BLOCK_COST - 4 * 3000
    blocks = [section("s" * 3000)] * 4
    client.chat_postMessage(channel=CHANNEL, text="x", blocks=[*blocks, section("s" * rest)])
    answer = refused(client, text="x", blocks=[*blocks, section("s" * (rest + 1))])
    assert answer["error"] == "msg_blocks_too_long"


def test_metadata_may_hold_simple_values(client: WebClient) -> None:
    """Strings, numbers, booleans, one level of objects and lists of them are a payload."""
    payload = {"a": "x", "b": 1, "c": True, "d": {"e": "f"}, "g": ["h", {"i": 2}]}
    client.chat_postMessage(
        channel=CHANNEL, text="x", metadata={"event_type": "alert_threader", "event_payload": payload}
    )


def test_an_update_is_checked_too(slack: SandboxServer, client: WebClient) -> None:
    """An edit that Slack would refuse changes nothing; its text may have 4,000 characters."""
    ts = client.chat_postMessage(channel=CHANNEL, text="before")["ts"]
    for bad, code in (
        ({"text": "x" * 4001}, "msg_too_long"),
        ({"text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"text": "", "blocks": []}, "no_text"),
        ({}, "no_text"),
    ):
        with pytest.raises(SlackApiError) as error:
            client.api_call("chat.update", json={"channel": CHANNEL, "ts": ts, **bad})
        assert error.value.response["error"] == code
    assert slack.workspace.find(CHANNEL, ts).text == "before"
    client.chat_update(channel=CHANNEL, ts=ts, text="x" * 4000)


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("<!channel> <!here|here> <!everyone>", ("channel", "here", "everyone")),
        ("<@U012AB3CD> and <@W012AB3CD|egon>", ("U012AB3CD", "W012AB3CD")),
        ("<!subteam^S012AB3CD|@sre>", ("subteam:S012AB3CD",)),
        ("&lt;!channel&gt; @channel !here <https://example.com|@here>", ()),
    ],
)
def test_mentions_are_found_wherever_slack_reads_mrkdwn(
    slack: SandboxServer, client: WebClient, text: str, mentions: tuple[str, ...]
) -> None:
    """Text, sections, fields, contexts and attachments mention; escaped text mentions nobody."""
    context = {"type": "context", "elements": [mrkdwn(text)]}
    for message in (
        {"text": text},
        {"text": "x", "blocks": [section(text)]},
        {"text": "x", "blocks": [fields(text)]},
        {"text": "x", "attachments": [{"blocks": [context]}]},
        {"text": "x", "attachments": [{"pretext": text}]},
        {"text": "x", "attachments": [{"fields": [{"title": "t", "value": text}]}]},
    ):
        ts = client.chat_postMessage(channel=CHANNEL, **message)["ts"]
        assert slack.workspace.find(CHANNEL, ts).mentions == mentions


def test_plain_text_and_fallbacks_mention_nobody(slack: SandboxServer, client: WebClient) -> None:
    """A header and a fallback are shown as they are."""
    ts = client.chat_postMessage(
        channel=CHANNEL,
        text="x",
        blocks=[{"type": "header", "text": plain("<!channel>")}],
        attachments=[{"color": "#E01E5A", "fallback": "<!here>", "blocks": [{"type": "divider"}]}],
    )["ts"]
    assert slack.workspace.find(CHANNEL, ts).mentions == ()


def test_elements_of_rich_text_mention(slack: SandboxServer, client: WebClient) -> None:
    """In rich text a mention is an element."""
    elements = [
        {"type": "broadcast", "range": "channel"},
        {"type": "user", "user_id": "U1"},
        {"type": "usergroup", "usergroup_id": "S1"},
    ]
    block = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=[block])["ts"]
    assert slack.workspace.find(CHANNEL, ts).mentions == ("channel", "U1", "subteam:S1")
