"""What Slack checks before it accepts a message: text, blocks, attachments, metadata, and all of it together.

The codes are those of https://docs.slack.dev/reference/methods/chat.postMessage#errors.
"""

import json
from collections.abc import Iterator
from typing import Any

from slack_sandbox.blocks import block_faults, view_faults
from slack_sandbox.errors import RefusedError
from slack_sandbox.messages import Content, JsonObject

#: https://docs.slack.dev/changelog/2018-truncating-really-long-messages: text over 40,000 characters is cut,
#: and the method lists `msg_too_long`. Refusing shows a mistake that cutting would hide.
MAX_POST_TEXT = 40_000
#: https://docs.slack.dev/reference/methods/chat.update on `text`, which is shorter than in a post
MAX_UPDATE_TEXT = 4_000
#: https://docs.slack.dev/reference/methods/chat.postMessage#errors on too_many_attachments
MAX_ATTACHMENTS = 100
#: Slack gives no number for `msg_blocks_too_long`. Its maintainers say 12,000 characters and a buffer for
#: the blocks themselves; https://github.com/slackapi/bolt-js/issues/2509 measured about 13,200. The cost of
#: a block agrees with what https://github.com/slackapi/bolt-js/issues/2867 measured: 9,597 characters in 50
#: blocks pass, 11,341 in 45 do not.
MAX_BLOCKS_SIZE = 13_200
BLOCK_COST = 60
#: Slack gives no number for `metadata_too_large`; this is ample for what Alert Threader sends.
MAX_METADATA_BYTES = 16_384
#: Beside `blocks` an attachment may have no field of the old kind (https://github.com/slack-go/slack/pull/588,
#: https://github.com/slackapi/java-slack-sdk/issues/184): the answer is invalid_attachments.
_BESIDE_BLOCKS = frozenset({"blocks", "color", "fallback"})


def check_message(content: Content, most_text: int = MAX_POST_TEXT) -> None:
    """Raise `RefusedError` with Slack's code if Slack would not accept the message."""
    if not (content.text or content.blocks or any(_has_content(a) for a in content.attachments)):
        raise RefusedError("no_text")
    if len(content.text) > most_text:
        raise RefusedError("msg_too_long")
    _refuse("invalid_blocks", block_faults(list(content.blocks)))
    if len(content.attachments) > MAX_ATTACHMENTS:
        raise RefusedError("too_many_attachments")
    for index, attachment in enumerate(content.attachments):
        _refuse("invalid_attachments", _attachment_faults(attachment, f"/attachments/{index}"))
    if blocks_size(content) > MAX_BLOCKS_SIZE:
        raise RefusedError("msg_blocks_too_long")
    check_metadata(content.metadata)


def check_view(view: JsonObject) -> None:
    """Raise `RefusedError` unless Slack would open the form: https://docs.slack.dev/reference/views/modal-views."""
    _refuse("invalid_arguments", view_faults(view))


def blocks_size(content: Content) -> int:
    """Return the size of a message's blocks, those in attachments too: characters plus a cost for each."""
    blocks = [*content.blocks, *(b for a in content.attachments for b in a.get("blocks") or ())]
    return sum(BLOCK_COST + sum(map(len, _texts(block))) for block in blocks)


def check_metadata(metadata: JsonObject | None) -> None:
    """Raise `RefusedError` unless the metadata is an event type and a flat payload.

    https://docs.slack.dev/messaging/message-metadata, and the type `MessageMetadata` in @slack/types: a value
    in the payload is a string, a number, a boolean, an object of such values, or a list of them.
    """
    if metadata is None:
        return
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not event_type or not isinstance(payload, dict):
        raise RefusedError("invalid_metadata_format")
    if not all(_is_flat(value) for value in payload.values()):
        raise RefusedError("invalid_metadata_schema")
    if len(json.dumps(metadata, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise RefusedError("metadata_too_large")


def _refuse(code: str, faults: Iterator[str]) -> None:
    if found := list(faults):
        raise RefusedError(code, found)


def _has_content(attachment: JsonObject) -> bool:
    return any(attachment.get(key) for key in attachment.keys() - {"color", "fallback", "mrkdwn_in", "ts"})


def _attachment_faults(attachment: JsonObject, path: str) -> Iterator[str]:
    if "blocks" not in attachment:
        return
    for key in attachment.keys() - _BESIDE_BLOCKS:
        yield f"invalid additional property: {key} [json-pointer:{path}]"
    yield from block_faults(attachment["blocks"], f"{path}/blocks")


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node["text"]
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)


def _is_flat(value: object) -> bool:
    if isinstance(value, list):
        return all(not isinstance(part, list) and _is_flat(part) for part in value)
    parts = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(part, str | int | float) for part in parts)
