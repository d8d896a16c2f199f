"""When a thread or some of its alerts began and ended, how long that was, and what else happened to it: a line each."""

from collections.abc import Collection, Sequence

from alert_threader.formatter import facts
from alert_threader.formatter.listing import Listed
from alert_threader.formatter.mrkdwn import literal
from alert_threader.formatter.status_line import status_line
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import AlertState, Batch

_MAX_REASON = 150


def root_times(view: ThreadView) -> list[str]:
    """When the thread began and ended, what else happened to it as a whole, and whether it is known to fire still."""
    return _times(view, _not_confirmed(view))


def _times(view: ThreadView, not_confirmed: str = "") -> list[str]:
    thread, words = view.thread, view.words
    still = view.firing and thread.repeats
    began = _began(view)
    said = [
        _span(view, began, None if view.firing else _last(view.alerts, thread.changed_at)),
        words.notified_times.format(count=thread.repeats + 1) if still else "",
        _because(view, view.alerts),
        _flapped(view, began),
        _left_out(view),
        not_confirmed,
        words.marked_stale if view.state == "stale" else "",
        status_line(view),
    ]
    return [line for line in said if line]


def reply_times(view: ThreadView, batch: Batch, events: Sequence[Listed]) -> list[str]:
    """The same of what a reply is about: its alerts, or the whole thread where that is over or repeats.

    Of some alerts that begin and others that end there is no common time.
    """
    thread = view.thread
    if not view.firing or not events:
        return _times(view)
    said = []
    alerts, fires = [event.alert for event in events], {event.fires for event in events}
    if len(fires) == 1:
        ended = None if any(fires) else _last(alerts, thread.changed_at)
        said.append(_span(view, _first(alerts, thread.opened_at), ended))
        said.append(_because(view, alerts) if len(alerts) > 1 else "")
    if batch.reopened:
        quiet = view.words.quiet_for.format(time=facts.lasting(thread.quiet_for, view.words))
        said.append(" | ".join(filter(None, (quiet if thread.quiet_for >= 1 else "", _flapped(view, 0)))))
    return [line for line in (*said, _left_out(view)) if line]


def _not_confirmed(view: ThreadView) -> str:
    """Since when a thread that fires has missed its repeats; of a stale one more than that is said."""
    since = view.thread.unconfirmed_since
    if since is None or not view.firing or view.state == "stale":
        return ""
    return view.words.not_confirmed.format(time=facts.clock(since, _began(view)))


def _began(view: ThreadView) -> float:
    return view.thread.began_at or _first(view.alerts, view.thread.opened_at)


def _first(alerts: Collection[AlertState], otherwise: float) -> float:
    return min((alert.starts_at for alert in alerts if alert.starts_at), default=otherwise)


def _last(alerts: Collection[AlertState], otherwise: float) -> float:
    return max((alert.ends_at for alert in alerts if alert.ends_at), default=otherwise)


def _span(view: ThreadView, began: float, ended: float | None) -> str:
    words, started = view.words, facts.moment(began)
    parts = [words.started.format(time=started) if started else ""]
    if ended is not None and facts.moment(ended):
        parts.append(words.resolved_at.format(time=facts.moment(ended)))
        lasted = facts.lasting(facts.between(began, ended), words)
        parts.append(words.duration.format(time=lasted) if started else "")
    return " | ".join(filter(None, parts))


def _because(view: ThreadView, alerts: Sequence[AlertState]) -> str:
    """Why some alerts fire, or ended, where all do for the same reason."""
    reasons = {_reason(view, alert) for alert in alerts}
    return reasons.pop() if len(reasons) == 1 else ""


def _reason(view: ThreadView, alert: AlertState) -> str:
    """Why an alert fires, or ended, as a line; empty where nobody says so."""
    words = view.words
    reason = facts.state_reason(alert, words)
    if not reason:
        return facts.all_gone(alert, words)
    said = words.firing_because if facts.fires(alert) else words.resolved_because
    return said.format(reason=literal(reason, _MAX_REASON))


def _flapped(view: ThreadView, began: float) -> str:
    """How often the thread flapped; once it is over, also how much of its time since ``began`` it fired."""
    thread, words = view.thread, view.words
    if not thread.flaps:
        return ""
    flapped = words.flapped_one if thread.flaps == 1 else words.flapped.format(count=thread.flaps)
    whole = facts.between(began, _last(view.alerts, thread.changed_at))
    if view.firing or not began or not 0 < thread.quiet < whole:
        return flapped
    return words.firing_for.format(
        flapped=flapped,
        firing=facts.lasting(whole - thread.quiet, words),
        whole=facts.lasting(whole, words),
    )


def _left_out(view: ThreadView) -> str:
    count, words = view.thread.truncated, view.words
    if not count:
        return ""
    return words.left_out_one if count == 1 else words.left_out.format(count=count)
