"""What a message says, whatever form it takes: the root as the thread is now, a reply as news about it.

All texts here are finished mrkdwn: escaped, cut, each within a budget, so that all of them together fit a
message.
"""

from collections.abc import Collection, Sequence

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.links import links_line, source_link
from alert_threader.formatter.listing import Listed, delivered, lines, now
from alert_threader.formatter.mrkdwn import (
    MAX_FIELDS,
    MAX_HEADER,
    bold,
    escape,
    literal,
    one_line,
    prose,
    truncate,
    unmarked,
)
from alert_threader.threads import AlertState, AlertThread, Batch, EventKind

#: How many alerts a root lists.
LISTED = 10
#: How many a reply lists: it is written once and scrolls away, unlike the root.
REPLY_LISTED = 20
#: How many alerts are named in the one line that a phone shows.
_NAMED = 3

# The budgets, in characters after escaping. Together with those of links and listing, and some 60 for each
# block, they stay below mrkdwn.MAX_MESSAGE.
_FIELD = 150
_DESCRIPTION = 1200
_FULL_TITLE = 400
_LABEL = 80
_LABELS = 300
_OTHER = 400
_OTHERS = 900
_TEXT = 400

#: The labels that have a field of their own, most telling first.
_FIELD_LABELS = ("service", "cluster", "instance", "job", "namespace", "pod", "node", "team")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``headline`` and ``text`` are single lines; all but the headline is mrkdwn."""

    headline: str
    is_root: bool
    colour: str
    text: str
    fields: list[str] = []
    alerts: str = ""
    description: str = ""
    links: str = ""
    context: list[str] = []


def root_content(thread: AlertThread, environment: str) -> Content:
    """The opening message: the thread as it is now."""
    headline = f"{facts.sign(thread)}{facts.title(thread)}"
    return Content(
        headline=truncate(headline, MAX_HEADER),
        is_root=True,
        colour=facts.colour(thread, thread.state),
        text=_text(_root_opening(thread), thread, environment, _root_names(thread)),
        fields=_fields(thread, environment),
        alerts=_root_alerts(thread),
        description=_description(thread, full_title=len(headline) > MAX_HEADER),
        links=links_line(thread),
        context=[*_root_times(thread), *_labels(thread, environment)],
    )


def reply_content(thread: AlertThread, batch: Batch, environment: str) -> Content:
    """A message about what happened: the batch's events, the newest state of each alert.

    One that ends the problem repeats what the root says, so that it can be read, and searched for, by itself.
    """
    sign, word, state = _happened(thread, batch)
    opening = f"{sign} {word} — "
    events = delivered(thread, batch)
    content = Content(
        headline=truncate(f"{opening}{facts.title(thread)}", MAX_HEADER),
        is_root=False,
        colour=facts.colour(thread, state),
        text=_text(opening, thread, environment, _reply_names(thread, events)),
        alerts=_reply_alerts(thread, batch, events),
        context=_reply_times(thread, batch, events),
    )
    if thread.firing:
        return msgspec.structs.replace(content, description=_news(thread, events))
    return msgspec.structs.replace(
        content,
        fields=_fields(thread, environment),
        description=_ending(thread) or _description(thread),
        links=links_line(thread),
        context=[*content.context, *_labels(thread, environment)],
    )


def _root_opening(thread: AlertThread) -> str:
    """What a root's line on a phone begins with: the state, or while it fires, the severity."""
    severity = facts.severity(thread)
    return facts.sign(thread) + (f"{severity}: " if severity and thread.state == "firing" else "")


def _happened(thread: AlertThread, batch: Batch) -> tuple[str, str, str]:
    """What a reply tells: the sign and the words that its headline begins with, and the state it speaks of."""
    kinds = [event.kind for event in batch.events.values()]
    fired, resolved = kinds.count(EventKind.FIRED), kinds.count(EventKind.RESOLVED)
    if fired and batch.reopened:
        return "🔁", "FIRING AGAIN", "firing"
    if fired:
        more = f" ({fired} new, {resolved} resolved)" if resolved else ""
        return facts.emoji(thread), f"FIRING{more}", "firing"
    if resolved and thread.firing:
        return "✅", f"RESOLVED ({thread.resolved} of {facts.total(thread)})", "resolved"
    return ("🔁", "STILL FIRING", "firing") if thread.firing else ("✅", "RESOLVED", "resolved")


def _text(opening: str, thread: AlertThread, environment: str, who: str) -> str:
    """The line that a phone shows of the message: ``🚨 CRITICAL: Database Failure (db01) [production]``."""
    place = truncate(escape(one_line(environment)), _LABEL)
    title = truncate(escape(facts.title(thread)), _TEXT // 2)
    said = f"{truncate(escape(opening), _LABEL)}{title}{who}"
    return truncate(f"{said} [{place}]" if place else said, _TEXT)


def _root_names(thread: AlertThread) -> str:
    """Which alerts a thread is about: by name if they are few and of one mind, else how many of each."""
    alerts = list(thread.alerts.values())
    if 0 < thread.firing < len(alerts) or facts.total(thread) > _NAMED:
        counts = ((thread.firing, "firing"), (thread.resolved, "resolved"))
        return f" ({', '.join(f'{count} {state}' for count, state in counts if count)})"
    return _names(alerts, unless=facts.title(thread))


def _reply_names(thread: AlertThread, events: list[Listed]) -> str:
    """The alerts that something happened to; all of the thread's where it is over."""
    if not thread.firing or not events:
        return _root_names(thread)
    return _names([event.alert for event in events], unless=facts.title(thread))


def _names(alerts: Sequence[AlertState], unless: str = "") -> str:
    """The alerts in brackets, by name or by number; nothing where the title names the only one."""
    if len(alerts) > _NAMED:
        return f" ({len(alerts)} alerts)"
    names = [name for alert, (name, _) in zip(alerts, facts.tell_apart(alerts), strict=True) if alert.name]
    if not names or (len(names) == 1 and facts.find_name(names[0], unless)):
        return ""
    return f" ({', '.join(truncate(escape(name), _LABEL) for name in names)})"


def _fields(thread: AlertThread, environment: str) -> list[str]:
    labels = facts.shared_labels(thread)
    known = [("Severity", facts.severity(thread)), ("Environment", environment)]
    known += [(name.capitalize(), labels.get(name, "")) for name in _FIELD_LABELS]
    said = [(name, literal(value, _FIELD)) for name, value in known]
    return [f"{bold(f'{name}:')} {value}" for name, value in said if value][:MAX_FIELDS]


def _root_alerts(thread: AlertThread) -> str:
    total = facts.total(thread)
    return "" if total < 2 else _counted(thread, lines(thread, now(thread)[:LISTED], total))


def _reply_alerts(thread: AlertThread, batch: Batch, events: list[Listed]) -> str:
    """The alerts that something happened to; those that fire, where the batch is about the thread as a whole."""
    if not events:
        firing = [listed for listed in now(thread) if listed.fires]
        return _counted(thread, lines(thread, firing[:LISTED], len(firing)))
    if facts.total(thread) == 1 and not thread.firing and not events[0].note:
        return ""
    return _counted(thread, lines(thread, events[:REPLY_LISTED], len(batch.events)))


def _counted(thread: AlertThread, alerts: str) -> str:
    if facts.total(thread) < 2:
        return alerts
    return f"{bold(f'Firing: {thread.firing} | Resolved: {thread.resolved}')}\n{alerts}".rstrip()


def _description(thread: AlertThread, *, full_title: bool = False) -> str:
    """What all of the thread's alerts say at length, after the title where the header had to cut it."""
    title = truncate(escape(facts.title(thread)), _FULL_TITLE) if full_title else ""
    text = facts.shared_annotation(thread, "description", "message")
    described = _described(thread, text) if unmarked(text) != facts.title(thread) else ""
    values = literal(facts.shared_values(thread), _FIELD)
    return "\n".join(
        filter(None, (title, described, *_others(thread), f"{bold('Values:')} {values}" if values else ""))
    )


def _others(thread: AlertThread) -> list[str]:
    """What else all of the thread's alerts say, a line each, as far as there is room; what is left out is counted."""
    others = facts.other_annotations(thread)
    said: list[str] = []
    room = _OTHERS
    for name, text in others.items():
        heading = truncate(escape(_heading(one_line(name))), _LABEL)
        line = f"{bold(f'{heading}:')} {truncate(prose(text), _OTHER)}"
        room -= len(line)
        if room < 0:
            break
        said.append(line)
    left = len(others) - len(said)
    return [*said, f"+{left} more in {source_link(thread)}"] if left else said


def _ending(thread: AlertThread) -> str:
    """What the resolution of a thread's only alert says at length, where that is not what its firing said."""
    alerts = list(thread.alerts.values())
    if len(alerts) != 1 or thread.forgotten:
        return ""
    said = alerts[0].ended_with
    return _described(thread, facts.annotation(said, "description", "message", "summary"))


def _heading(name: str) -> str:
    """An annotation's name as a person would write it: ``current_value`` is "Current value"."""
    words = name.replace("_", " ").strip() or name
    return words[:1].upper() + words[1:]


def _news(thread: AlertThread, events: list[Listed]) -> str:
    """What a single alert that joined says at length, where the root does not say it already."""
    if len(events) != 1 or not events[0].fires or facts.total(thread) < 2:
        return ""
    annotations = events[0].alert.annotations
    text = facts.annotation(annotations, "description", "message")
    return "" if facts.shared_annotation(thread, "description", "message") else _described(thread, text)


def _described(thread: AlertThread, text: str) -> str:
    said = prose(text)
    if not said:
        return ""
    shown = truncate(said, _DESCRIPTION)
    # A fence that is not closed shows as three signs, and what follows it in the wrong type.
    shown += "\n```" if shown.count("```") % 2 else ""
    rest = f"\nThe rest is in {source_link(thread)}." if len(said) > _DESCRIPTION else ""
    return f"{bold('Description:')}\n{shown}{rest}"


def _root_times(thread: AlertThread) -> list[str]:
    """When the thread began and ended, and what else happened to it as a whole, a line each."""
    still = thread.firing and thread.repeats
    said = [
        _span(_since_opened(thread), thread, over=not thread.firing),
        f"Still firing, notified {thread.repeats + 1} times" if still else "",
        _ended_because(thread),
        _flapped(thread),
        _left_out(thread),
        "Nothing heard for a long time: marked stale" if thread.state == "stale" else "",
    ]
    return [line for line in said if line]


def _reply_times(thread: AlertThread, batch: Batch, events: list[Listed]) -> list[str]:
    """The same of what the reply is about: its alerts, or the whole thread where that is over or repeats."""
    if not thread.firing or not events:
        return _root_times(thread)
    alerts = [event.alert for event in events]
    fires = {event.fires for event in events}
    # Of alerts that begin and others that end there is no common time to tell.
    said = [_span(alerts, thread, over=not any(fires))] if len(fires) == 1 else []
    said += [_flapped(thread) if batch.reopened else "", _left_out(thread)]
    return [line for line in said if line]


def _ended_because(thread: AlertThread) -> str:
    reasons = {facts.ended_because(alert) for alert in thread.alerts.values()}
    reason = reasons.pop() if len(reasons) == 1 and not thread.firing else ""
    return f"Resolved: {literal(reason, _FIELD)}" if reason else ""


def _flapped(thread: AlertThread) -> str:
    return f"Flapped {'once' if thread.flaps == 1 else f'{thread.flaps} times'}" if thread.flaps else ""


def _left_out(thread: AlertThread) -> str:
    if not thread.truncated:
        return ""
    alerts = "alert was" if thread.truncated == 1 else "alerts were"
    return f"{thread.truncated} more {alerts} left out by Alertmanager (max_alerts)"


def _since_opened(thread: AlertThread) -> list[AlertState]:
    """The alerts that fired since the thread was opened, or last re-opened: what ended before is another outage."""
    alerts = list(thread.alerts.values())
    return [alert for alert in alerts if (alert.ends_at or thread.reopened_at) >= thread.reopened_at] or alerts


def _span(alerts: Collection[AlertState], thread: AlertThread, *, over: bool) -> str:
    started = min((alert.starts_at for alert in alerts if alert.starts_at), default=thread.opened_at)
    ended = max((alert.ends_at for alert in alerts if alert.ends_at), default=thread.changed_at)
    parts = [f"Started: {facts.moment(started)}" if facts.moment(started) else ""]
    if over and facts.moment(ended):
        parts.append(f"Resolved: {facts.moment(ended)}")
        parts.append(f"Duration: {facts.lasting(int(ended) - int(started))}" if parts[0] else "")
    return " | ".join(filter(None, parts))


def _labels(thread: AlertThread, environment: str) -> list[str]:
    """The labels that all alerts share and no field shows, on one line as far as there is room."""
    shared = facts.shared_labels(thread)
    said = [("env", environment), ("alertname", shared.pop("alertname", ""))]
    if shared.get("severity", "").lower() == thread.severity.lower():
        shared.pop("severity", None)
    said += [(name, value) for name, value in shared.items() if name not in {*_FIELD_LABELS, "env"}]
    line = ""
    for name, value in said:
        part = literal(f"{name}={value}", _LABEL)
        longer = f"{line} | {part}" if line else part
        if one_line(value) and len(longer) <= _LABELS:
            line = longer
    return [line] if line else []
