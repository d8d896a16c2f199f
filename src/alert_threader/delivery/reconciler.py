"""Polls the Alertmanager clusters once, and brings the threads to what they hold."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec

from alert_threader.alertmanager.model import AlertmanagerError, KnownSilence, Matcher, MemberState
from alert_threader.delivery.cluster_views import ClusterViews, Looked
from alert_threader.delivery.survey import Survey, inhibitors
from alert_threader.delivery.undelivered import Undelivered
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.alertmanager_metrics import AlertmanagerMetrics, AlertmanagerOperation
from alert_threader.threads import View, observe

log = logging.getLogger(__name__)


#: What is said of alerts that Alertmanager has, and that no webhook brought.
_NEVER_ARRIVED = (
    "Alertmanager has {alerts} for receiver {name} that never arrived: look at its log, and at the URL there"
)
_TOO_SHORT = (
    "GONE_AFTER is %.0f s, but a resolution from Alertmanager %s can take up to %.0f s (twice the largest "
    "group_interval plus 1 minute): alerts that have just resolved will be shown as gone"
)


class Watched(Protocol):
    """What is asked of a cluster. Methods raise AlertmanagerError unless they say otherwise."""

    @property
    def name(self) -> str:
        """What it is called."""

    def look(self) -> Sequence[MemberState | AlertmanagerError]:
        """What each member holds, or why it did not say. Never raises."""

    def expire(self, silence_id: str) -> None:
        """End a silence."""


class Polling(NamedTuple):
    """The settings: RECONCILE_EVERY (0 for never), and GONE_AFTER where it is given, in seconds."""

    every: float = 30.0
    gone_after: float | None = None


class Reconciler:
    """Compares the threads with what the clusters hold. ``poll`` is for one thread at a time."""

    def __init__(
        self,
        clusters: Collection[Watched],
        threads: Threads,
        wake: Callable[[Iterable[str]], None],
        metrics: AlertmanagerMetrics,
        polling: Polling = Polling(),  # noqa: B008 - an immutable value
        *,
        link: Callable[[str, str], str] = lambda _channel, _ts: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the clusters and the threads.

        ``wake`` is called with the lanes in which something is due; ``link`` makes the address of a message of its
        channel and ``ts``, empty where it is not known.
        """
        self._clusters = clusters
        self._threads = threads
        self._store = threads.store
        self._wake = wake
        self._metrics = metrics
        self._polling = polling
        self._link = link
        self._clock = clock
        self._views = {each.name: ClusterViews(each.name, polling.gone_after, polling.every) for each in clusters}
        self._addresses: defaultdict[str, set[str]] = defaultdict(set)
        self._undelivered = Undelivered(clock())
        #: What was seen last, by cluster.
        self._looked: dict[str, Looked] = {}
        self._complete_at: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """What the clusters are called."""
        return [cluster.name for cluster in self._clusters]

    @property
    def problems(self) -> list[str]:
        """What needs somebody to do something, a line each; empty while all is seen and nothing got lost."""
        texts = [text for each in list(self._looked.values()) for text in each.problems]
        return [*texts, *(never_arrived(n, name) for name, n in self._undelivered.counts.items())]

    @property
    def states(self) -> dict[str, str]:
        """How each cluster is, by its name: ``ok``, or why a view of it is not complete."""
        looked = dict(self._looked)
        said = {name: [*each.problems, *each.notices] for name, each in looked.items()}
        return {name: "; ".join(said.get(name, ())) or "ok" for name in self.names}

    def forget(self, now: float) -> None:
        """The threads were deleted at ``now``: alerts that began before are no longer expected in a thread."""
        self._undelivered.forget(now)

    def leave(self) -> None:
        """Another process polls: its numbers count, and not ours."""
        self._undelivered.counts = {}
        self._looked = {}
        self._metrics.polled(0, 0, 0)

    def poll(self, keys: Collection[str] | None = None) -> bool:
        """Look at all clusters once, and bring these threads, or all, to what was seen.

        Returns whether any of them answered. Raises StoreError.
        """
        operation: AlertmanagerOperation = "poll" if keys is None else "locate"
        looked = [self._look(cluster, operation) for cluster in self._clusters]
        views = [self._completed(each.view) for each in looked if each.view is not None]
        if keys is not None:
            self._observe(views, keys)
            return bool(views)
        survey = Survey()
        news = []
        for thread in self._store.threads():
            survey.add(thread)
            if any(observe(thread, view, view.at, self._threads.policy) is not thread for view in views):
                news.append(thread.key)
        self._observe(views, news)
        for name, addresses in survey.addresses.items():
            self._addresses[name] |= addresses
        self._undelivered.compare(looked, survey, self._clock())
        oldest = min((self._complete_at.get(name, 0) for name in self.names), default=0)
        self._metrics.polled(sum(self._undelivered.counts.values()), survey.muted, oldest)
        self._expire_copies(looked)
        return bool(views)

    def _observe(self, views: Sequence[View], keys: Collection[str]) -> None:
        if views and keys:
            lanes, gone = self._threads.observe(views, self._clock(), keys)
            self._metrics.gone(gone)
            self._wake(lanes)

    def _completed(self, view: View) -> View:
        """The view with what only the threads say."""
        own = self._addresses[view.cluster]
        others = set[str]().union(*(found for name, found in self._addresses.items() if name != view.cluster))
        view = msgspec.structs.replace(view, addresses=frozenset(own), other_addresses=frozenset(others))
        if not self._polling.every:
            return msgspec.structs.replace(view, is_only_to_locate=True)
        inhibiting = inhibitors(view.alerts, self._store.threads, self._link)
        return msgspec.structs.replace(view, inhibitors=inhibiting)

    def _expire_copies(self, looked: Iterable[Looked]) -> None:
        """Expire silences that exist twice: a member that had not answered carried out the request later."""
        suspects = {each.view.cluster: _same_tag(each.view.silences) for each in looked if each.view is not None}
        if not any(suspects.values()):
            return
        known = {silence.id for thread in self._store.threads() for silence in thread.silences}
        for cluster in self._clusters:
            for ids in suspects.get(cluster.name, ()):
                # Only if one of them is in a thread: otherwise a press may be under way.
                for copy in ids - known if ids & known else ():
                    with suppress(AlertmanagerError):
                        cluster.expire(copy)
                        log.warning("ended a duplicate silence: %s", copy)

    def _look(self, cluster: Watched, operation: AlertmanagerOperation) -> Looked:
        at = self._clock()
        states = cluster.look()
        for state in states:
            self._metrics.called(operation, state.kind.value if isinstance(state, AlertmanagerError) else "ok")
        looked = self._views[cluster.name].view(states, at, self.names)
        before = self._looked.get(cluster.name, Looked(None))
        for text in set(looked.problems) - set(before.problems):
            log.warning("Alertmanager %s: %s", cluster.name, text)
        given, least = self._polling.gone_after, looked.least_gone_after
        if given is not None and given < least != before.least_gone_after:
            log.warning(_TOO_SHORT, given, cluster.name, least)
        if before.problems and not looked.problems:
            log.warning("Alertmanager %s: the problem is solved", cluster.name)
        self._looked[cluster.name] = looked
        if looked.view is not None and looked.view.complete:
            self._complete_at[cluster.name] = at
        return looked


def never_arrived(count: int, name: str) -> str:
    """What is said of so many alerts for a receiver that no webhook brought."""
    return _NEVER_ARRIVED.format(alerts="1 alert" if count == 1 else f"{count} alerts", name=name)


def _same_tag(silences: Mapping[str, KnownSilence]) -> list[set[str]]:
    """The ids of silences that hold and are the same in all that a press gives them, where there are several.

    Somebody may have copied one of ours, with its comment, to make it longer.
    """
    by_tag: defaultdict[tuple[str, frozenset[Matcher], str, int], set[str]] = defaultdict(set)
    for silence in silences.values():
        if silence.holds and silence.tag:
            given = (silence.tag, frozenset(silence.matchers), silence.created_by, round(silence.ends_at))
            by_tag[given].add(silence.id)
    return [ids for ids in by_tag.values() if len(ids) > 1]
