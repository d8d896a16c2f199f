"""Slack's text objects, which blocks are built from.

https://docs.slack.dev/reference/block-kit/composition-objects/text-object
"""

from typing import Any

Block = dict[str, Any]


def plain_text(text: str) -> Block:
    """Text without markup."""
    return {"type": "plain_text", "text": text, "emoji": True}


def mrkdwn_text(text: str) -> Block:
    """Text in Slack's markup; ``verbatim``, so that Slack itself links nothing in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
