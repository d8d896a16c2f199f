"""What a message says, whatever form it takes: the root as the thread is now, a reply as news about it.

All texts here are finished mrkdwn: escaped, cut, each within a budget, so that all of them together fit a
message.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.displaced import displaced
from alert_threader.formatter.links import links_line, source_link
from alert_threader.formatter.listing import (
    BETWEEN_LABELS,
    Listed,
    Listing,
    Texts,
    delivered,
    heading,
    listing,
    more_texts,
    now,
    room_for_names,
)
from alert_threader.formatter.mrkdwn import (
    MAX_FIELDS,
    MAX_HEADER,
    MAX_MESSAGE,
    bold,
    escape,
    is_cut,
    joined,
    literal,
    prose,
    truncate,
    unmarked,
)
from alert_threader.formatter.times import reply_times, root_times
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import (
    ENVIRONMENT_LABELS,
    EXPORTED,
    FOLDER,
    LISTED,
    OF_EXPORTER,
    RULE,
    AlertState,
    Batch,
    EventKind,
    one_line,
)

#: How many a reply does: it is written once and scrolls away, unlike the root.
REPLY_LISTED = 20
#: How many alerts are named in the one line that a phone shows.
_NAMED = 3

# The budgets, in characters after escaping. The alerts have what the others leave of mrkdwn.MAX_MESSAGE, but for a
# margin for the signs between the parts.
_FIELD = 150
_DESCRIPTION = 1200
_FULL_TITLE = 600
_LABEL = 80
_LABELS = 300
_OTHER = 400
_OTHERS = 900
_TEXT = 400
_MARGIN = 600

#: The labels that have a field of their own, most telling first, with the word for each.
_FIELD_LABELS = {
    RULE: "rule",
    "service": "service",
    "cluster": "cluster",
    "instance": "instance",
    "job": "job",
    "namespace": "namespace",
    "pod": "pod",
    "node": "node",
    "team": "team",
    FOLDER: "folder",
}


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


def root_content(view: ThreadView) -> Content:
    """The opening message: the thread as it is now."""
    headline = f"{view.sign}{view.counted_title}"
    fields, (links, unlinked) = _fields(view), links_line(view)
    content = Content(
        headline=truncate(headline, MAX_HEADER),
        is_root=True,
        colour=view.colour(view.state, view.level),
        text=_text(_root_opening(view), view, _root_names(view)),
        fields=fields.lines,
        description=_description(view, full_title=len(headline) > MAX_HEADER),
        links=links,
        context=[*root_times(view), *_labels(view, fields, unlinked)],
    )
    if view.total < 2:
        return content
    content = _making_room(view, content)
    counts = view.words.counts.format(firing=view.firing, resolved=view.resolved)
    return _with_alerts(
        content, counts, listing(view, now(view), view.total, LISTED, Texts.OWN, _room(content), content.context)
    )


def reply_content(view: ThreadView, batch: Batch) -> Content:
    """A message about what happened: the batch's events, the newest state of each alert.

    One that ends the problem of a single alert repeats what the root says, so that it can be read, and searched for,
    by itself. One that announces newcomers also repeats what the root has no room for since they joined.
    """
    if batch.named:
        return _names_content(view, batch)
    events = delivered(view, batch)
    level = view.level_of([event.alert for event in events if event.fires])
    opening, state = _happened(view, batch, level)
    content = Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(state, level),
        text=_text(opening, view, _reply_names(view, events)),
        context=reply_times(view, batch, events),
    )
    if not view.firing and view.total == 1:
        fields, (links, unlinked) = _fields(view), links_line(view)
        content = msgspec.structs.replace(
            content,
            fields=fields.lines,
            description=_ending(view) or _description(view),
            links=links,
            context=[*content.context, *_labels(view, fields, unlinked)],
        )
        if not events or not events[0].note:
            return content
    total = len(batch.events)
    if not events:
        events = [listed for listed in now(view) if listed.fires]
        total = len(events)
    listed = listing(view, events, total, REPLY_LISTED, Texts.NEWS, _room(content), content.context)
    content = _with_alerts(content, _counts(view, batch), listed)
    joined = {each for each, event in batch.events.items() if event.kind is EventKind.FIRED and not event.known}
    return msgspec.structs.replace(content, description=_displaced(view, joined, _room(content))) if joined else content


def _displaced(view: ThreadView, joined: Collection[str], room: int) -> list[str]:
    """What the root said of the alerts from before, and has no room for since others joined."""
    before = view.without(joined)
    said = displaced(before, _read(root_content(before)), _read(root_content(view)), room)
    return [bold(view.words.said_before), *said] if said else []


def _read(content: Content) -> str:
    """All that a message says."""
    parts = (content.text, *content.fields, *content.alerts, *content.names, *content.description, content.links)
    return "\n".join((content.headline, *parts, *content.context))


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
    parts = [*content.fields, *content.description, content.links, *content.context, content.headline]
    parts += [content.counts, *content.alerts, *content.names]
    return MAX_MESSAGE - sum(map(len, parts)) - 2 * len(content.text) - _MARGIN


def _making_room(view: ThreadView, content: Content) -> Content:
    """The message with room for the names of its alerts: what all of them say at length comes behind."""
    short = room_for_names(view) - _room(content)
    if short <= 0:
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
    if fired and batch.reopened:
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
    return words.counts.format(firing=view.firing, resolved=view.resolved)


def _text(opening: str, view: ThreadView, who: str) -> str:
    """The line that a phone shows of the message: ``🚨 CRITICAL: Database Failure (db01) [production]``."""
    place = truncate(escape(one_line(view.environment)), _LABEL)
    title = truncate(escape(view.title), _TEXT // 2)
    said = f"{truncate(escape(opening), _LABEL)}{title}{who}"
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
    names = [view.name(alert, _LABEL) for alert in alerts]
    return f" ({', '.join(truncate(escape(name), 2 * _LABEL) for name in names)})" if names else ""


class _Fields(NamedTuple):
    """The fields of a message, the labels that they show, and how many of them are cut."""

    lines: list[str]
    labels: set[str]
    cut: int


def _fields(view: ThreadView) -> _Fields:
    words, labels = view.words, view.shared_labels
    known = [
        (words.severity, view.severities.label, view.shared_severity),
        (words.environment, "", view.environment),
    ]
    is_of_exporter = any(name.startswith(EXPORTED) for name in labels)
    for plain, word in _FIELD_LABELS.items():
        # What an exporter reports of others has the field, not where the exporter itself is.
        name = EXPORTED + plain if is_of_exporter and plain in OF_EXPORTER else plain
        known.append((getattr(words, word), name, labels.get(name, "")))
    given = [field for field in known if field[2] and not field[2].isspace()][:MAX_FIELDS]
    shown = [literal(value, _FIELD) for _, _, value in given]
    return _Fields(
        lines=[f"{bold(f'{word}:')} {value}" for (word, _, _), value in zip(given, shown, strict=True)],
        labels={name for _, name, _ in given},
        cut=sum(is_cut(value, field[2]) for value, field in zip(shown, given, strict=True)),
    )


def _description(view: ThreadView, *, full_title: bool = False) -> list[str]:
    """What all of the thread's alerts say at length, after their summary where the header has not all of it."""
    summary = unmarked(view.shared.summary) or view.title
    title = truncate(escape(summary), _FULL_TITLE) if full_title or summary != view.title else ""
    text = view.shared.description
    described = _described(view, text) if unmarked(text) != view.title else ""
    values = literal(view.shared_values, _FIELD)
    said = f"{bold(f'{view.words.values}:')} {values}" if values else ""
    left = is_cut(title, summary) + is_cut(values, view.shared_values)
    return list(filter(None, (title, described, *_others(view, view.shared.others, left), said)))


def _others(view: ThreadView, others: Mapping[str, str], left: int) -> list[str]:
    """Further texts, a line each, as far as there is room; those that are cut or left out are counted with ``left``."""
    said: list[str] = []
    room = _OTHERS
    for name, text in others.items():
        shown = _closed(truncate(prose(text), _OTHER))
        line = f"{bold(f'{heading(name)}:')} {shown}"
        room -= len(line)
        if room < 0:
            break
        left += is_cut(shown, text)
        said.append(line)
    left += len(others) - len(said)
    return [*said, view.words.more.format(count=left, source=source_link(view))] if left else said


def _ending(view: ThreadView) -> list[str]:
    """What the resolution of a thread's only alert says, where that is not what its firing said."""
    if not view.alerts:
        return []
    said = facts.said(view.alerts[0].ended_with)
    summary = unmarked(said.summary)
    title = truncate(escape(summary), _FULL_TITLE)
    links = {view.words.runbook: said.runbook, view.words.dashboard: said.dashboard}
    others = {**said.others, **{name: text for name, text in links.items() if text}}
    described = _described(view, said.description)
    left = is_cut(title, summary) + view.alerts[0].ended_left_out
    return list(filter(None, (title, described, *_others(view, others, left))))


def _described(view: ThreadView, text: str) -> str:
    said = prose(text)
    if not said:
        return ""
    shown = _closed(truncate(said, _DESCRIPTION))
    rest = f"\n{view.words.the_rest.format(source=source_link(view))}" if len(said) > _DESCRIPTION else ""
    return f"{bold(f'{view.words.description}:')}\n{shown}{rest}"


def _closed(text: str) -> str:
    """A text without an open fence, which shows as three signs, and what follows it in the wrong type."""
    return f"{text}\n```" if text.count("```") % 2 else text


def _labels(view: ThreadView, fields: _Fields, unlinked: int) -> list[str]:
    """The labels that all alerts share and no field shows, on one line as far as there is room; the rest is counted.

    ``unlinked`` is how many links were cut or left out.
    """
    shared = dict(view.shared_labels)
    said = [(name, shared.pop(name)) for name in ENVIRONMENT_LABELS if shared.get(name)]
    if not said and view.environment:
        said.append(("env", view.environment))
    said.append(("alertname", shared.pop("alertname", "")))
    telling = [name for name in (*view.thread.identity, *shared) if name in shared and name not in fields.labels]
    said += [(name, shared[name]) for name in dict.fromkeys(telling)]
    said = [(name, value) for name, value in said if one_line(value)]
    parts = [literal(f"{name}={value}", _LABEL) for name, value in said]
    line, left = joined(parts, BETWEEN_LABELS, _LABELS)
    left += sum(is_cut(part, value) for part, (_, value) in zip(parts, said, strict=True)) + fields.cut + unlinked
    left += view.left_out(view.alerts[0]) if view.total == 1 and view.alerts else 0
    return [*([line] if line else []), *more_texts(view, left)]
