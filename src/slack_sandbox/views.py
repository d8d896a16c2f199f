"""Messages as JSON: as Slack's API shows them, and as the control API and the page show them."""

from collections.abc import Sequence
from dataclasses import asdict

from slack_sandbox.messages import JsonObject, Message
from slack_sandbox.people import TEAM_ID, People
from slack_sandbox.workspace import Snapshot

APP_ID = "A0SANDBOX"
BOT_ID = "B0SANDBOX"
USER_ID = "U0SANDBOX"
BOT_NAME = "Alert Threader"


def slack_message(message: Message, replies: Sequence[Message] = (), *, with_metadata: bool = False) -> JsonObject:
    """Return a message as conversations.history shows it; `replies` are those of its thread, oldest first.

    https://docs.slack.dev/reference/methods/conversations.history#examples and
    https://docs.slack.dev/messaging/#threading for what a parent has in addition.
    """
    if message.deleted:
        return _tombstone(message) | _thread_summary(message, replies)
    shown: JsonObject = {
        "type": "message",
        "user": USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "team": TEAM_ID,
        "text": message.text,
        "ts": message.ts,
    }
    if message.blocks:
        shown["blocks"] = [{"block_id": f"b{n}", **block} for n, block in enumerate(message.blocks)]
    if message.attachments:
        shown["attachments"] = [_slack_attachment(n, a) for n, a in enumerate(message.attachments, 1)]
    if message.edited_ts:
        shown["edited"] = {"user": BOT_ID, "ts": message.edited_ts}
    if message.reactions:
        shown["reactions"] = [{"name": name, "users": [USER_ID], "count": 1} for name in message.reactions]
    if message.thread_ts:
        shown |= {"thread_ts": message.thread_ts, "parent_user_id": USER_ID}
    if message.broadcast:
        # https://docs.slack.dev/reference/events/message/thread_broadcast
        shown["subtype"] = "thread_broadcast"
    if with_metadata and message.metadata:
        shown["metadata"] = message.metadata
    return shown | _thread_summary(message, replies)


def state(snapshot: Snapshot) -> JsonObject:
    """Return everything: channels, their messages oldest first (the deleted ones marked), replies inside."""
    channels: dict[str, JsonObject] = {
        name: {"id": name, "standing": standing.value, "messages": []} for name, standing in snapshot.channels.items()
    }
    shown = {(m.channel, m.ts): state_message(m) for m in snapshot.messages}
    for message in snapshot.messages:
        own = shown[message.channel, message.ts]
        if message.thread_ts is None:
            own |= {"replies": [], "reply_count": 0}
            channels[message.channel]["messages"].append(own)
        else:
            parent = shown[message.channel, message.thread_ts]
            parent["replies"].append(own)
            parent["reply_count"] += not message.deleted
    return {"version": snapshot.version, "epoch": snapshot.epoch, "channels": list(channels.values())}


def of_people(people: People) -> JsonObject:
    """Return what only one person sees, and the forms that are open."""
    return {
        "ephemerals": [asdict(each) for each in people.ephemerals],
        "views": [asdict(each) for each in people.views],
    }


def changes(snapshot: Snapshot, people: People) -> JsonObject:
    """Return the messages one by one, as the page wants them, and all that only one person sees."""
    return {
        "version": snapshot.version,
        "epoch": snapshot.epoch,
        "channels": [{"id": name, "standing": s.value} for name, s in snapshot.channels.items()],
        **of_people(people),
        "messages": [state_message(message) for message in snapshot.messages],
    }


def state_message(message: Message) -> JsonObject:
    """Return one message as it was sent, with what became of it and whom it mentions."""
    return {
        "channel": message.channel,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "user": BOT_NAME,
        "text": message.text,
        "blocks": message.blocks,
        "attachments": message.attachments,
        "metadata": message.metadata,
        "edited": message.edited_ts,
        "deleted": message.deleted,
        "broadcast": message.broadcast,
        "reactions": message.reactions,
        "mentions": message.mentions,
    }


def _tombstone(message: Message) -> JsonObject:
    # As seen in https://github.com/hackclub/toriel/pull/238; the documentation names only the subtype.
    return {
        "type": "message",
        "subtype": "tombstone",
        "hidden": True,
        "user": "USLACKBOT",
        "text": "This message was deleted.",
        "ts": message.ts,
    }


def _slack_attachment(number: int, attachment: JsonObject) -> JsonObject:
    # Slack numbers attachments, fills in the fallback and gives colours back without the "#".
    shown: JsonObject = {"id": number, "fallback": "[no preview available]", **attachment}
    if isinstance(shown.get("color"), str):
        shown["color"] = shown["color"].removeprefix("#")
    return shown


def _thread_summary(message: Message, replies: Sequence[Message]) -> JsonObject:
    if not replies:
        return {}
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": 1,
        "reply_users": [USER_ID],
        "latest_reply": replies[-1].ts,
    }
