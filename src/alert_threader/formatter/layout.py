"""The form that a message's content takes in Slack: blocks and an attachment, blocks alone, or text."""

from typing import Any

from alert_threader.formatter.content import Content
from alert_threader.formatter.mrkdwn import MAX_SECTION, MAX_TEXT, bold, escape, plain, truncate
from alert_threader.formatter.text_objects import mrkdwn_text, plain_text


def in_full(content: Content) -> dict[str, Any]:
    """The headline on top, and one attachment with the colour and the rest.

    Beside blocks an attachment may have a colour and a fallback, and nothing else. Top-level blocks are there
    for a reply too: without them Slack shows ``text`` above the attachment, and everything would be said
    twice.
    """
    blocks = [
        *_section_fields(content.fields),
        *_sections(*_alerts(content), *_packed(content.description), content.links),
        *_context(content.context),
        *content.buttons,
    ]
    attachment = {"color": content.colour, "fallback": content.text, "blocks": blocks}
    return {
        "text": content.text,
        "blocks": [_headline(content)],
        "attachments": [attachment] if blocks else [],
    }


def in_blocks(content: Content) -> dict[str, Any]:
    """The same without an attachment and without links: what Slack refused may be gone with them."""
    blocks = [
        _headline(content),
        *_sections("\n".join(content.fields), *_alerts(content), *_packed(content.description)),
    ]
    blocks += [*_context(content.context), *content.buttons]
    return {"text": content.text, "blocks": blocks, "attachments": []}


def in_text(content: Content) -> dict[str, Any]:
    """Text alone, of several lines. The empty lists take away what an edited message showed before."""
    parts = [content.text, *_alerts(content), *content.context, content.links, *content.description]
    text = truncate("\n".join(filter(None, parts)), MAX_TEXT - 100)
    return {"text": text, "blocks": [], "attachments": []}


def in_ascii(content: Content) -> dict[str, Any]:
    """One line of the plainest text."""
    # Of the signs in front nothing but question marks would be left.
    return {"text": plain(content.text).lstrip("? "), "blocks": [], "attachments": []}


def _alerts(content: Content) -> list[str]:
    """The alerts in as few texts as hold them; none is parted between two."""
    return _packed([content.counts, *content.alerts, *content.names])


def _packed(parts: list[str]) -> list[str]:
    """The parts, one below the other, in as few texts as Slack takes; empty ones are left out."""
    texts: list[str] = []
    for part in filter(None, parts):
        if texts and len(texts[-1]) + 1 + len(part) <= MAX_SECTION:
            texts[-1] += f"\n{part}"
        else:
            texts.append(part)
    return texts


def _headline(content: Content) -> dict[str, Any]:
    if content.is_root:
        return {"type": "header", "text": plain_text(content.headline)}
    return {"type": "section", "text": mrkdwn_text(bold(escape(content.headline)))}


def _section_fields(fields: list[str]) -> list[dict[str, Any]]:
    return [{"type": "section", "fields": [mrkdwn_text(field) for field in fields]}] if fields else []


def _sections(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "section", "text": mrkdwn_text(text)} for text in texts if text]


def _context(lines: list[str]) -> list[dict[str, Any]]:
    # One element: Slack sets several side by side.
    return [{"type": "context", "elements": [mrkdwn_text("\n".join(lines))]}] if lines else []
