"""The one door for every input that changes a thread.

An input is applied atomically and durably by one verb of ``store.verbs``, counted and logged with its reason, and
delivery is woken. These are notifications and presses; the outcomes of calls and the passing of time reach the same
verbs from delivery.
"""

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

from alert_threader.alertmanager.webhook import Notification, Status
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.errors import RecordDamagedError
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import (
    AlertThread,
    Applied,
    Identity,
    Press,
    Reason,
    Verdict,
    changes,
    cluster_of,
    lanes_of,
    slack_lane,
)

log = logging.getLogger(__name__)


#: How long a press waits for the message that it was made on to be known, and how often that is looked at, in seconds.
#: Slack waits 3 s for the answer.
_POSTING, _AGAIN = 1.5, 0.05


class Taken(NamedTuple):
    """What an input made of one thread, the thread as it is now, and whether Slack shows all of it."""

    applied: Applied
    thread: AlertThread
    is_delivered: bool


class Intake:
    """Takes inputs in. Safe to use from several threads; every method raises StoreError."""

    def __init__(
        self,
        threads: Threads,
        deliverer: Deliverer,
        metrics: Metrics,
        *,
        identity: Identity,
        response_wait: float,
        opened: Callable[[Collection[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        ``response_wait`` is how long an input waits for Slack at most, in seconds; ``opened`` is called with the
        keys of firing threads for which it is not known yet which Alertmanager has their alerts.
        """
        self._opened = opened
        self._threads = threads
        self._deliverer = deliverer
        self._metrics = metrics
        self._identity = identity
        self._response_wait = response_wait
        self._clock = clock

    def notify(self, notification: Notification, channel: str | None, webhook: str) -> list[Taken]:
        """Take a notification; on return it is stored, and Slack has it unless ``is_delivered`` says otherwise.

        ``channel`` is the one that the request named, None for the default; ``webhook`` is the request's id.
        """
        began = time.perf_counter()
        with self._metrics.store.measure("notify"):
            applied = self._threads.notify(changes(notification, self._identity, channel, webhook), self._clock())
        changed = {slack_lane(each.thread.channel) for each in applied if each.reason is not Reason.DUPLICATE}
        self._deliverer.wake(changed)
        if unknown := [each.thread.key for each in applied if each.fired and not cluster_of(each.thread)]:
            self._opened(unknown)
        self._count(notification, applied, webhook, time.perf_counter() - began)
        waiting = self._deliverer.waiting
        threads = waiting.wait_until_delivered([each.thread for each in applied], self._response_wait)
        return [
            Taken(each, thread, waiting.is_delivered(thread)) for each, thread in zip(applied, threads, strict=True)
        ]

    def press(self, key: str, pressed: Press) -> Verdict:
        """Take what somebody pressed on the first message of the thread with this key; what came of it is stored.

        Slack shows a message before its answer is here, or recorded: a press that is faster waits for that.
        """
        until = time.monotonic() + _POSTING
        while True:
            try:
                with self._metrics.store.measure("press"):
                    result = self._threads.press(key, pressed, self._clock())
            except RecordDamagedError:
                return Verdict.OUT_OF_DATE  # /health names it
            if result.verdict is not Verdict.NOT_YET or time.monotonic() > until:
                break
            time.sleep(_AGAIN)
        if result.verdict.has_changed and result.thread is not None:
            self._deliverer.wake(lanes_of(result.thread))
        return result.verdict

    def read(self, key: str) -> AlertThread | None:
        """The thread with this key as it is now; None where there is none."""
        with suppress(RecordDamagedError):
            return self._threads.store.read(key)
        return None

    def _count(self, notification: Notification, applied: list[Applied], webhook: str, took: float) -> None:
        firing = sum(alert.status is Status.FIRING for alert in notification.alerts)
        alerts = len(notification.alerts)
        self._metrics.webhooks.stored(
            [each.reason for each in applied],
            firing=firing,
            resolved=alerts - firing,
            duplicates=alerts - sum(each.fired + each.resolved for each in applied),
            ignored=len(notification.ignored),
        )
        if notification.ignored:
            log.warning(
                "%s alerts ignored: %s", len(notification.ignored), notification.ignored[0], extra={"id": webhook}
            )
        for each in applied:
            about = {"id": webhook, "key": each.thread.key, "fired": each.fired, "resolved": each.resolved}
            log.info("webhook %s", each.reason, extra={**about, "ms": round(took * 1000, 1)})
