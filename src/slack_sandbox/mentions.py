"""Whom a message notifies. A label from an alert must never appear here.

Source: https://docs.slack.dev/messaging/formatting-message-text#mentioning-users and the sections below it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

_MENTION = re.compile(
    r"<(?:!(?P<special>channel|here|everyone|group)|!subteam\^(?P<team>[A-Z0-9]+)|@(?P<user>[UW][A-Z0-9]+))(?:\|[^>]*)?>"
)

#: Attachment fields of the old kind that Slack reads as mrkdwn; `fallback` is plain text and mentions nobody.
#: https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
_ATTACHMENT_TEXTS = ("pretext", "text", "title", "footer")


def mentions_of(text: str, blocks: Sequence[object], attachments: Sequence[object]) -> tuple[str, ...]:
    """Return everyone a message notifies, each once, in order of appearance.

    The text counts although blocks hide it on the screen: Slack notifies for it all the same.
    """
    found: dict[str, None] = {}
    for part in (text, *_texts(blocks), *_attachment_texts(attachments)):
        for match in _MENTION.finditer(part):
            team = match["team"]
            found[f"subteam:{team}" if team else match["special"] or match["user"]] = None
    found.update(dict.fromkeys(_rich_mentions([blocks, attachments])))
    return tuple(found)


def _texts(node: object) -> Iterator[str]:
    """Yield the mrkdwn in blocks; a plain_text object is shown as it is."""
    if isinstance(node, dict):
        if node.get("type") in {"mrkdwn", "markdown"} and isinstance(node.get("text"), str):
            yield node["text"]
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)


def _attachment_texts(attachments: Sequence[object]) -> Iterator[str]:
    for attachment in attachments:
        if not isinstance(attachment, dict):
            continue
        yield from _texts(attachment.get("blocks"))
        fields: list[Any] = [f for f in attachment.get("fields") or () if isinstance(f, dict)]
        candidates = [attachment.get(name) for name in _ATTACHMENT_TEXTS]
        candidates += [part.get(name) for part in fields for name in ("title", "value")]
        yield from (text for text in candidates if isinstance(text, str))


def _rich_mentions(node: object) -> Iterator[str]:
    """Yield the mentions in rich_text blocks, where they are elements instead of text."""
    if isinstance(node, dict):
        match node:
            case {"type": "user", "user_id": str(user)}:
                yield user
            case {"type": "usergroup", "usergroup_id": str(team)}:
                yield f"subteam:{team}"
            case {"type": "broadcast", "range": str(reach)}:
                yield reach
        for value in node.values():
            yield from _rich_mentions(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _rich_mentions(value)
