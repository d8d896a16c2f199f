"""The alerts of a message: each on a line that begins with its state, then what it says of itself, then names alone."""

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.links import source_link
from alert_threader.formatter.mrkdwn import (
    MAX_SECTION,
    bold,
    escape,
    is_cut,
    literal,
    truncate,
    unmarked,
)
from alert_threader.formatter.own_texts import count_own, end_texts, late_texts, own_texts
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import (
    BETWEEN_NAMES,
    LEAST_LINES,
    AlertState,
    Batch,
    Event,
    EventKind,
    distinct_part,
    fitting,
    length_sent,
    one_line,
    short_name,
)

#: The signs of alerts: they differ in form too, for not everybody sees colours.
_FIRES, _IS_MUTED, _IS_OVER = "🔴", "🔕", "✅"

#: The lines together, the names behind them (``threads.fitting`` and a sign for each state), and what an alert says of
#: itself on one line, in characters as sent.
_MAX_LINES = 2200
_MAX_NAMES = 2050
_MAX_SUMMARY = 150
#: No names need more room than this.
MOST_ROOM_FOR_NAMES = 6600
#: The parts of an alert's name, what else is said in brackets behind it, each, and the line on what is left out.
_MAX_NAME = 400
_MAX_NOTE = 60
MAX_VALUES = 150
MAX_LEFT = 1000
#: All that alerts say of themselves. What one says stands with its line in one section of Slack, with some signs
#: between them.
_MAX_ALL_OWN = 4000
MARGIN = 50


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One alert to list: its state, which may be older than the alert's own, and a note beside its name."""

    alert: AlertState
    fires: bool
    note: str = ""
    values: str = ""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts as a message lists them: ``lines`` one or more for each, and ``rest`` by name alone."""

    lines: list[str] = []
    rest: list[str] = []


class Texts(Enum):
    """What a listing says of its alerts beside their names."""

    #: What the thread does not say already, and what a resolution says that came too late for a reply.
    OWN = auto()
    #: The same of those that fire; of those that ended, what their end says.
    NEWS = auto()
    NONE = auto()


def as_they_are(view: ThreadView) -> list[Listed]:
    """All alerts as they are, the firing ones first."""
    return [Listed(alert=alert, fires=facts.fires(alert), values=alert.values) for alert in view.alerts]


def listed_events(view: ThreadView, batch: Batch) -> list[Listed]:
    """The alerts of a batch's events as the events left them, the firing ones first."""
    alerts = view.thread.alerts
    return [
        _listed(view, batch, alerts[fingerprint], event)
        for fingerprint, event in batch.fired_first
        if fingerprint in alerts
    ]


def _listed(view: ThreadView, batch: Batch, alert: AlertState, event: Event) -> Listed:
    fires = event.kind is EventKind.FIRED
    note = _how(view, batch, event) or (_lasted(view, alert) if len(batch.events) > 1 else "")
    return Listed(
        alert=alert, fires=fires, note=note, values=alert.values if fires else alert.ended_values or alert.values
    )


def listing(
    view: ThreadView,
    listed: Sequence[Listed],
    total: int,
    count: int,
    texts: Texts,
    room: int,
    context: Sequence[str] = (),
) -> Listing:
    """The first ``count`` alerts with a line each, the others by name, and with the lines what they say of themselves.

    ``total`` is how many there are in all; those that are not even named are counted. ``room`` is for all of it,
    ``context`` are the lines below it: a reason that stands there is not said again of each alert.
    """
    summaries = [_summary(view, item, texts) for item in listed[:count]]
    cut = [_cut_summary(summary) for summary in summaries]
    lines = _lines(view, listed, cut, min(room - _MAX_NAMES - MAX_LEFT, _MAX_LINES), context)
    unlisted = listed[len(lines) :]
    named, names = _by_name(view, unlisted)
    left = total - len(lines) - named
    if texts is Texts.NONE:
        return Listing(lines=lines, rest=[*names, *_left(view, left, 0)])
    room -= sum(map(len, (*lines, *names))) + MAX_LEFT
    own = _own_texts(view, listed, lines, texts, min(room, _MAX_ALL_OWN))
    left_texts = sum(left for _, left in own) + sum(_count_own(view, item, texts) for item in unlisted)
    left_texts += sum(map(is_cut, cut[: len(lines)], summaries))
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


def _how(view: ThreadView, batch: Batch, event: Event) -> str:
    """How an alert came to its state, where that is not plain from the state and the headline."""
    if event.changes == 1:
        if event.kind is EventKind.RESOLVED or not event.known:
            return ""
        all_fire_again = batch.reopened and all(each.known for each in batch.events.values())
        return "" if all_fire_again else view.words.fired_again
    if event.changes > 2:
        return view.words.changed_times.format(count=event.changes)
    is_over = event.kind is EventKind.RESOLVED
    return view.words.fired_and_resolved if is_over else view.words.resolved_and_fired_again


def _lasted(view: ThreadView, alert: AlertState) -> str:
    """After how long an alert resolved."""
    if facts.fires(alert) or not alert.starts_at or not alert.ends_at:
        return ""
    return view.words.after.format(time=facts.lasting(facts.between(alert.starts_at, alert.ends_at), view.words))


def room_for_names(view: ThreadView) -> int:
    """The least room, in characters, in which the root names all alerts that ``threads.fitting`` counts on."""
    named = view.alerts[: LEAST_LINES + fitting(view.alerts[LEAST_LINES:])]
    return sum(length_sent(view.name(alert)) + len(BETWEEN_NAMES) for alert in named) + MAX_LEFT


def _lines(
    view: ThreadView, listed: Sequence[Listed], summaries: Sequence[str], room: int, context: Sequence[str]
) -> list[str]:
    """A line for each alert with a summary, which may be empty, as far as there is room.

    The first LEAST_LINES always have one, if need be with the name alone.
    """
    lines: list[str] = []
    for item, summary in zip(listed, summaries, strict=False):
        line = _line(view, item, summary, context)
        if len(line) > room and len(lines) < LEAST_LINES:
            line = bare_line(view, item.alert, item.fires)
        elif len(line) > room:
            break
        room -= len(line)
        lines.append(line)
    return lines


def bare_line(view: ThreadView, alert: AlertState, fires: bool) -> str:
    """An alert's state and name, and nothing else."""
    return f"{_sign(view, alert, fires)} {literal(view.name(alert), _MAX_NAME)}"


def _sign(view: ThreadView, alert: AlertState, fires: bool) -> str:
    if not fires:
        return _IS_OVER
    return _IS_MUTED if view.is_muted(alert) else _FIRES


def _line(view: ThreadView, item: Listed, summary: str, context: Sequence[str]) -> str:
    alert = item.alert
    values = "" if item.values == view.shared_values else literal(item.values, MAX_VALUES)
    reason = _reason(view, alert, context)
    said = _named(one_line(short_name(alert)) or view.words.alert, summary)
    notes = [note for note in (literal(distinct_part(alert), _MAX_NAME), values, item.note, reason) if note]
    return " ".join((_sign(view, alert, item.fires), said, *(f"({note})" for note in notes)))


def _reason(view: ThreadView, alert: AlertState, context: Sequence[str]) -> str:
    """Why an alert fires, or ended, where no line of the context says that of all."""
    reason = literal(facts.state_reason(alert, view.words), _MAX_NOTE)
    if reason:
        return "" if any(reason in line for line in context) else reason
    return "" if facts.all_gone(alert, view.words) in context else facts.gone(alert, view.words)


def _cut_summary(summary: str) -> str:
    """As much as fits a line; a fence would reach beyond it."""
    return truncate(escape(summary.replace("```", "`")), _MAX_SUMMARY) if summary else ""


def _named(name: str, summary: str) -> str:
    """The alert's name and what it says of itself, the name once: in bold where the summary holds it."""
    said = literal(name, _MAX_NAME)
    if not summary:
        return said
    if place := facts.find_name(said, summary):
        start, end = place.span()
    elif place := facts.find_value(said, summary):  # of ``queue=orders`` it says "queue orders"
        start, end = place.span(1)
    else:
        return f"{said} — {summary}"
    before, said, after = summary[:start], summary[start:end], summary[end:]
    # Slack makes bold only what stands between spaces.
    apart = before[-1:].strip() == "" and after[:1].strip() == ""
    return f"{before}{bold(said) if apart else said}{after}"


def _summary(view: ThreadView, item: Listed, texts: Texts) -> str:
    """What an alert says on one line that the title does not: of one that ended, what its end says."""
    said = view.ended(item.alert).summary if _is_ending(item, texts) else ""
    summary = unmarked(said or view.said(item.alert).summary)
    return "" if summary in (view.title, view.shared_summary) else summary


def _by_name(view: ThreadView, listed: Sequence[Listed]) -> tuple[int, list[str]]:
    """As many alerts by name as there is room for, a line for each sign, and how many they are."""
    names: dict[str, list[str]] = {}
    count = fitting([item.alert for item in listed])
    for item in listed[:count]:
        names.setdefault(_sign(view, item.alert, item.fires), []).append(literal(view.name(item.alert), 2 * _MAX_NAME))
    lines = [f"{sign} {BETWEEN_NAMES.join(each)}" for sign, each in names.items()]
    return count, lines


def _own_texts(
    view: ThreadView, listed: Sequence[Listed], lines: Sequence[str], texts: Texts, room: int
) -> list[tuple[list[str], int]]:
    """What each alert says that the thread does not, in quoted lines, and how many texts of it are cut or left out.

    What one does not need the next ones can have.
    """
    found = []
    for place, line in enumerate(lines):
        item = listed[place]
        share = min(room // (len(lines) - place), MAX_SECTION - len(line) - MARGIN)
        said, left = _texts(view, item, texts, share)
        room -= sum(len(each) + 1 for each in said)
        is_value_cut = item.values != view.shared_values and is_cut(literal(item.values, MAX_VALUES), item.values)
        found.append((said, left + is_value_cut))
    return found


def _texts(view: ThreadView, item: Listed, texts: Texts, room: int) -> tuple[list[str], int]:
    alert = item.alert
    if _is_ending(item, texts):
        return end_texts(view, alert, room)
    said, left = own_texts(view, alert, room)
    if not facts.has_late_words(alert):
        return said, left
    late, late_left = late_texts(view, alert, room - sum(len(line) + 1 for line in said))
    return [*said, *late], left + late_left


def _count_own(view: ThreadView, item: Listed, texts: Texts) -> int:
    alert, is_ending = item.alert, _is_ending(item, texts)
    count = count_own(view, alert, _summary(view, item, texts), is_ending=is_ending)
    if is_ending or not facts.has_late_words(alert):
        return count
    return count + count_own(view, alert, view.ended(alert).summary, is_ending=True)


def _is_ending(item: Listed, texts: Texts) -> bool:
    return texts is Texts.NEWS and not item.fires
