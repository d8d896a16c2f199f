"""What a message says, whatever form it takes: the root as the thread is now, a reply as news about it.

All texts here are finished mrkdwn: escaped, cut, each within a budget, so that all of them together fit a
message.
"""

from collections.abc import Collection, Sequence

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.buttons import Pressing, buttons
from alert_threader.formatter.description import description, ending, late_words, values_line
from alert_threader.formatter.displaced import displaced
from alert_threader.formatter.labels import fields_of, labels_line
from alert_threader.formatter.links import links_line, source_link
from alert_threader.formatter.listing import (
    MAX_LEFT,
    MOST_ROOM_FOR_NAMES,
    Listed,
    Listing,
    Texts,
    as_they_are,
    listed_events,
    listing,
    room_for_names,
)
from alert_threader.formatter.mrkdwn import (
    MAX_HEADER,
    MAX_MESSAGE,
    bold,
    escape,
    truncate,
)
from alert_threader.formatter.notes import NoteText, note_texts
from alert_threader.formatter.text_objects import Block
from alert_threader.formatter.times import reply_times, root_times
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import (
    LISTED,
    AlertState,
    Batch,
    EventKind,
    NoteKind,
    one_line,
)

#: How many alerts a reply gives a line each: more than a root (LISTED), since it is written once and scrolls away.
REPLY_LISTED = 20
#: How many alerts are named in the one line that a phone shows.
_NAMED = 3

# The budgets, in characters after escaping. The alerts have what the others leave of mrkdwn.MAX_MESSAGE, but for a
# margin for the signs between the parts.
_NAME = 80
_TEXT = 400
_MAX_NOTES = 1000
_MARGIN = 600


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``headline`` and ``text`` are single lines; all but the headline is mrkdwn."""

    headline: str
    is_root: bool
    colour: str
    text: str
    fields: list[str] = []
    counts: str = ""
    alerts: list[str] = []
    names: list[str] = []
    description: list[str] = []
    links: str = ""
    context: list[str] = []
    buttons: list[Block] = []

    @property
    def parts(self) -> list[str]:
        """All that it says but for ``text``."""
        alerts = [self.counts, *self.alerts, *self.names]
        return [self.headline, *self.fields, *alerts, *self.description, self.links, *self.context]


def root_content(view: ThreadView, pressing: Pressing | None = None) -> Content:
    """The opening message: the thread as it is now, with what can be pressed."""
    headline = f"{view.sign}{view.counted_title}"
    fields, (links, unlinked) = fields_of(view), links_line(view)
    content = Content(
        headline=truncate(headline, MAX_HEADER),
        is_root=True,
        colour=view.colour(view.state, view.level),
        text=_text(_root_opening(view), view, _root_names(view)),
        fields=fields.lines,
        description=[
            *description(view, full_title=len(headline) > MAX_HEADER),
            *values_line(view, view.shared_values),
        ],
        links=links,
        context=[*root_times(view), *labels_line(view, fields, unlinked)],
        buttons=buttons(view, pressing),
    )
    if view.total < 2:
        late = late_words(view, _room(content) - MAX_LEFT)
        return msgspec.structs.replace(content, description=[*content.description, *late]) if late else content
    content = _making_room(view, content)
    return _with_alerts(
        content,
        _firing_and_resolved(view),
        listing(view, as_they_are(view), view.total, LISTED, Texts.OWN, _room(content), content.context),
    )


def reply_content(view: ThreadView, batch: Batch) -> Content:
    """A message about what happened: the batch's events, the newest state of each alert.

    One that ends the problem of a single alert repeats what the root says, so that it can be read, and searched for,
    by itself. One that announces newcomers also repeats what the root has no room for since they joined.
    """
    if batch.named:
        return _names_content(view, batch)
    notes = note_texts(view, batch.notes)
    if notes and not (batch.events or batch.reopened or batch.repeated):
        return _notes_content(view, notes)
    events = listed_events(view, batch)
    level = view.level_of([event.alert for event in events if event.fires])
    opening, state = _happened(view, batch, level)
    texts = Texts.NEWS
    content = Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(state, level),
        text=_text(opening, view, _reply_names(view, events)),
        description=_note_lines(notes),
        context=[*_not_editable(view, batch), *reply_times(view, batch, events)],
    )
    if not view.firing and view.total == 1:
        fields, (links, unlinked) = fields_of(view), links_line(view)
        content = msgspec.structs.replace(
            content,
            fields=fields.lines,
            description=[
                *content.description,
                *(ending(view) or description(view)),
                *values_line(view, view.ended_values or view.shared_values),
            ],
            links=links,
            context=[*content.context, *labels_line(view, fields, unlinked)],
        )
        if not events or not events[0].note:
            return content
        texts = Texts.NONE  # the description says them already
    total = len(batch.events)
    if not events:
        events = [listed for listed in as_they_are(view) if listed.fires]
        total = len(events)
    listed = listing(view, events, total, REPLY_LISTED, texts, _room(content), content.context)
    content = _with_alerts(content, _counts(view, batch), listed)
    newcomers = {each for each, event in batch.events.items() if not event.known}
    said_before = _displaced(view, newcomers, _room(content)) if newcomers else []
    return msgspec.structs.replace(content, description=[*content.description, *said_before])


def _displaced(view: ThreadView, newcomers: Collection[str], room: int) -> list[str]:
    """What the root said of the alerts from before, and has no room for since others joined."""
    before = view.without(newcomers)
    said = displaced(before, _read(root_content(before)), _read(root_content(view)), room)
    return [bold(view.words.said_before), *said] if said else []


def _read(content: Content) -> str:
    return "\n".join((content.text, *content.parts))


def _notes_content(view: ThreadView, notes: Sequence[NoteText]) -> Content:
    """A message about nothing but what people or Alertmanager did; the latest is in the headline."""
    *earlier, last = notes
    opening = f"{last.headline} — "
    return Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(view.state, view.level),
        text=_text(opening, view, ""),
        description=[*([last.below] if last.below else []), *_note_lines(earlier)],
    )


def _note_lines(notes: Sequence[NoteText]) -> list[str]:
    """The notes, a line each: the latest ones, as far as there is room; the earlier ones are counted."""
    lines: list[str] = []
    room = _MAX_NOTES
    for note in reversed(notes):
        room -= len(note.line)
        if room < 0:
            return [f"+{len(notes) - len(lines)}", *lines]
        lines.insert(0, note.line)
    return lines


def _not_editable(view: ThreadView, batch: Batch) -> list[str]:
    """That the first message does not show any more what is."""
    kinds = {note.kind for note in batch.notes}
    return [view.words.not_editable] if NoteKind.NOT_EDITABLE in kinds else []


def _names_content(view: ThreadView, batch: Batch) -> Content:
    """A message that only names alerts, as they are now: those for which an earlier message had no room."""
    alerts = view.thread.alerts
    named = [Listed(alert=alerts[each], fires=facts.fires(alerts[each])) for each in batch.named if each in alerts]
    opening = f"📋 {view.words.also} — "
    content = Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(view.state, view.level),
        text=_text(opening, view, _names(view, [item.alert for item in named])),
    )
    return _with_alerts(content, "", listing(view, named, len(named), 0, Texts.NONE, _room(content)))


def _with_alerts(content: Content, counts: str, alerts: Listing) -> Content:
    return msgspec.structs.replace(content, counts=bold(counts), alerts=alerts.lines, names=alerts.rest)


def _room(content: Content) -> int:
    """How many characters are left of a message."""
    return MAX_MESSAGE - sum(map(len, content.parts)) - 2 * len(content.text) - _MARGIN


def _making_room(view: ThreadView, content: Content) -> Content:
    """The message without shared texts, the last ones first, where the names of its alerts would have no room."""
    room = _room(content)
    if room >= MOST_ROOM_FOR_NAMES or (short := room_for_names(view) - room) <= 0:
        return content
    rest = view.words.the_rest.format(source=source_link(view))
    description, short = list(content.description), short + len(rest)
    while description and short > 0:
        short -= len(description.pop())
    links = "" if short > 0 else content.links
    return msgspec.structs.replace(content, description=[*description, rest], links=links)


def _root_opening(view: ThreadView) -> str:
    """What a root's line on a phone begins with: the state, or while it fires, the severity."""
    says_how_bad = view.severity and view.state in ("firing", "acknowledged")
    return view.sign + (f"{view.severity}: " if says_how_bad else "")


def _happened(view: ThreadView, batch: Batch, level: str) -> tuple[str, str]:
    """What a reply's headline begins with, and the state that it is about; ``level`` is of the alerts that fire."""
    words = view.words
    kinds = [event.kind for event in batch.events.values()]
    fired, resolved = kinds.count(EventKind.FIRED), kinds.count(EventKind.RESOLVED)
    if batch.reopened and any(event.known and event.kind is EventKind.FIRED for event in batch.events.values()):
        return f"🔁 {words.firing_again} — ", "firing"
    if fired:
        word = words.firing_and_resolved.format(fired=fired, resolved=resolved) if resolved else words.firing
        return f"{facts.emoji(level)} {word} — ", "firing"
    if resolved and view.firing:
        return f"✅ {words.resolved_some.format(resolved=view.resolved, total=view.total)} — ", "resolved"
    return (f"🔁 {words.still_firing} — ", "firing") if view.firing else (f"✅ {words.resolved} — ", "resolved")


def _counts(view: ThreadView, batch: Batch) -> str:
    """How many alerts of the thread fire; of newcomers, how many they are."""
    if view.total < 2:
        return ""
    words = view.words
    kinds = {event.kind for event in batch.events.values()}
    if kinds == {EventKind.FIRED} and not any(event.known for event in batch.events.values()):
        return words.firing_new.format(new=len(batch.events), firing=view.firing, total=view.total)
    return _firing_and_resolved(view)


def _firing_and_resolved(view: ThreadView) -> str:
    words, muted = view.words, len(view.muted)
    said = words.counts_muted if muted else words.counts
    return said.format(firing=view.firing, muted=muted, resolved=view.resolved)


def _text(opening: str, view: ThreadView, who: str) -> str:
    """The line that a phone shows of the message: ``🚨 CRITICAL: Database Failure (db01) [production]``."""
    place = truncate(escape(one_line(view.environment)), _NAME)
    title = truncate(escape(view.title), _TEXT // 2)
    said = f"{truncate(escape(opening), _NAME)}{title}{who}"
    return truncate(f"{said} [{place}]" if place else said, _TEXT)


def _root_names(view: ThreadView) -> str:
    """Which alerts a thread is about: by name if they are few and of one mind, else how many of each."""
    if 0 < view.firing < view.total or view.total > _NAMED:
        words = view.words
        counts = ((view.firing, words.firing_count), (view.resolved, words.resolved_count))
        return f" ({', '.join(said.format(count=count) for count, said in counts if count)})"
    return _names(view, view.alerts)


def _reply_names(view: ThreadView, events: Sequence[Listed]) -> str:
    """The alerts that something happened to; all of the thread's where it is over."""
    if not view.firing or not events:
        return _root_names(view)
    return _names(view, [event.alert for event in events])


def _names(view: ThreadView, alerts: Sequence[AlertState]) -> str:
    if len(alerts) > _NAMED:
        return f" ({view.words.alerts.format(count=len(alerts))})"
    # Of a single alert the title may be all that there is to say.
    if len(alerts) == 1 and (not alerts[0].name or facts.find_name(view.name(alerts[0]), view.title)):
        return ""
    names = [view.name(alert, _NAME) for alert in alerts]
    return f" ({', '.join(truncate(escape(name), 2 * _NAME) for name in names)})" if names else ""
