"""Polls the Alertmanager clusters: which of them has a thread's alerts, and which silences are still active."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Protocol

from alert_threader.alertmanager.model import AlertmanagerError, HeldAlert, KnownSilence, Matcher
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.store.tokens import Budget
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import AlertmanagerMetrics
from alert_threader.threads import SeenSilence, View

log = logging.getLogger(__name__)

#: How often the clusters are looked at, in seconds; all processes together.
_EVERY = 30.0
#: The least time from one look to the next, however many threads have just opened.
_LEAST = 1.0
_LANE = "poll"


class Watched(Protocol):
    """What is asked of a cluster. Every method raises AlertmanagerError."""

    @property
    def name(self) -> str:
        """What it is called."""

    def alerts(self) -> Sequence[HeldAlert]:
        """The alerts that it holds."""

    def silences(self) -> dict[str, KnownSilence]:
        """All silences by id."""

    def expire(self, silence_id: str) -> None:
        """End a silence."""


class Poller:
    """Looks as long as it runs. ``start`` and ``stop`` it once; without clusters it does nothing."""

    def __init__(
        self,
        clusters: Collection[Watched],
        threads: Threads,
        wake: Callable[[Iterable[str]], None],
        metrics: AlertmanagerMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the clusters and the threads; ``wake`` is called with the lanes in which something is due."""
        self._clusters = clusters
        self._threads = threads
        self._store = threads.store
        self._wake = wake
        self._metrics = metrics
        self._clock = clock
        self._wanted = threading.Event()
        self._guard = threading.Lock()
        self._keys: set[str] = set()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="poller", daemon=True)
        #: By cluster, the silences of ours that hold and have the same tag.
        self._copies: dict[str, list[set[str]]] = {}
        #: Why a cluster could not be looked at, by its name; empty while all can.
        self.problems: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """What the clusters are called."""
        return [cluster.name for cluster in self._clusters]

    def start(self) -> None:
        """Begin to look."""
        if self._clusters:
            self._watcher.start()

    def begin_stop(self) -> None:
        """Look no more; return at once."""
        self._stopping.set()
        self._wanted.set()

    def stop(self, timeout: float) -> None:
        """Look no more; wait up to ``timeout`` seconds for a look under way."""
        self.begin_stop()
        if self._watcher.ident is not None:
            self._watcher.join(timeout)

    def look(self, keys: Collection[str]) -> None:
        """Poll soon: it is not known yet which cluster has these threads' alerts."""
        with self._guard:
            self._keys.update(keys)
        self._wanted.set()

    def poll(self, keys: Collection[str] | None = None) -> None:
        """Look at all clusters once, and bring these threads, or all, to what was seen. Raises StoreError."""
        views = [view for view in map(self._view, self._clusters) if view is not None]
        if views:
            self._wake(self._threads.observe(views, self._clock(), keys))
        if keys is None:
            self._expire_copies()

    def _expire_copies(self) -> None:
        """Expire silences that exist twice: a member that had not answered carried out the request later."""
        suspects = {name: copies for name, copies in self._copies.items() if copies}
        if not suspects:
            return
        known = {silence.id for thread in self._store.threads() for silence in thread.silences}
        for cluster in self._clusters:
            for ids in suspects.get(cluster.name, ()):
                # Only if one of them is in a thread: otherwise a press may be under way.
                for copy in ids - known if ids & known else ():
                    with suppress(AlertmanagerError):
                        cluster.expire(copy)
                        log.warning("ended a silence that was made twice: %s", copy)

    def _watch(self) -> None:
        wait = 0.0
        while not self._stopping.is_set():
            is_wanted = self._wanted.wait(wait)
            self._wanted.clear()
            try:
                wait = self._poll_alone(is_wanted=is_wanted)
            except StoreError as error:
                log.warning("Alertmanager was not looked at: %s", error)
                wait = _LEAST
            except Exception:
                log.exception("looking at Alertmanager failed and goes on")
                wait = _EVERY
            self._stopping.wait(_LEAST)

    def _poll_alone(self, *, is_wanted: bool) -> float:
        """Look, unless another process does, or did a moment ago; return the seconds until it is time again."""
        wait = self._store.take(_LANE, Budget(1 / _EVERY, 1))
        if wait > 0 and not is_wanted:
            return wait
        lease = self._store.claim(_LANE)
        if lease is None:
            if is_wanted:
                self._wanted.set()
            return _EVERY
        with self._guard:
            keys, self._keys = self._keys, set()
        with closing(_Held(lambda: self._store.release(lease))):
            self.poll(keys if wait > 0 else None)
        return wait or _EVERY

    def _view(self, cluster: Watched) -> View | None:
        at = self._clock()
        try:
            alerts, silences = cluster.alerts(), cluster.silences()
        except AlertmanagerError as error:
            self._metrics.called("poll", error.kind.value)
            if cluster.name not in self.problems:
                log.warning("Alertmanager cannot be looked at: %s", error)
            self.problems[cluster.name] = str(error)
            return None
        self._metrics.called("poll", "ok")
        if self.problems.pop(cluster.name, None):
            log.warning("%s can be looked at again", cluster.name)
        self._copies[cluster.name] = _same_tag(silences)
        return View(
            cluster=cluster.name,
            at=at,
            alerts=frozenset(alert.fingerprint for alert in alerts),
            silences={name: _seen(silence) for name, silence in silences.items()},
            clusters=frozenset(self.names),
            by_press=_by_press(silences),
        )


def _seen(silence: KnownSilence) -> SeenSilence:
    is_plain = all(matcher.is_equal and not matcher.is_regex for matcher in silence.matchers)
    matchers = {matcher.name: matcher.value for matcher in silence.matchers} if is_plain else None
    return SeenSilence(silence.holds, silence.ends_at, silence.tag, silence.created_by, matchers)


def _by_press(silences: Mapping[str, KnownSilence]) -> dict[str, tuple[str, ...]]:
    """The ids of silences of ours that hold, by the press that made them."""
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for name, silence in silences.items():
        if silence.holds and silence.tag:
            found[silence.tag.partition("/")[0]] += (name,)
    return dict(found)


def _same_tag(silences: Mapping[str, KnownSilence]) -> list[set[str]]:
    """The ids of silences that hold, match the same and were made by the same press, where there are several."""
    by_tag: defaultdict[tuple[str, frozenset[Matcher]], set[str]] = defaultdict(set)
    for silence in silences.values():
        if silence.holds and silence.tag:
            by_tag[silence.tag, frozenset(silence.matchers)].add(silence.id)
    return [ids for ids in by_tag.values() if len(ids) > 1]


class _Held:
    """A lease, as something to close."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release

    def close(self) -> None:
        """Give it back; one that cannot be given back passes on by itself."""
        with suppress(LeaseLostError, StoreError):
            self._release()
