"""Texts that the root has no more room for because other alerts joined: the reply that announces those repeats them."""

import re

from alert_threader.formatter import facts
from alert_threader.formatter.facts import Said
from alert_threader.formatter.listing import MARGIN, MAX_LEFT, bare_line, more_texts
from alert_threader.formatter.mrkdwn import MAX_SECTION, joined, link, literal, prose, truncate
from alert_threader.formatter.own_texts import BETWEEN_LABELS, MAX_DESCRIPTION, MAX_TEXT, QUOTE, heading, quoted
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import CUT, AlertState, one_line, short_name

#: All that is repeated, in characters.
_MAX_REPEATED = 4000
#: What stands in a message around a text that it shows: line breaks, quotes, bold, code, links.
_AROUND = re.compile(r"[\s>*\u2217`<|]+")
#: What ends a label on a line of several.
_AFTER_LABEL = re.compile(r"\s*(?:$|\||·|,|\))", re.MULTILINE)


def displaced(view: ThreadView, before: str, after: str, room: int) -> list[str]:
    """What each alert said in the message ``before`` and says no longer in the one ``after``, as far as ``room`` goes.

    ``view`` is of the thread without the newcomers. A text for each alert that begins with its name; empty where
    nothing is displaced.
    """
    then, now = _Shown(before), _Shown(after)
    room = min(room, _MAX_REPEATED) - MAX_LEFT
    repeated: list[str] = []
    left = 0
    for alert in filter(lambda each: each.is_detailed, view.alerts):
        said = view.said(alert)
        texts = {name: text for name, text in alert.annotations.items() if _is_gone(name, text, said, then, now)}
        described = next((name for name in texts if texts[name] == said.description), "")
        own = _own(view, alert, then, now)
        if not texts and not own:
            continue
        line = bare_line(view, alert, facts.fires(alert))
        share = min(room, MAX_SECTION) - len(line) - MARGIN
        lines, cut = quoted(texts.pop(described, ""), texts, share)
        share -= sum(map(len, lines)) + len(lines)
        last, unsaid = joined(own, BETWEEN_LABELS, share - len(QUOTE))
        left += cut + unsaid
        lines += [f"{QUOTE}{last}"] if last else []
        if lines:
            repeated.append("\n".join((line, *lines)))
            room -= len(repeated[-1]) + MARGIN
    return [*repeated, *more_texts(view, left)]


class _Shown:
    """What a message shows, to look for single things in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain = _AROUND.sub("", text)

    def has(self, text: str) -> bool:
        """Whether a text is in it, whatever stands around its words."""
        return _AROUND.sub("", text) in self._plain

    def has_label(self, name: str, value: str) -> bool:
        """Whether a label is in it: as ``name=value``, in a field, or as a name."""
        label, said = literal(f"{name}={value}"), literal(value)
        places = (match.end() for match in re.finditer(re.escape(label), self.text))
        if any(_AFTER_LABEL.match(self.text, place) for place in places):
            return True
        return any(line.endswith((f":* {said}", f" {said}")) for line in self.text.split("\n"))


def _is_gone(name: str, text: str, said: Said, then: _Shown, now: _Shown) -> bool:
    """Whether an annotation was shown, and is not any more."""
    head = f"{heading(name)}:" if name in said.others else ""
    if not head and text not in (said.summary, said.description, said.runbook, said.dashboard):
        return False  # it is never shown
    # A longer text was shown this far; what is cut in any case is not displaced.
    limit = MAX_DESCRIPTION if text == said.description else MAX_TEXT
    shown = head + truncate(prose(text), limit - 1).removesuffix(CUT)
    return then.has(shown) and not now.has(shown)


def _own(view: ThreadView, alert: AlertState, then: _Shown, now: _Shown) -> list[tuple[str, str]]:
    """The labels, values and links that are gone, each as it is shown and as it is."""
    named = {short_name(alert), *alert.distinct.values()}
    own = [
        (literal(f"{name}={value}", MAX_TEXT), value)
        for name, value in alert.labels.items()
        if named.isdisjoint((one_line(value), f"{name}={one_line(value)}"))
        and then.has_label(name, value)
        and not now.has_label(name, value)
    ]
    if alert.values and then.has(literal(alert.values)) and not now.has(literal(alert.values)):
        own.append((literal(alert.values, MAX_TEXT), alert.values))
    words = view.words
    for name, word in (("dashboard", words.dashboard), ("panel", words.panel), ("graph", words.graph)):
        said = link(alert.links.get(name, ""), word)
        if said and said in then.text and said not in now.text:
            own.append((said, said))
    return own
