"""How much of an alert is kept (labels, texts, links: what a message can show), and of how many alerts of a thread."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import msgspec

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.threads.names import most_telling, short_name
from alert_threader.threads.record import (
    CUT,
    MAX_DETAILED,
    MAX_LABEL,
    MAX_LABELS,
    AlertState,
    AlertThread,
    Common,
)
from alert_threader.threads.severity import Severities

#: How many annotations of an alert are kept, and how much of each; a longer link is dropped (both in characters).
_MAX_ANNOTATIONS = 20
_MAX_ANNOTATION = 3000
MAX_LINK = 2000
#: The annotation in which Grafana says why an alert is in the state it is in.
STATE_REASON = "grafana_state_reason"
#: How many alerts more than MAX_DETAILED keep their details until they are delivered.
_MAX_PENDING = 20


def described(alert: Alert, known: AlertState | None, now: float) -> AlertState:
    """The state of an alert that is new, or fires again."""
    said = _said(alert)
    reason = said.annotations.get(STATE_REASON) if alert.status is Status.RESOLVED else None
    return AlertState(
        status=alert.status,
        name=known.name if known else "",
        distinct=known.distinct if known else {},
        cluster=known.cluster if known else "",
        starts_at=now if alert.starts_at is None else alert.starts_at,
        ends_at=_end(alert, now),
        labels=said.labels,
        left_out=_left_out(alert),
        annotations=said.annotations,
        links=said.links,
        values=said.values,
        ended_with={STATE_REASON: reason} if reason else {},
    )


def resolved(known: AlertState, alert: Alert, now: float) -> AlertState:
    """The state of an alert that ends: it keeps what its firing said, and beside it what its end says (rule 11)."""
    said = alert.annotations if known.is_detailed else {}
    # A reason belongs to its state: the same word at the end is news.
    new = {
        name: text
        for name, text in said.items()
        if name == STATE_REASON or not _is_what_was_kept(text, known.annotations.get(name))
    }
    return msgspec.structs.replace(
        known,
        status=Status.RESOLVED,
        ends_at=_end(alert, now),
        mute=None,
        missed=0,
        missing_since=0.0,
        ended_with=_cut(new, _MAX_ANNOTATIONS, _MAX_ANNOTATION),
        ended_left_out=max(len(new) - _MAX_ANNOTATIONS, 0),
        ended_values="" if alert.values == known.values else alert.values[:MAX_LABEL],
    )


def _is_what_was_kept(text: str, kept: str | None) -> bool:
    """Whether a text is the one that is kept, in full or cut."""
    return text == kept or (kept is not None and len(kept) == _MAX_ANNOTATION and text.startswith(kept[:-1]))


def refresh(thread: AlertThread, alerts: Iterable[Alert]) -> bool:
    """Take the texts and values of alerts that fire on: what is shown is what was last said. Whether any is new."""
    refreshed = False
    not_kept = []
    for alert in alerts:
        known = thread.alerts.get(alert.fingerprint)
        if known is None or known.status is not Status.FIRING or alert.status is not Status.FIRING:
            continue
        if not known.is_detailed:
            not_kept.append(alert)
        elif (known.annotations, known.links, known.values) != (alert.annotations, alert.links, alert.values):
            # Most have nothing new, and to cut texts takes time.
            said = _said(alert)
            fresh = msgspec.structs.replace(known, annotations=said.annotations, links=said.links, values=said.values)
            if fresh != known:
                thread.alerts[alert.fingerprint] = fresh
                refreshed = True
    return (bool(not_kept) and _refresh_common(thread, not_kept)) or refreshed


def restore(thread: AlertThread, alerts: Iterable[Alert]) -> None:
    """Keep the details again of alerts that fire on and that the root lists by now."""
    if len(thread.alerts) <= MAX_DETAILED:
        return
    bare = {each for each in thread.listed if not thread.alerts[each].is_detailed}
    for alert in alerts:
        if alert.fingerprint not in bare or alert.status is not Status.FIRING:
            continue
        known, said = thread.alerts[alert.fingerprint], _said(alert)
        thread.alerts[alert.fingerprint] = msgspec.structs.replace(
            known,
            labels=said.labels,
            annotations=said.annotations,
            links=said.links,
            values=said.values,
            left_out=_left_out(alert),
        )


def limit(thread: AlertThread, pending: Collection[str], severities: Severities) -> None:
    """Keep the details of MAX_DETAILED alerts, and of some more that are ``pending``: a message has still to show them.

    The alerts that the root lists keep theirs. Of the others, resolved ones lose theirs first, then those that the root
    would list last.
    """
    if len(thread.alerts) <= MAX_DETAILED:
        return
    detailed = thread.detailed
    excess = len(detailed) - MAX_DETAILED
    if excess <= 0:
        return
    is_first = len(detailed) == len(thread.alerts) and not thread.forgotten
    if is_first:
        thread.common = None
    listed = thread.listed
    over = [each for each, state in detailed.items() if state.status is Status.RESOLVED]
    firing = [each for each, state in detailed.items() if state.status is Status.FIRING]
    last_first = [each for each in (*over, *reversed(firing)) if each not in listed]
    idle = [each for each in last_first if each not in pending][:excess]
    busy = [each for each in last_first if each in pending][: max(excess - len(idle) - _MAX_PENDING, 0)]
    for fingerprint in (*idle, *busy):
        state = detailed[fingerprint]
        says = Common(labels=state.labels, annotations=state.annotations, links=state.links, values=state.values)
        thread.common = says if is_first else thread.common and _shared(thread.common, says)
        is_first = False
        thread.alerts[fingerprint] = _without_details(state, severities.of(state.labels))


def severity_of(state: AlertState, severities: Severities) -> str:
    """The word for how bad an alert is, whether its labels are kept or not; empty for none."""
    return severities.of(state.labels) or state.severity


def in_common(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The entries that all of the mappings have, in the order of the first."""
    if not mappings:
        return {}
    shared, *others = mappings
    for other in others:
        shared = {name: value for name, value in shared.items() if other.get(name) == value}
    return dict(shared)


def _without_details(state: AlertState, severity: str) -> AlertState:
    return msgspec.structs.replace(
        state,
        name=short_name(state),
        severity=severity,
        left_out=state.left_out + len(state.labels) + len(state.annotations),
        labels={},
        annotations={},
        links={},
        values="",
        ended_with={},
        ended_left_out=state.ended_left_out + len(state.ended_with),
    )


def _refresh_common(thread: AlertThread, alerts: list[Alert]) -> bool:
    """Update what the alerts without details have in common from what they say now; return whether it changed."""
    is_all = not thread.forgotten and len(alerts) == len(thread.alerts) - len(thread.detailed)
    if not (is_all or thread.common):
        return False
    said = map(_said, alerts)
    common = next(said) if is_all or thread.common is None else thread.common
    for each in said:
        common = _shared(common, each)
    if common == thread.common:
        return False
    thread.common = common
    return True


def _shared(one: Common, other: Common) -> Common:
    labels = in_common([one.labels, other.labels])
    return Common(
        labels=labels,
        differing=tuple(sorted({*one.differing, *other.differing, *one.labels, *other.labels} - labels.keys())),
        annotations=in_common([one.annotations, other.annotations]),
        links=in_common([one.links, other.links]),
        values=one.values if one.values == other.values else "",
    )


def _said(alert: Alert) -> Common:
    """What an alert says of itself, as far as it is kept."""
    labels = alert.labels if len(alert.labels) <= MAX_LABELS else most_telling(alert.labels, MAX_LABELS)
    return Common(
        labels=_cut(labels, MAX_LABELS, MAX_LABEL),
        annotations=_cut(alert.annotations, _MAX_ANNOTATIONS, _MAX_ANNOTATION),
        # A cut address leads nowhere.
        links={name: url for name, url in alert.links.items() if len(url) <= MAX_LINK},
        values=alert.values[:MAX_LABEL],
    )


def _left_out(alert: Alert) -> int:
    return max(len(alert.labels) - MAX_LABELS, 0) + max(len(alert.annotations) - _MAX_ANNOTATIONS, 0)


def _end(alert: Alert, now: float) -> float | None:
    if alert.status is Status.FIRING:
        return None
    return now if alert.ends_at is None else alert.ends_at


def _cut(texts: dict[str, str], count: int, length: int) -> dict[str, str]:
    """The first of some labels or annotations, each cut to a length that is more than Slack would show."""
    if len(texts) <= count and max(map(len, chain(texts, texts.values())), default=0) <= length:
        return texts
    return {
        name[:length]: value if len(value) <= length else value[: length - 1] + CUT
        for name, value in list(texts.items())[:count]
    }
