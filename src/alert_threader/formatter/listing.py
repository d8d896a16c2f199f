"""The alerts of a message, each on a line of its own that begins with its state."""

from collections.abc import Sequence

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.links import source_link
from alert_threader.formatter.mrkdwn import bold, escape, literal, truncate, unmarked
from alert_threader.threads import AlertState, AlertThread, Batch, Event, EventKind

_FIRING, _RESOLVED = "🔴", "🟢"

#: All lines together, and what an alert says of itself on one, in characters.
_MAX_LINES = 2200
_MAX_SUMMARY = 150
#: What is said in brackets behind it, each.
_MAX_NOTE = 60


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One alert to list: its state, which may be older than the alert's own, and a note beside its name."""

    alert: AlertState
    fires: bool
    note: str = ""


def now(thread: AlertThread) -> list[Listed]:
    """All alerts as they are, the firing ones first."""
    return [Listed(alert=alert, fires=facts.fires(alert)) for alert in facts.in_order(thread)]


def delivered(thread: AlertThread, batch: Batch) -> list[Listed]:
    """The alerts of a batch's events as the events left them, the firing ones first."""
    known = [
        Listed(alert=thread.alerts[fingerprint], fires=event.kind is EventKind.FIRED, note=_folded(event))
        for fingerprint, event in batch.events.items()
        if fingerprint in thread.alerts
    ]
    return sorted(known, key=lambda listed: not listed.fires)


def lines(thread: AlertThread, listed: Sequence[Listed], total: int) -> str:
    """One line for each alert as far as there is room, then how many more there are in all, and where."""
    source = source_link(thread)
    room = _MAX_LINES - len(source)
    kept: list[str] = []
    for item, name in zip(listed, facts.tell_apart([item.alert for item in listed]), strict=True):
        line = _line(thread, item, *name)
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    if len(kept) < total:
        kept.append(f"+{total - len(kept)} more in {source}")
    return "\n".join(kept)


def _folded(event: Event) -> str:
    """How an alert came to its state, where that took more than the one step which its state tells."""
    if event.changes == 1:
        return ""
    if event.changes > 2:
        return f"changed {event.changes} times"
    return "fired and resolved" if event.kind is EventKind.RESOLVED else "resolved and fired again"


def _line(thread: AlertThread, item: Listed, name: str, differences: str) -> str:
    reason = literal(facts.ended_because(item.alert), _MAX_NOTE)
    notes = [note for note in (literal(differences, _MAX_NOTE), _values(thread, item.alert), item.note, reason) if note]
    said = _said(name, _summary(thread, item.alert))
    return " ".join((_FIRING if item.fires else _RESOLVED, said, *(f"({note})" for note in notes)))


def _said(name: str, summary: str) -> str:
    """The alert's name and what it says of itself, the name once: in bold where the summary holds it."""
    if not summary:
        return literal(name)
    place = facts.find_name(escape(name), summary)
    if place is None or literal(name) != escape(name):
        return f"{literal(name)} — {summary}"
    before, after = summary[: place.start()], summary[place.end() :]
    # Slack makes bold only what stands between spaces.
    apart = before[-1:].strip() == "" and after[:1].strip() == ""
    return f"{before}{bold(place[0]) if apart else place[0]}{after}"


def _summary(thread: AlertThread, alert: AlertState) -> str:
    summary = unmarked(facts.annotation(alert.annotations, "summary", "title"))
    if summary == facts.title(thread):
        return ""
    # A fence would reach beyond its line.
    return truncate(escape(summary.replace("```", "`")), _MAX_SUMMARY)


def _values(thread: AlertThread, alert: AlertState) -> str:
    return "" if facts.shared_values(thread) else literal(alert.values, _MAX_NOTE)
