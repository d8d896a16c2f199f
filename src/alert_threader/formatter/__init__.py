"""What people see: an AlertThread and a step become the arguments of one Slack call.

``view`` reads the record once for each message, ``content`` says what is said, with ``labels``, ``description``,
``listing``, ``own_texts``, ``links``, ``notes``, ``status_line``, ``buttons``, ``displaced`` and ``times`` for the
parts that need rules of their own, in the ``words`` of a language; ``layout`` puts it into Slack's forms. Pure, and for
any record: an alert that cannot be shown well is shown somehow.
"""

import hashlib
import json
from typing import Any

import msgspec

from alert_threader.formatter import layout
from alert_threader.formatter.answers import RefusedPress, answer_to, silence_comment
from alert_threader.formatter.buttons import CUSTOM, Pressing, chosen
from alert_threader.formatter.content import reply_content, root_content
from alert_threader.formatter.english import ENGLISH
from alert_threader.formatter.facts import lasting
from alert_threader.formatter.forms import (
    DURATION,
    EACH_ALERT,
    OPTIONS,
    REASON,
    SILENCE_FORM,
    WITH_PROBLEM,
    FormFault,
    Matching,
    form_faults,
    silence_form,
)
from alert_threader.formatter.korean import KOREAN
from alert_threader.formatter.view import ThreadView
from alert_threader.formatter.words import Words
from alert_threader.threads import AlertThread, Batch, Severities, Step

#: From this simplicity on a message has no metadata: it is the last thing that could be at fault.
_WITHOUT_METADATA = 3
_LAYOUTS = (layout.in_full, layout.in_blocks, layout.in_text, layout.in_ascii)

#: The tables by the word that ``LANGUAGE`` names them with.
LANGUAGES = {"en": ENGLISH, "ko": KOREAN}

__all__ = [
    "CUSTOM",
    "DURATION",
    "EACH_ALERT",
    "ENGLISH",
    "LANGUAGES",
    "OPTIONS",
    "REASON",
    "SILENCE_FORM",
    "WITH_PROBLEM",
    "FormFault",
    "Matching",
    "Pressing",
    "RefusedPress",
    "Words",
    "answer_to",
    "chosen",
    "form_faults",
    "lasting",
    "message_hash",
    "render",
    "render_duplicate",
    "silence_comment",
    "silence_form",
]

EVENT_TYPE = "alert_threader"
#: How many events a message's metadata names, and how long it may be, in bytes of JSON (Slack publishes no
#: number).
_MAX_EVENTS = 100
_MAX_PAYLOAD = 6000
_MAX_NAME = 64
_MAX_NOTES = 10

#: What a person sees of a message. Metadata is left out: it differs for every post of the same text.
_SHOWN = ("text", "blocks", "attachments")
_encoder = msgspec.json.Encoder(order="sorted")


def render(  # noqa: PLR0913 - a keyword for each setting that a message depends on
    thread: AlertThread,
    step: Step,
    batch: Batch,
    *,
    environment: str,
    words: Words = ENGLISH,
    severities: Severities = Severities(),  # noqa: B008 - an immutable value
    attempt_id: str | None = None,
    simple: int = 0,
    pressing: Pressing | None = None,
) -> dict[str, Any]:
    """The arguments of chat.postMessage or chat.update for a step, but for channel, ts and thread_ts.

    ``batch`` is what the message delivers; a root shows the thread as it is, whatever the batch. ``environment`` is
    for alerts that name none, ``words`` are those of a language, ``severities`` the settings of severities. ``simple``
    is the record's: 0 in full, 1 without attachment, 2 text only, 3 a plain line without metadata. ``pressing`` is what
    can be pressed; None for nothing. Never raises.
    """
    view = ThreadView(thread, environment, words, severities, is_edit=step is Step.UPDATE_ROOT)
    content = reply_content(view, batch) if step is Step.POST_REPLY else root_content(view, pressing)
    message = _LAYOUTS[min(max(simple, 0), len(_LAYOUTS) - 1)](content)
    message |= {"unfurl_links": False, "unfurl_media": False}
    if step is Step.POST_REPLY and thread.uneditable and _changes_state(thread, batch):
        message["reply_broadcast"] = True
    if attempt_id is not None and simple < _WITHOUT_METADATA:
        message["metadata"] = {"event_type": EVENT_TYPE, "event_payload": _payload(thread, batch, attempt_id)}
    return message


def render_duplicate(link: str, words: Words = ENGLISH) -> dict[str, Any]:
    """What a copy of a message is edited to that cannot be deleted; ``link`` leads to the message that counts."""
    return {"text": words.duplicate.format(link=f"<{link}>")}


def message_hash(message: dict[str, Any]) -> str:
    """Compute the hash of what a rendered message shows, 16 hex digits: equal for equal text, blocks and attachments.

    An edit whose message has the hash of the one that was sent last would change nothing, and need not be made.
    """
    shown = _encoder.encode({part: message.get(part) for part in _SHOWN})
    return hashlib.blake2b(shown, digest_size=8).hexdigest()


def _changes_state(thread: AlertThread, batch: Batch) -> bool:
    """Whether a batch says what the root would turn another colour for."""
    return batch.reopened or not thread.firing


def _payload(thread: AlertThread, batch: Batch, attempt_id: str) -> dict[str, str | int]:
    """What a lost message is found by, and what it reports: ``fired:<fingerprint> …``, and ``acknowledged:<name> …``.

    A string, because Slack's types for a payload know no list of strings (``MessageMetadata`` in
    @slack/types).
    """
    events = [f"{event.kind}:{name[:_MAX_NAME]}" for name, event in batch.events.items()][:_MAX_EVENTS]
    payload: dict[str, str | int] = {
        "attempt": attempt_id,
        "key": thread.key,
        "told_count": len(batch.events),
    }
    if batch.notes:
        payload["notes"] = " ".join(f"{note.kind}:{note.who[:_MAX_NAME]}" for note in batch.notes[:_MAX_NOTES])
    while events and len(json.dumps({**payload, "told": " ".join(events)})) > _MAX_PAYLOAD:
        events = events[: len(events) * 3 // 4]
    return payload | {"told": " ".join(events)}
