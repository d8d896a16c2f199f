"""What a notification makes of a thread: rules 1 to 8 and 10 of ``threads/__init__.py``."""

from collections.abc import Collection, Iterable
from enum import StrEnum

import msgspec

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.threads.acknowledging import carried_over, review
from alert_threader.threads.confirming import learn_interval
from alert_threader.threads.details import MAX_LINK, described, limit, refresh, resolved, restore, severity_of
from alert_threader.threads.events import Batch, Event, EventKind, fold
from alert_threader.threads.keys import Change
from alert_threader.threads.late import Heard, hear
from alert_threader.threads.moving import moved
from alert_threader.threads.names import name_alerts
from alert_threader.threads.notes import changed
from alert_threader.threads.plan import Policy, RepeatPolicy, is_pending
from alert_threader.threads.record import MAX_ALERTS, AlertState, AlertThread
from alert_threader.threads.severity import Severities
from alert_threader.threads.silencing import end_with_problem
from alert_threader.threads.titles import title_of

#: An unchanged notification is a repeat, not a duplicate, once this long has passed (seconds): a duplicate comes from
#: a retry (10 s later) or from an HA peer (15 s later for each peer before it).
REPEAT_AFTER = 30 * 60
#: The same where Alertmanager itself says that it repeats; its HA peers say so too, within this time.
_REPEAT_GAP = 60
#: Alertmanager 0.30 and later: notify/dedup_stage.go, ReasonRepeatIntervalElapsed.
_REPEAT_REASON = "repeat"

#: The alertname of Grafana's test (https://grafana.com/docs/grafana/latest/alerting/configure-notifications/).
_TEST = "TestAlert"

#: When a thread was last heard of is stored this often, in seconds, so that most duplicates cost no write.
_SEEN_STEP = 60

#: A longer word is cut, in characters.
_MAX_SEVERITY = 40


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
        new = AlertThread(key=change.key, channel=change.channel, opened_at=now, changed_at=now)
        before = carried_over(thread, new)
    thread = msgspec.structs.replace(before, alerts=dict(before.alerts), seen_at=now, unconfirmed_since=None)
    heard = hear(thread, change.alerts, now)
    refreshed = policy.repeat is not RepeatPolicy.IGNORE and refresh(thread, change.alerts)
    events = _take_alerts(thread, change.alerts, now, policy)
    if events or refreshed:
        thread.title = title_of(thread, change)
    kinds = [event.kind for event in events.values()]
    fired, ended = kinds.count(EventKind.FIRED), kinds.count(EventKind.RESOLVED)
    if events:
        was_resolved = bool(before.alerts) and not before.firing
        thread = _revised(thread, change)
        if was_resolved and thread.firing:
            thread.quiet_for = _quiet(before, [thread.alerts[each] for each in events], now)
        reopened = was_resolved and thread.firing > 0
        _note_events(thread, events, _traced(change), now, reopened=reopened)
        review(thread, now, resolved_for=now - (before.resolved_at or now) if reopened else None)
        if not thread.firing:
            end_with_problem(thread, now)
        reason = _reason(thread, opened=opened, was_resolved=was_resolved, fired=fired)
    else:
        thread, reason = _without_events(thread, before, change, now, policy, heard=heard, refreshed=refreshed)
    alertname = change.alerts[0].labels.get("alertname") or "unknown"
    return Applied(thread=thread, reason=reason, alertname=alertname, fired=fired, resolved=ended)


def _without_events(
    thread: AlertThread,
    before: AlertThread,
    change: Change,
    now: float,
    policy: Policy,
    *,
    heard: Heard,
    refreshed: bool,
) -> tuple[AlertThread, Reason]:
    """The thread after a notification that changes no alert's status, and what it was: a repeat, or less (rule 7)."""
    is_test, is_repeat = thread.firing > 0 and _is_test(change), _is_repeat(thread, change, now)
    if policy.marks_unconfirmed and is_repeat and not is_test:
        learn_interval(thread, before, change, now)
    if is_test or (is_repeat and policy.repeat is not RepeatPolicy.IGNORE):
        thread = _revised(thread, change)
        _note_repeat(thread, change, now, with_reply=is_test or policy.repeat is RepeatPolicy.REPLY)
        return thread, Reason.REPEATED
    if before.unconfirmed_since is not None or heard in (Heard.RESOLUTION, Heard.LOUD):
        changed(thread)
    elif refreshed:
        thread.revision += 1
    else:
        is_new = heard is Heard.FIRING or not 0 <= now - before.seen_at < _SEEN_STEP
        return thread if is_new else before, Reason.DUPLICATE
    thread.texts_changed_at = now
    return thread, Reason.REFRESHED


def divided(change: Change, former: AlertThread, own: AlertThread | None) -> list[Change]:
    """What a notification says of the thread under the first release's key, and of the one under its own (rule 12).

    An alert that the former thread holds goes on there until it resolves; so do repeats of its end, unless it fired
    anew in its own thread.
    """
    if change.former is None:
        return [change]
    is_open = former.closed_at is None

    def stays(alert: Alert) -> bool:
        known = former.alerts.get(alert.fingerprint)
        if known is None or (own is not None and alert.fingerprint in own.alerts):
            return False
        return alert.status is Status.RESOLVED or (is_open and known.status is Status.FIRING)

    parts: dict[bool, list[Alert]] = {True: [], False: []}
    for alert in change.alerts:
        parts[stays(alert)].append(alert)
    rest = msgspec.structs.replace(change, alerts=tuple(parts[False]), former=None)
    held = msgspec.structs.replace(
        rest, key=change.former.key, identity=change.former.identity, alerts=tuple(parts[True])
    )
    return [part for part in (held, rest) if part.alerts]


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
        thread = moved(thread, change.channel)
    changed(thread)
    thread.truncated = change.truncated
    thread.identity = thread.identity or change.identity
    thread.receiver = change.receiver or thread.receiver
    if 0 < len(change.external_url) <= MAX_LINK:
        thread.external_url = change.external_url
    return thread


def _take_alerts(thread: AlertThread, alerts: Collection[Alert], now: float, policy: Policy) -> dict[str, Event]:
    """Write each alert's state into the thread; return the changes, by fingerprint (rules 1 to 3, 6)."""
    events: dict[str, Event] = {}
    new: dict[str, dict[str, str]] = {}
    for alert in alerts:
        known = thread.alerts.get(alert.fingerprint)
        if known is not None and known.status is alert.status:
            continue
        if known is not None and alert.status is Status.RESOLVED:
            state = resolved(known, alert, now)
        else:
            state = described(alert, known, now)
            state.sought = policy.polls and not state.cluster and alert.status is Status.FIRING
            if known is None:
                new[alert.fingerprint] = alert.labels
        thread.alerts[alert.fingerprint] = state
        kind = EventKind.FIRED if alert.status is Status.FIRING else EventKind.RESOLVED
        fold(events, alert.fingerprint, Event(kind=kind, at=now, known=known is not None))
    if events and thread.noted_revision is None:
        # It may come from the first release, which named alerts by other rules.
        older = {each: state for each, state in thread.alerts.items() if state.labels and each not in new}
        thread.alerts |= {each: msgspec.structs.replace(state) for each, state in older.items()}
        new |= {each: state.labels for each, state in older.items()}
    if new:
        name_alerts(thread.alerts, new, policy.name_labels)
    if events:
        pending = {**events, **thread.pending.events, **(thread.attempt.batch.events if thread.attempt else {})}
        changed = events if thread.began_at else thread.alerts  # the first release did not keep it
        starts = (thread.alerts[each].starts_at for each in changed)
        thread.began_at = min(filter(None, (thread.began_at, *starts)), default=0)
        restore(thread, alerts)
        limit(thread, pending, policy.severities)
        _note_severity(thread, policy.severities)
        _forget_oldest(thread, pending)
    return events


def _note_severity(thread: AlertThread, severities: Severities) -> None:
    """Keep the worst severity of the alerts that fire, as its sender wrote it; once none does, it stays as it was."""
    firing = thread.firing
    if not firing and thread.severity:
        return
    # Most have no labels any more: no call for each of them.
    words = {
        severity_of(state, severities) if state.labels else state.severity: None
        for state in thread.alerts.values()
        if state.status is Status.FIRING or not firing
    }
    if thread.common is None and _fires_without_details(thread):
        words[thread.severity] = None  # the first release kept no word of theirs
    worst = severities.worst(words)
    thread.level = severities.level(worst)
    thread.severity = (thread.level if worst.lower() == thread.level else worst)[:_MAX_SEVERITY]


def _fires_without_details(thread: AlertThread) -> bool:
    return any(state.status is Status.FIRING and not state.is_detailed for state in thread.alerts.values())


def _forget_oldest(thread: AlertThread, pending: Collection[str]) -> None:
    """Keep only the number of the oldest resolved alerts past MAX_ALERTS, never of firing or pending ones."""
    excess = len(thread.alerts) - MAX_ALERTS
    if excess <= 0:
        return
    old = [f for f, s in thread.alerts.items() if s.status is Status.RESOLVED and f not in pending][:excess]
    for fingerprint in old:
        del thread.alerts[fingerprint]
    thread.forgotten += len(old)


def end_alerts(thread: AlertThread, alerts: dict[str, AlertState], now: float, policy: Policy) -> None:
    """Resolve alerts of which no notification says that they are over; change the given record.

    ``alerts`` are their states from now on, by fingerprint.
    """
    thread.alerts = thread.alerts | alerts
    changed(thread)
    _note_severity(thread, policy.severities)
    events = {name: Event(kind=EventKind.RESOLVED, at=now, known=True) for name in alerts}
    _note_events(thread, events, (), now, reopened=False)
    if not thread.firing:
        end_with_problem(thread, now)


def fire_alerts(
    thread: AlertThread, alerts: dict[str, AlertState], loud: Collection[str], now: float, policy: Policy
) -> None:
    """Let alerts fire again of which no notification says that they do; change the given record.

    ``alerts`` are their states from now on, by fingerprint; ``loud`` are those of them that people are told of.
    """
    before = msgspec.structs.replace(thread)
    is_reopened = not thread.firing
    thread.alerts = thread.alerts | alerts
    changed(thread)
    _note_severity(thread, policy.severities)
    events = {name: Event(kind=EventKind.FIRED, at=now, known=True) for name in loud}
    if events:
        thread.quiet_for = _quiet(before, [alerts[name] for name in loud], now) if is_reopened else thread.quiet_for
        _note_events(thread, events, (), now, reopened=is_reopened)
    thread.resolved_at = None
    review(thread, now, resolved_for=now - (before.resolved_at or now) if is_reopened else None)


def _note_events(
    thread: AlertThread, events: dict[str, Event], webhooks: tuple[str, ...], now: float, *, reopened: bool
) -> None:
    thread.pending = thread.pending.then(Batch(events=events, reopened=reopened, webhooks=webhooks))
    thread.changed_at = thread.notified_at = now
    thread.stale = False
    if reopened:
        thread.flaps += 1
        thread.reopened_at = now
        thread.quiet += thread.quiet_for
    if thread.firing:
        thread.resolved_at = thread.closed_at = None
    else:
        thread.resolved_at = now
        thread.repeats = 0


def _is_test(change: Change) -> bool:
    """Whether it comes from the Test button of Grafana's contact points: whoever pressed it waits for a message."""
    wanted = {"alertname": _TEST, "instance": "Grafana"}
    return all(wanted.items() <= alert.labels.items() for alert in change.alerts)


def _note_repeat(thread: AlertThread, change: Change, now: float, *, with_reply: bool) -> None:
    thread.notified_at = now
    thread.repeats += 1
    if with_reply:
        thread.pending = thread.pending.then(Batch(repeated=True, webhooks=_traced(change)))


def _quiet(before: AlertThread, events: Iterable[AlertState], now: float) -> float:
    """For how long nothing fired before a thread re-opens, in seconds: by the alerts' own times where they are known.

    A re-fire can carry the start of the former firing (rule 3).
    """
    ended = max((state.ends_at for state in before.alerts.values() if state.ends_at), default=0)
    began = min((state.starts_at for state in events if state.status is Status.FIRING), default=0)
    return began - ended if began > ended > 0 else max(now - (before.resolved_at or now), 0)


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
