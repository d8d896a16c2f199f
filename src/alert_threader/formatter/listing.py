"""The alerts of a message: each on a line that begins with its state, then what it says of itself, then names alone."""

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.links import SEPARATOR, own_links, source_link
from alert_threader.formatter.mrkdwn import bold, escape, joined, literal, one_line, prose, truncate, unmarked
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import BETWEEN_NAMES, AlertState, Batch, Event, EventKind, fitting

#: Told apart by their form too: not everybody sees the colours.
_FIRING, _RESOLVED = "🔴", "✅"
#: What sets off an alert's own texts from its line: Slack shows a bar.
_QUOTE = ">"
#: Between two labels on a line.
BETWEEN_LABELS = " | "

#: The lines together, the names behind them, and what an alert says of itself on one line, in characters as sent.
_MAX_LINES = 2200
_MAX_NAMES = 2300
_MAX_SUMMARY = 150
#: The parts of an alert's name, what else is said in brackets behind it, each, and the line on what is left out.
_MAX_NAME = 400
_MAX_NOTE = 60
_MAX_LEFT = 1000
#: An alert's own description, each further text of its own, and what one is not begun below.
_MAX_DESCRIPTION = 600
_MAX_TEXT = 200
_LEAST = 40
#: All that one alert says: with its line it stands in one section of Slack.
_MAX_OWN = 1700
_MAX_ALL_OWN = 4000


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One alert to list: its state, which may be older than the alert's own, and a note beside its name."""

    alert: AlertState
    fires: bool
    note: str = ""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts as a message lists them: ``lines`` one or more for each, and ``rest`` by name alone."""

    lines: list[str] = []
    rest: list[str] = []


class Texts(Enum):
    """What a listing says of its alerts beside their names."""

    #: What the thread does not say already.
    OWN = auto()
    #: The same of those that fire; of those that ended, what their end says.
    NEWS = auto()
    NONE = auto()


def now(view: ThreadView) -> list[Listed]:
    """All alerts as they are, the firing ones first."""
    return [Listed(alert=alert, fires=facts.fires(alert)) for alert in view.alerts]


def delivered(view: ThreadView, batch: Batch) -> list[Listed]:
    """The alerts of a batch's events as the events left them, the firing ones first."""
    alerts = view.thread.alerts
    return [
        Listed(
            alert=alerts[fingerprint],
            fires=event.kind is EventKind.FIRED,
            note=_folded(view, event) or (_lasted(view, alerts[fingerprint]) if len(batch.events) > 1 else ""),
        )
        for fingerprint, event in batch.fired_first
        if fingerprint in alerts
    ]


def listing(view: ThreadView, listed: Sequence[Listed], total: int, count: int, texts: Texts, room: int) -> Listing:
    """The first ``count`` alerts with a line each, the others by name, and with the lines what they say of themselves.

    ``total`` is how many there are in all; those that are not even named are counted. ``room`` is for all of it.
    """
    lines = _lines(view, listed[:count])
    unlisted = listed[len(lines) :]
    named, names = _by_name(view, unlisted)
    left = total - len(lines) - named
    if texts is Texts.NONE:
        return Listing(lines=lines, rest=[*names, *_left(view, left, 0)])
    room -= sum(map(len, (*lines, *names))) + _MAX_LEFT
    own = _own_texts(view, listed[: len(lines)], texts, min(room, _MAX_ALL_OWN))
    left_texts = sum(left for _, left in own) + sum(_count_own(view, item, texts) for item in unlisted)
    lines = ["\n".join((line, *said)) for line, (said, _) in zip(lines, own, strict=True)]
    return Listing(lines=lines, rest=[*names, *_left(view, left, left_texts)])


def _left(view: ThreadView, alerts: int, texts: int) -> list[str]:
    """How many alerts are not named, how many texts and labels not shown, and where they can be read."""
    words = view.words
    if not alerts:
        return more_texts(view, texts)
    said = words.more_of_both if texts else words.more
    return [said.format(count=alerts, texts=texts, source=source_link(view))]


def more_texts(view: ThreadView, count: int) -> list[str]:
    """How many texts and labels are not shown, and where they can be read, on a line; none where all are shown."""
    if not count:
        return []
    said = view.words.more_texts_one if count == 1 else view.words.more_texts
    return [said.format(count=count, source=source_link(view))]


def _folded(view: ThreadView, event: Event) -> str:
    """How an alert came to its state, where that took more than the one step which its state tells."""
    if event.changes == 1:
        return ""
    if event.changes > 2:
        return view.words.changed_times.format(count=event.changes)
    is_over = event.kind is EventKind.RESOLVED
    return view.words.fired_and_resolved if is_over else view.words.resolved_and_fired_again


def _lasted(view: ThreadView, alert: AlertState) -> str:
    """After how long an alert resolved."""
    if facts.fires(alert) or not alert.starts_at or not alert.ends_at:
        return ""
    return view.words.after.format(time=facts.lasting(facts.between(alert.starts_at, alert.ends_at), view.words))


def _lines(view: ThreadView, listed: Sequence[Listed]) -> list[str]:
    lines: list[str] = []
    room = _MAX_LINES
    for item in listed:
        line = _line(view, item)
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    return lines


def _line(view: ThreadView, item: Listed) -> str:
    alert = item.alert
    distinct = literal(", ".join(f"{name}={value}" for name, value in alert.distinct.items()), _MAX_NAME)
    values = "" if view.shared_values else literal(alert.values, _MAX_NOTE)
    reason = "" if item.fires else literal(facts.ended_because(alert, view.words), _MAX_NOTE)
    said = _named(one_line(alert.name) or view.name(alert), _summary(view, alert))
    notes = [note for note in (distinct if alert.name else "", values, item.note, reason) if note]
    return " ".join((_FIRING if item.fires else _RESOLVED, said, *(f"({note})" for note in notes)))


def _named(name: str, summary: str) -> str:
    """The alert's name and what it says of itself, the name once: in bold where the summary holds it."""
    if not summary:
        return literal(name, _MAX_NAME)
    place = facts.find_name(escape(name), summary)
    if place is None or literal(name) != escape(name):
        return f"{literal(name, _MAX_NAME)} — {summary}"
    before, after = summary[: place.start()], summary[place.end() :]
    # Slack makes bold only what stands between spaces.
    apart = before[-1:].strip() == "" and after[:1].strip() == ""
    return f"{before}{bold(place[0]) if apart else place[0]}{after}"


def _summary(view: ThreadView, alert: AlertState) -> str:
    summary = unmarked(view.said(alert).summary)
    if summary == view.title:
        return ""
    # A fence would reach beyond its line.
    return truncate(escape(summary.replace("```", "`")), _MAX_SUMMARY)


def _by_name(view: ThreadView, listed: Sequence[Listed]) -> tuple[int, list[str]]:
    """As many alerts by name as there is room for, a line for each state, and how many they are."""
    names: dict[bool, list[str]] = {}
    count = fitting([item.alert for item in listed])
    for item in listed[:count]:
        names.setdefault(item.fires, []).append(literal(view.name(item.alert), 2 * _MAX_NAME))
    lines, room = [], _MAX_NAMES
    for fires, each in names.items():
        # Escaped they can be longer than they were counted.
        line = truncate(f"{_FIRING if fires else _RESOLVED} {BETWEEN_NAMES.join(each)}", room)
        room -= len(line)
        lines.append(line)
    return count, lines


def _own_texts(view: ThreadView, listed: Sequence[Listed], texts: Texts, room: int) -> list[tuple[list[str], int]]:
    """What each alert says that the thread does not, in quoted lines, and how many texts of it had no room.

    What one does not need the next ones can have.
    """
    found = []
    for place, item in enumerate(listed):
        share = min(room // (len(listed) - place), _MAX_OWN)
        lines, left = _ending(item.alert, share) if _is_ending(item, texts) else _own(view, item.alert, share)
        room -= sum(len(line) + 1 for line in lines)
        found.append((lines, left))
    return found


def _own(view: ThreadView, alert: AlertState, room: int) -> tuple[list[str], int]:
    said, shared = view.said(alert), view.shared
    links, left = own_links(view, alert, room - len(_QUOTE))
    room -= len(links) + len(_QUOTE)
    texts = [] if said.description == shared.description else [_quotable(said.description)]
    texts += [
        f"{bold(f'{heading(name)}:')} {_quotable(text)}"
        for name, text in said.others.items()
        if shared.others.get(name) != text
    ]
    lines: list[str] = []
    for place, text in enumerate(filter(None, texts)):
        limit = min(room, _MAX_TEXT if place else _MAX_DESCRIPTION)
        if limit < min(_LEAST, len(text)):
            left += 1
            continue
        quoted = _quoted(text, limit)
        lines += quoted
        room -= sum(len(line) + 1 for line in quoted)
    own_labels = (literal(f"{name}={value}", _MAX_TEXT) for name, value in view.own_labels(alert).items())
    labels, unsaid = joined(own_labels, BETWEEN_LABELS, room - len(_QUOTE + SEPARATOR))
    last = SEPARATOR.join(filter(None, (labels, links)))
    return [*lines, *([f"{_QUOTE}{last}"] if last else [])], left + unsaid + alert.left_out


def _ending(alert: AlertState, room: int) -> tuple[list[str], int]:
    """What an alert's end says, where that is not what its firing said."""
    text = _quotable(facts.said(alert.ended_with).description)
    return (_quoted(text, min(room, _MAX_DESCRIPTION)), 0) if text else ([], 0)


def _is_ending(item: Listed, texts: Texts) -> bool:
    return texts is Texts.NEWS and not item.fires


def _count_own(view: ThreadView, item: Listed, texts: Texts) -> int:
    """How many texts and labels an alert has that its thread has not."""
    if _is_ending(item, texts):
        return 0
    said, shared = view.said(item.alert), view.shared
    others = sum(shared.others.get(name) != text for name, text in said.others.items())
    own_labels = len(view.own_labels(item.alert))
    return (said.description != shared.description) + others + own_labels + item.alert.left_out


def _quoted(text: str, limit: int) -> list[str]:
    return [f"{_QUOTE}{line}" for line in truncate(text, limit).split("\n")]


def _quotable(text: str) -> str:
    """A text of several lines that can stand in a quote, where a fence would reach beyond it."""
    said = prose(text.replace("```", ""))
    return "\n".join(filter(None, map(str.rstrip, said.split("\n")))) if "\n" in said else said


def heading(name: str) -> str:
    """An annotation's name as a person would write it, escaped: ``current_value`` is "Current value"."""
    words = one_line(name).replace("_", " ").strip() or one_line(name)
    return truncate(escape(words[:1].upper() + words[1:]), 80)
