"""Messages as a person reads them in a terminal, and as an address of Slack's Block Kit Builder."""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

#: https://docs.slack.dev/tools/block-kit-builder: what stands behind the hash is the message.
_BUILDER = "https://app.slack.com/block-kit-builder#"
_LINK = re.compile(r"<(https?://[^|>]+)(?:\|([^>]*))?>")
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
#: What a message sends for the form alone.
_SHOWN = ("blocks", "attachments")


def lines(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The messages of ``cli.preview``, one below the other: what each is, its blocks, and what a phone shows of it."""
    for number, each in enumerate(messages):
        message = each["message"]
        yield from [""] if number else []
        yield f"{each['step']} in {each['channel']}, thread {each['key']}"
        for block in message["blocks"]:
            yield from (f"  {line}" for line in _block(block))
        for attachment in message["attachments"]:
            for block in attachment["blocks"]:
                yield from (f"  │ {line}" for line in _block(block))
        yield f"  on a phone: {_plain(message['text'])}"


def builder_address(message: Mapping[str, Any]) -> str:
    """The address at which Slack's Block Kit Builder shows a message."""
    shown = {part: message[part] for part in _SHOWN if message.get(part)}
    return _BUILDER + quote(json.dumps(shown, ensure_ascii=False), safe="")


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    texts = [block["text"]] if "text" in block else [*block.get("fields", ()), *block.get("elements", ())]
    for text in texts:
        said = _plain(text["text"]) if text["type"] == "mrkdwn" else text["text"]
        yield from said.split("\n")


def _plain(mrkdwn: str) -> str:
    linked = _LINK.sub(lambda found: f"{found[2]} ({found[1]})" if found[2] else found[1], mrkdwn)
    return html.unescape(_BOLD.sub(r"\1", linked))
