"""Counts alerts whose webhooks got lost: Alertmanager should have sent them long ago, and they are in no thread."""

from collections import Counter
from collections.abc import Iterator

from alert_threader.alertmanager.model import HeldAlert
from alert_threader.delivery.cluster_views import Looked
from alert_threader.delivery.survey import Survey

#: How long an alert is active at least before it counts, in seconds.
_LATE_AFTER = 15 * 60.0


#: One firing of an alert: its cluster, its fingerprint, and when it began.
_Key = tuple[str, str, float]


class Undelivered:
    """Compares what Alertmanager holds with the threads, poll by poll."""

    def __init__(self, started_at: float) -> None:
        """Alerts that began before ``started_at``, in seconds since the epoch, do not count."""
        self._since = started_at
        #: Since when each receiver has been heard from, by cluster and receiver.
        self._heard: dict[tuple[str, str], float] = {}
        #: Since when each alert is seen to be active and in no thread, by cluster, fingerprint and begin.
        self._missing: dict[_Key, float] = {}
        #: The alerts that were once in a thread, by the same key: another process may have deleted the threads.
        self._arrived: set[_Key] = set()
        #: How many alerts never arrived, by receiver.
        self.counts: dict[str, int] = {}

    def forget(self, now: float) -> None:
        """The threads were forgotten: only what begins from now on is expected."""
        self._since = now
        self._heard = {}
        self._missing = {}
        self.counts = {}

    def compare(self, looked: list[Looked], survey: Survey, now: float) -> None:
        """Count what should have arrived by ``now``, in seconds since the epoch."""
        for name, since in survey.receivers.items():
            self._heard.setdefault(name, since)
        counts: Counter[str] = Counter()
        self._arrived = {
            key
            for each in looked
            for key, alert in _keyed(each)
            if key in self._arrived or alert.fingerprint in survey.firing
        }
        missing: dict[_Key, float] = {}
        for each in looked:
            for key, alert, receiver in self._expected(each, survey):
                missing[key] = self._missing.get(key, now)
                late_after = max(_LATE_AFTER, each.least_late_after)
                if now - max(missing[key], alert.starts_at) >= late_after:
                    counts[receiver] += 1
        self._missing = missing
        self.counts = dict(counts)

    def _expected(self, looked: Looked, survey: Survey) -> Iterator[tuple[_Key, HeldAlert, str]]:
        """The active alerts that are in no thread, with a receiver whose webhooks come here."""
        for key, alert in _keyed(looked):
            if alert.is_muted or alert.fingerprint in survey.firing or key in self._arrived:
                continue
            # Older versions do not say which alerts a time interval mutes.
            hidden = survey.truncated | (looked.timed_receivers if alert.muted_by is None else frozenset())
            for receiver in alert.receivers:
                heard = self._heard.get((key[0], receiver))
                if heard is not None and alert.starts_at > max(heard, self._since) and receiver not in hidden:
                    yield key, alert, receiver
                    break


def _keyed(looked: Looked) -> Iterator[tuple[_Key, HeldAlert]]:
    """The alerts of a view, each with its cluster, its fingerprint and when it began."""
    if looked.view is not None:
        for alert in looked.view.alerts.values():
            yield (looked.view.cluster, alert.fingerprint, alert.starts_at), alert
