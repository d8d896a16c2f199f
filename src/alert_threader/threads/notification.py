"""What a notification makes of a thread: rules 1 to 8 and 10 of ``threads/__init__.py``."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain

import msgspec

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.threads.keys import Change, alert_name, spaced
from alert_threader.threads.plan import Policy, RepeatPolicy, is_pending
from alert_threader.threads.record import (
    MAX_ALERTS,
    MAX_DETAILED,
    AlertState,
    AlertThread,
    Batch,
    Event,
    EventKind,
    Shown,
    fold,
)
from alert_threader.threads.severity import level_of, severity_rank

#: An unchanged notification is a repeat, not a duplicate, once this long has passed (seconds): a duplicate comes from
#: a retry (10 s later) or from an HA peer (15 s later for each peer before it).
REPEAT_AFTER = 30 * 60
#: The same where Alertmanager itself says that it repeats; its HA peers say so too, within this time.
_REPEAT_GAP = 60
#: Alertmanager 0.30 and later: notify/dedup_stage.go, ReasonRepeatIntervalElapsed.
_REPEAT_REASON = "repeat"

#: When a thread was last heard of is stored this often, in seconds, so that most duplicates cost no write.
_SEEN_STEP = 60

#: Longer values are cut when they are kept, in characters; Slack shows less than this of each.
_MAX_SEVERITY = 40
_MAX_LABELS = 30
_MAX_LABEL = 300
_MAX_ANNOTATIONS = 20
_MAX_ANNOTATION = 3000
_MAX_LINK = 2000


class Reason(StrEnum):
    """Why a notification changed a thread, or did not. The same word goes into the log and the counters."""

    OPENED = "opened"
    OPENED_RESOLVED = "opened_resolved"
    REOPENED = "reopened"
    FIRED = "fired"
    RESOLVED = "resolved"
    REPEATED = "repeated"
    REFRESHED = "refreshed"
    DUPLICATE = "duplicate"


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A thread after a notification, why it changed, and what the notification was found to say."""

    thread: AlertThread
    reason: Reason
    alertname: str = ""
    fired: int = 0
    resolved: int = 0


def apply(thread: AlertThread | None, change: Change, now: float, policy: Policy) -> Applied:
    """Bring a thread (None where there is none) to what a notification says.

    The given record is not changed. Applying the same change again leaves a thread as it is (rule 10).
    """
    opened = thread is None or _is_over(thread, change, now, policy)
    before = thread
    if before is None or opened:
        before = AlertThread(key=change.key, channel=change.channel, opened_at=now, changed_at=now)
    thread = msgspec.structs.replace(before, alerts=dict(before.alerts), seen_at=now)
    refreshed = policy.repeat is not RepeatPolicy.IGNORE and _refresh(thread, change.alerts)
    events = _take_alerts(thread, change.alerts, now, policy)
    if events or refreshed:
        _note_title(thread, change.alerts)
    kinds = [event.kind for event in events.values()]
    fired, resolved = kinds.count(EventKind.FIRED), kinds.count(EventKind.RESOLVED)
    if events:
        was_resolved = bool(before.alerts) and not before.firing
        thread = _revised(thread, change)
        _note_events(thread, events, change, now, reopened=was_resolved and thread.firing > 0)
        reason = _reason(thread, opened=opened, was_resolved=was_resolved, fired=fired)
    elif policy.repeat is not RepeatPolicy.IGNORE and _is_repeat(thread, change, now):
        thread = _revised(thread, change)
        _note_repeat(thread, change, now, policy)
        reason = Reason.REPEATED
    elif refreshed:
        thread.revision += 1
        thread.texts_changed_at = now
        reason = Reason.REFRESHED
    else:
        if 0 <= now - before.seen_at < _SEEN_STEP:
            thread = before
        reason = Reason.DUPLICATE
    alertname = change.alerts[0].labels.get("alertname") or "unknown"
    return Applied(thread=thread, reason=reason, alertname=alertname, fired=fired, resolved=resolved)


def _is_over(thread: AlertThread, change: Change, now: float, policy: Policy) -> bool:
    """Whether a firing would have to open a new thread (rules 4 and 9). A pending one goes on."""
    if is_pending(thread) or all(alert.status is Status.RESOLVED for alert in change.alerts):
        return False
    if thread.closed_at is not None:
        return True
    return thread.resolved_at is not None and now >= thread.resolved_at + policy.reopen_window


def _revised(thread: AlertThread, change: Change) -> AlertThread:
    """The thread in another revision, in the channel and with the address that the notification names.

    A duplicate takes neither: it may come from an HA peer with another address, or by way of a replica that still has
    the former channel.
    """
    if thread.channel != change.channel:
        thread = _moved(thread, change.channel)
    thread.revision += 1
    thread.noted_revision = thread.revision
    thread.truncated = change.truncated
    if 0 < len(change.external_url) <= _MAX_LINK:
        thread.external_url = change.external_url
    return thread


def _moved(thread: AlertThread, channel: str) -> AlertThread:
    """The thread in another channel: SLACK_CHANNEL has changed, perhaps because the old one takes no more messages.

    It gets a root there, and what was under way in the old channel is delivered there.
    """
    pending = thread.attempt.batch.then(thread.pending) if thread.attempt else thread.pending
    return msgspec.structs.replace(
        thread,
        channel=channel,
        ts=None,
        shown=Shown(),
        attempt=None,
        pending=pending,
        failures=0,
        retry_at=0.0,
        retry_wait=0.0,
        error="",
    )


def _refresh(thread: AlertThread, alerts: Iterable[Alert]) -> bool:
    """Take the texts and values of alerts that fire on: what is shown is what was last said. Whether any is new."""
    refreshed = False
    for alert in alerts:
        known = thread.alerts.get(alert.fingerprint)
        if known is None or not known.labels or known.status is not Status.FIRING or alert.status is not Status.FIRING:
            continue
        if (known.annotations, known.links, known.values) == (alert.annotations, alert.links, alert.values):
            continue  # most are, and to cut texts takes time
        annotations, links, values = _texts(alert)
        fresh = msgspec.structs.replace(known, annotations=annotations, links=links, values=values)
        if fresh != known:
            thread.alerts[alert.fingerprint] = fresh
            refreshed = True
    return refreshed


def _take_alerts(thread: AlertThread, alerts: Iterable[Alert], now: float, policy: Policy) -> dict[str, Event]:
    """Write each alert's state into the thread; return the changes, by fingerprint (rules 1 to 3, 6)."""
    events: dict[str, Event] = {}
    detailed = sum(bool(known.labels) for known in thread.alerts.values())
    for alert in alerts:
        known = thread.alerts.get(alert.fingerprint)
        if known is not None and known.status is alert.status:
            continue
        _note_severity(thread, alert.labels.get(policy.severity_label) or "", policy)
        if known is not None and alert.status is Status.RESOLVED:
            state = _resolved(known, alert, now)
        else:
            had_details = known is not None and bool(known.labels)
            state = _described(alert, now)
            if not had_details and detailed >= MAX_DETAILED and not _strip_a_resolved(thread):
                state = _stripped(state)
            elif not had_details and detailed < MAX_DETAILED:
                detailed += 1
        thread.alerts[alert.fingerprint] = state
        kind = EventKind.FIRED if alert.status is Status.FIRING else EventKind.RESOLVED
        fold(events, alert.fingerprint, Event(kind=kind, at=now))
    if events:
        _forget_oldest(thread, keep=events)
    return events


def _note_severity(thread: AlertThread, given: str, policy: Policy) -> None:
    """Keep the worst severity that an alert of the thread has had, as its sender wrote it. None is made up."""
    if not given or given == thread.severity:
        return
    level = level_of(given, policy.severity_map)
    if not thread.severity or severity_rank(level) < severity_rank(thread.severity_level):
        thread.severity = (level if given.lower() == level else given)[:_MAX_SEVERITY]
        thread.level = level


def _note_title(thread: AlertThread, alerts: Sequence[Alert]) -> None:
    """Keep a title that holds for all alerts of the thread: the summary that they share, or the alert's name."""
    plain = spaced(alerts[0].labels.get("alertname", "")) or "Alert"
    titles = {_summary(state.annotations) for state in thread.alerts.values() if state.labels or state.annotations}
    titles |= {_summary(alert.annotations) for alert in alerts if alert.status is Status.FIRING}
    # Of an alert whose details are not kept nobody knows any more what it said.
    is_known = len(titles) == 1 and (len(thread.alerts) <= MAX_DETAILED or thread.title != plain)
    thread.title = (titles.pop() if is_known else "") or plain


def _summary(annotations: dict[str, str]) -> str:
    said = annotations.get("summary") or annotations.get("title")
    if not said:
        by_name = {name.lower(): text for name, text in annotations.items()}
        said = by_name.get("summary") or by_name.get("title") or ""
    return said[:_MAX_LABEL]


def _described(alert: Alert, now: float) -> AlertState:
    annotations, links, values = _texts(alert)
    return AlertState(
        status=alert.status,
        name=alert_name(alert.labels),
        starts_at=now if alert.starts_at is None else alert.starts_at,
        ends_at=_end(alert, now),
        labels=_cut(alert.labels, _MAX_LABELS, _MAX_LABEL),
        annotations=annotations,
        links=links,
        values=values,
    )


def _texts(alert: Alert) -> tuple[dict[str, str], dict[str, str], str]:
    """What an alert says of itself, as far as it is kept: annotations, links and values."""
    annotations = _cut(alert.annotations, _MAX_ANNOTATIONS, _MAX_ANNOTATION)
    # A cut address leads nowhere.
    links = {name: url for name, url in alert.links.items() if len(url) <= _MAX_LINK}
    return annotations, links, alert.values[:_MAX_LABEL]


def _resolved(known: AlertState, alert: Alert, now: float) -> AlertState:
    """The alert keeps what its firing said; what its resolution says otherwise is kept beside it (rule 11)."""
    said = _cut(alert.annotations, _MAX_ANNOTATIONS, _MAX_ANNOTATION) if known.labels else {}
    new = {name: text for name, text in said.items() if known.annotations.get(name) != text}
    return msgspec.structs.replace(known, status=Status.RESOLVED, ends_at=_end(alert, now), ended_with=new)


def _stripped(state: AlertState) -> AlertState:
    return AlertState(status=state.status, name=state.name, starts_at=state.starts_at, ends_at=state.ends_at)


def _end(alert: Alert, now: float) -> float | None:
    if alert.status is Status.FIRING:
        return None
    return now if alert.ends_at is None else alert.ends_at


def _cut(texts: dict[str, str], count: int, length: int) -> dict[str, str]:
    """The first of some labels or annotations, each cut to a length that is more than Slack would show."""
    if len(texts) <= count and max(map(len, chain(texts, texts.values())), default=0) <= length:
        return texts
    return {
        name[:length]: value if len(value) <= length else value[: length - 1] + "…"
        for name, value in list(texts.items())[:count]
    }


def _strip_a_resolved(thread: AlertThread) -> bool:
    """Take the details of the alert that resolved first, so that a new one can have them."""
    for fingerprint, state in thread.alerts.items():
        if state.labels and state.status is Status.RESOLVED:
            thread.alerts[fingerprint] = _stripped(state)
            return True
    return False


def _forget_oldest(thread: AlertThread, keep: dict[str, Event]) -> None:
    """Keep only the number of the oldest resolved alerts past MAX_ALERTS, never of firing or pending ones."""
    excess = len(thread.alerts) - MAX_ALERTS
    if excess <= 0:
        return
    kept = {**keep, **thread.pending.events, **(thread.attempt.batch.events if thread.attempt else {})}
    old = [f for f, s in thread.alerts.items() if s.status is Status.RESOLVED and f not in kept][:excess]
    for fingerprint in old:
        del thread.alerts[fingerprint]
    thread.forgotten += len(old)


def _note_events(thread: AlertThread, events: dict[str, Event], change: Change, now: float, *, reopened: bool) -> None:
    thread.pending = thread.pending.then(Batch(events=events, reopened=reopened, webhooks=_traced(change)))
    thread.changed_at = thread.notified_at = now
    thread.stale = False
    if thread.firing:
        thread.resolved_at = thread.closed_at = None
    else:
        thread.resolved_at = now
        thread.repeats = 0
    if reopened:
        thread.flaps += 1
        thread.reopened_at = now


def _note_repeat(thread: AlertThread, change: Change, now: float, policy: Policy) -> None:
    thread.notified_at = now
    thread.repeats += 1
    if policy.repeat is RepeatPolicy.REPLY:
        thread.pending = thread.pending.then(Batch(repeated=True, webhooks=_traced(change)))


def _traced(change: Change) -> tuple[str, ...]:
    return (change.webhook,) if change.webhook else ()


def _reason(thread: AlertThread, *, opened: bool, was_resolved: bool, fired: int) -> Reason:
    if opened:
        return Reason.OPENED if thread.firing else Reason.OPENED_RESOLVED
    if was_resolved and thread.firing:
        return Reason.REOPENED
    return Reason.FIRED if fired else Reason.RESOLVED


def _is_repeat(thread: AlertThread, change: Change, now: float) -> bool:
    """Rule 7. A clock that was set back must not make every notification a duplicate, hence the absolute value."""
    if not thread.firing:
        return False
    gap = _REPEAT_GAP if _REPEAT_REASON in change.reason.lower() else REPEAT_AFTER
    return abs(now - thread.notified_at) >= gap
