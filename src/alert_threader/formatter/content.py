"""What a message says, whatever form it takes: the root as the thread is now, a reply as news about it.

All texts here are finished mrkdwn: escaped, cut, each within a budget, so that all of them together fit a
message.
"""

from collections.abc import Sequence

import msgspec

from alert_threader.formatter import facts
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
)
from alert_threader.formatter.mrkdwn import (
    MAX_FIELDS,
    MAX_HEADER,
    MAX_MESSAGE,
    bold,
    escape,
    joined,
    literal,
    one_line,
    prose,
    truncate,
    unmarked,
)
from alert_threader.formatter.times import reply_times, root_times
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import ENVIRONMENT_LABELS, FOLDER, RULE, AlertState, Batch, EventKind

#: How many alerts a root gives a line each.
LISTED = 10
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
    content = Content(
        headline=truncate(headline, MAX_HEADER),
        is_root=True,
        colour=view.colour(view.state),
        text=_text(_root_opening(view), view, _root_names(view)),
        fields=_fields(view),
        description=_description(view, full_title=len(headline) > MAX_HEADER),
        links=links_line(view),
        context=[*root_times(view), *_labels(view)],
    )
    if view.total < 2:
        return content
    counts = view.words.counts.format(firing=view.firing, resolved=view.resolved)
    return _with_alerts(content, counts, listing(view, now(view), view.total, LISTED, Texts.OWN, _room(content)))


def reply_content(view: ThreadView, batch: Batch) -> Content:
    """A message about what happened: the batch's events, the newest state of each alert.

    One that ends the problem of a single alert repeats what the root says, so that it can be read, and searched for,
    by itself.
    """
    if batch.named:
        return _names_content(view, batch)
    opening, state = _happened(view, batch)
    events = delivered(view, batch)
    content = Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(state),
        text=_text(opening, view, _reply_names(view, events)),
        context=reply_times(view, batch, [event.alert for event in events], {event.fires for event in events}),
    )
    if not view.firing and view.total == 1:
        content = msgspec.structs.replace(
            content,
            fields=_fields(view),
            description=[ending] if (ending := _ending(view)) else _description(view),
            links=links_line(view),
            context=[*content.context, *_labels(view)],
        )
        if not events or not events[0].note:
            return content
    total = len(batch.events)
    if not events:
        events = [listed for listed in now(view) if listed.fires]
        total = len(events)
    listed = listing(view, events, total, REPLY_LISTED, Texts.NEWS, _room(content))
    return _with_alerts(content, _counts(view, batch), listed)


def _names_content(view: ThreadView, batch: Batch) -> Content:
    """A message that only names alerts which the one that told of them had no room for, as they are now."""
    alerts = view.thread.alerts
    named = [Listed(alert=alerts[each], fires=facts.fires(alerts[each])) for each in batch.named if each in alerts]
    opening = f"📋 {view.words.also} — "
    content = Content(
        headline=truncate(f"{opening}{view.title}", MAX_HEADER),
        is_root=False,
        colour=view.colour(view.state),
        text=_text(opening, view, _names(view, [item.alert for item in named])),
    )
    return _with_alerts(content, "", listing(view, named, len(named), 0, Texts.NONE, _room(content)))


def _with_alerts(content: Content, counts: str, alerts: Listing) -> Content:
    return msgspec.structs.replace(content, counts=bold(counts), alerts=alerts.lines, names=alerts.rest)


def _room(content: Content) -> int:
    """How many characters the alerts have, which come last: what the other parts leave."""
    parts = [*content.fields, *content.description, content.links, *content.context, content.headline]
    return MAX_MESSAGE - sum(map(len, parts)) - 2 * len(content.text) - _MARGIN


def _root_opening(view: ThreadView) -> str:
    """What a root's line on a phone begins with: the state, or while it fires, the severity."""
    says_how_bad = view.severity and view.state in ("firing", "acknowledged")
    return view.sign + (f"{view.severity}: " if says_how_bad else "")


def _happened(view: ThreadView, batch: Batch) -> tuple[str, str]:
    """What a reply tells: what its headline begins with, and the state it speaks of."""
    words = view.words
    kinds = [event.kind for event in batch.events.values()]
    fired, resolved = kinds.count(EventKind.FIRED), kinds.count(EventKind.RESOLVED)
    if fired and batch.reopened:
        return f"🔁 {words.firing_again} — ", "firing"
    if fired:
        word = words.firing_and_resolved.format(fired=fired, resolved=resolved) if resolved else words.firing
        return f"{view.emoji} {word} — ", "firing"
    if resolved and view.firing:
        return f"✅ {words.resolved_some.format(resolved=view.resolved, total=view.total)} — ", "resolved"
    return (f"🔁 {words.still_firing} — ", "firing") if view.firing else (f"✅ {words.resolved} — ", "resolved")


def _counts(view: ThreadView, batch: Batch) -> str:
    """How many alerts of the thread fire; of newcomers, how many they are."""
    if view.total < 2:
        return ""
    words = view.words
    kinds = {event.kind for event in batch.events.values()}
    if kinds == {EventKind.FIRED} and not batch.reopened:
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
    """The alerts in brackets, by name or by number; nothing where the title names the only one."""
    if len(alerts) > _NAMED:
        return f" ({view.words.alerts.format(count=len(alerts))})"
    names = [view.name(alert) for alert in alerts if alert.name]
    if not names or (len(names) == 1 and facts.find_name(names[0], view.title)):
        return ""
    return f" ({', '.join(truncate(escape(name), _LABEL) for name in names)})"


def _fields(view: ThreadView) -> list[str]:
    words, labels = view.words, view.shared_labels
    known = [(words.severity, view.severity), (words.environment, view.environment)]
    known += [(getattr(words, word), labels.get(name, "")) for name, word in _FIELD_LABELS.items()]
    said = [(name, literal(value, _FIELD)) for name, value in known]
    return [f"{bold(f'{name}:')} {value}" for name, value in said if value][:MAX_FIELDS]


def _description(view: ThreadView, *, full_title: bool = False) -> list[str]:
    """What all of the thread's alerts say at length, after their summary where the header has not all of it."""
    summary = unmarked(view.shared.summary) or view.title
    title = truncate(escape(summary), _FULL_TITLE) if full_title or summary != view.title else ""
    text = view.shared.description
    described = _described(view, text) if unmarked(text) != view.title else ""
    values = literal(view.shared_values, _FIELD)
    said = f"{bold(f'{view.words.values}:')} {values}" if values else ""
    return list(filter(None, (title, described, *_others(view), said)))


def _others(view: ThreadView) -> list[str]:
    """What else all of the thread's alerts say, a line each, as far as there is room; what is left out is counted."""
    others = view.shared.others
    said: list[str] = []
    room = _OTHERS
    for name, text in others.items():
        line = f"{bold(f'{heading(name)}:')} {truncate(prose(text), _OTHER)}"
        room -= len(line)
        if room < 0:
            break
        said.append(line)
    left = len(others) - len(said)
    return [*said, view.words.more.format(count=left, source=source_link(view))] if left else said


def _ending(view: ThreadView) -> str:
    """What the resolution of a thread's only alert says at length, where that is not what its firing said."""
    if not view.alerts:
        return ""
    said = facts.said(view.alerts[0].ended_with)
    return _described(view, said.description or said.summary)


def _described(view: ThreadView, text: str) -> str:
    said = prose(text)
    if not said:
        return ""
    shown = truncate(said, _DESCRIPTION)
    # A fence that is not closed shows as three signs, and what follows it in the wrong type.
    shown += "\n```" if shown.count("```") % 2 else ""
    rest = f"\n{view.words.the_rest.format(source=source_link(view))}" if len(said) > _DESCRIPTION else ""
    return f"{bold(f'{view.words.description}:')}\n{shown}{rest}"


def _labels(view: ThreadView) -> list[str]:
    """The labels that all alerts share and no field shows, on one line as far as there is room; the rest is counted."""
    shared = dict(view.shared_labels)
    said = [(name, shared.pop(name)) for name in ENVIRONMENT_LABELS if shared.get(name)]
    if not said and view.environment:
        said.append(("env", view.environment))
    said.append(("alertname", shared.pop("alertname", "")))
    if shared.get("severity", "").lower() == view.thread.severity.lower():
        shared.pop("severity", None)
    telling = [name for name in (*view.thread.identity, *shared) if name in shared and name not in _FIELD_LABELS]
    said += [(name, shared[name]) for name in dict.fromkeys(telling)]
    parts = (literal(f"{name}={value}", _LABEL) for name, value in said if one_line(value))
    line, left = joined(parts, BETWEEN_LABELS, _LABELS)
    return [*([line] if line else []), *more_texts(view, view.left_out + left)]
