"""What the root said of alerts and has no room for since others joined: the reply that announces those repeats it."""

import re

from alert_threader.formatter import facts
from alert_threader.formatter.listing import (
    BETWEEN_LABELS,
    MAX_DESCRIPTION,
    MAX_TEXT,
    QUOTE,
    STATES,
    more_texts,
    quoted,
)
from alert_threader.formatter.mrkdwn import joined, literal, prose, truncate
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import CUT

#: So much of a label's value is shown at the least, in characters.
_MAX_LABEL = 60
_MAX_NAME = 400
#: All that is repeated, in characters, and what is left for saying how much is not.
_MAX_REPEATED = 4000
_MAX_LEFT = 1000
#: What stands in a message around a text that it shows: line breaks, quotes, bold, code, links.
_AROUND = re.compile(r"[\s>*\u2217`<|]+")


def displaced(view: ThreadView, before: str, after: str, room: int) -> list[str]:
    """What each alert said in the message ``before`` and says no longer in the one ``after``, as far as ``room`` goes.

    ``view`` is of the thread as it was then. A text for each alert that begins with its name; empty where nothing is
    displaced.
    """
    before, after = _AROUND.sub("", before), _AROUND.sub("", after)
    room = min(room, _MAX_REPEATED) - _MAX_LEFT

    def is_displaced(text: str, limit: int) -> bool:
        # Of a longer text so much was shown; what is cut anyhow is not displaced.
        said = _AROUND.sub("", truncate(prose(text), limit - 1).removesuffix(CUT))
        return said in before and said not in after

    repeated: list[str] = []
    left = 0
    for alert in filter(lambda each: each.is_detailed, view.alerts):
        said = view.said(alert)
        limits = {
            name: MAX_DESCRIPTION if text == said.description else MAX_TEXT for name, text in alert.annotations.items()
        }
        texts = {name: text for name, text in alert.annotations.items() if is_displaced(text, limits[name])}
        labels = {name: value for name, value in alert.labels.items() if is_displaced(value, _MAX_LABEL)}
        if not texts and not labels:
            continue
        line = f"{STATES[facts.fires(alert)]} {literal(view.name(alert), _MAX_NAME)}"
        described = next((name for name in texts if texts[name] == said.description), "")
        lines, cut = quoted(texts.pop(described, ""), texts, room - len(line))
        rest = room - sum(map(len, (line, *lines))) - len(lines) - len(QUOTE)
        said_labels = (literal(f"{name}={value}", MAX_TEXT) for name, value in labels.items())
        label_line, unsaid = joined(said_labels, BETWEEN_LABELS, rest)
        left += cut + unsaid
        lines += [f"{QUOTE}{label_line}"] if label_line else []
        if lines:
            repeated.append("\n".join((line, *lines)))
            room -= len(repeated[-1])
    return [*repeated, *more_texts(view, left)]
