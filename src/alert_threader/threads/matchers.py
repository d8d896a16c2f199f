"""The matchers of a silence: for all of a thread's alerts or for one of them, and never for more."""

from collections.abc import Collection, Mapping, Sequence

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.record import CUT, AlertState, AlertThread

Matchers = dict[str, str]


def of_thread(identity: Mapping[str, str]) -> Matchers | None:
    """Matchers for all alerts of a thread: the labels its key was made from, missing ones as empty.

    None if they are not known, or if all are empty: that would silence everything that lacks these labels.
    """
    return dict(identity) if any(identity.values()) else None


def of_alert(
    labels: Mapping[str, str], identity: Mapping[str, str], others: Sequence[Mapping[str, str]]
) -> Matchers | None:
    """What matches one alert of a thread and none of the others; None where its labels are not all known.

    ``others`` are the labels of the thread's alerts. Of one that has all labels of this alert and more, one of those is
    matched as empty.
    """
    if not labels or any(value.endswith(CUT) for value in labels.values()):
        return None
    chosen = {**{name: "" for name in identity if not labels.get(name)}, **labels}
    for each in others:
        more = [name for name in each if each[name] and not labels.get(name)]
        if more and all(each.get(name, "") == value for name, value in chosen.items()):
            chosen[more[0]] = ""
    return chosen


def of_target(thread: AlertThread, fingerprint: str) -> Matchers | None:
    """What matches one of the thread's alerts, or all of them where the fingerprint is empty; None for no such.

    Alerts with different labels can share a thread: one has a default's value, the other lacks the label. No matchers
    are for both.
    """
    if not fingerprint:
        chosen = of_thread(thread.identity)
        firing = (alert for alert in thread.alerts.values() if alert.status is Status.FIRING)
        return chosen if chosen and all(matches(chosen, alert) for alert in firing) else None
    alert = thread.alerts.get(fingerprint)
    if alert is None or alert.left_out:
        return None
    others = [each.labels for name, each in thread.alerts.items() if name != fingerprint and each.labels]
    return of_alert(alert.labels, thread.identity, others)


def matches(matchers: Mapping[str, str], alert: AlertState) -> bool:
    """Whether an alert is matched; True where its labels are not all known."""
    if alert.left_out or not alert.labels:
        return True
    for name, value in matchers.items():
        own = alert.labels.get(name, "")
        if own != value and not own.endswith(CUT):
            return False
    return True


def silenceable(thread: AlertThread, fingerprints: Collection[str]) -> bool:
    """Whether each of these alerts can be silenced by itself."""
    return all(of_target(thread, each) for each in fingerprints)
