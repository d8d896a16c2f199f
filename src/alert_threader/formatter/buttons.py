"""The buttons under a thread's first message.

A button's value is only a hint: what counts is the message that was pressed (``threads.press``).
https://docs.slack.dev/reference/block-kit/blocks/actions-block
"""

import hashlib

import msgspec

from alert_threader.formatter.mrkdwn import truncate
from alert_threader.formatter.text_objects import Block, plain_text
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import Operation, not_silenceable

#: The option that asks for a form instead of silencing at once.
CUSTOM = "custom"
#: https://docs.slack.dev/reference/block-kit/composition-objects/option-object
_MAX_OPTION = 75
#: Between an option's duration and the hash of its thread's key.
_BEFORE_HASH = "|"


class Pressing(msgspec.Struct, frozen=True, kw_only=True):
    """What can be pressed. ``durations`` are the menu of silences, as they are written; without any there is none."""

    durations: tuple[str, ...] = ()


def buttons(view: ThreadView, pressing: Pressing | None) -> list[Block]:
    """The buttons of a root, as one block; none where nothing can be pressed, or the problem is over."""
    if pressing is None or view.state in ("resolved", "stale"):
        return []
    thread, words = view.thread, view.words
    if thread.acknowledgement is None:
        elements = [_button(words.acknowledge, Operation.ACKNOWLEDGE, thread.key, style="primary")]
    else:
        elements = [_button(words.unacknowledge, Operation.UNACKNOWLEDGE, thread.key)]
    if pressing.durations and not thread.commands:
        elements += _silencing(view, pressing.durations)
    return [{"type": "actions", "elements": elements}]


def chosen(option: str) -> str:
    """The duration, or CUSTOM, that the value of a menu's option stands for."""
    return option.partition(_BEFORE_HASH)[0]


def _key_hash(key: str) -> str:
    """Stands for a thread's key where there is no room for it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _silencing(view: ThreadView, durations: tuple[str, ...]) -> list[Block]:
    thread, words = view.thread, view.words
    if any(silence.ours for silence in thread.silences):
        return [
            _button(words.unsilence, Operation.UNSILENCE, thread.key),
            _menu(words.extend, Operation.EXTEND, thread.key, [(text, text) for text in durations]),
        ]
    if not_silenceable(thread):
        return []
    options = [*((text, text) for text in durations), (words.custom, CUSTOM)]
    return [_menu(words.silence, Operation.SILENCE, thread.key, options)]


def _button(label: str, operation: Operation, key: str, style: str = "") -> Block:
    button: Block = {"type": "button", "text": plain_text(label), "action_id": str(operation), "value": key}
    return button | ({"style": style} if style else {})


def _menu(label: str, operation: Operation, key: str, options: list[tuple[str, str]]) -> Block:
    return {
        "type": "static_select",
        "placeholder": plain_text(label),
        "action_id": str(operation),
        "options": [
            {"text": plain_text(truncate(text, _MAX_OPTION)), "value": f"{value}{_BEFORE_HASH}{_key_hash(key)}"}
            for text, value in options
        ],
    }
