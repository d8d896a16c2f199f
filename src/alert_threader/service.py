"""The running parts of the service, as the routes see them."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, current_app

from alert_threader.delivery.access import Access
from alert_threader.delivery.afterwards import Afterwards
from alert_threader.delivery.alertmanager_calls import AlertmanagerCalls
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.poller import Poller
from alert_threader.delivery.reconciler import Reconciler
from alert_threader.delivery.sockets import Sockets
from alert_threader.delivery.token_health import TokenHealth
from alert_threader.delivery.troubles import Troubles
from alert_threader.errors import StoreError
from alert_threader.intake import Intake
from alert_threader.presses import Presses
from alert_threader.settings.settings import Settings
from alert_threader.store.base import Store
from alert_threader.store.verbs import Threads
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import Identity, Policy

log = logging.getLogger(__name__)

_EXTENSION = "alert_threader"


@dataclass(frozen=True)
class Running:
    """The parts that live between ``open`` and ``close``."""

    threads: Threads
    deliverer: Deliverer
    troubles: Troubles
    intake: Intake
    token: TokenHealth
    presses: Presses
    access: Access
    afterwards: Afterwards
    poller: Poller
    reconciler: Reconciler
    commands: AlertmanagerCalls
    #: Where presses come over Socket Mode.
    sockets: Sockets | None


@dataclass
class Service:
    """One service: its settings, and the parts that ``open`` makes and ``close`` lets go."""

    settings: Settings
    identity: Identity
    policy: Policy
    metrics: Metrics
    clock: Callable[[], float]
    started_at: float
    #: Opens the store; its argument is how many seconds to wait for a process that is leaving it. Raises StoreError.
    open_store: Callable[[float], Store]
    #: Wires the other parts on top of it.
    wire: Callable[[Threads], Running]
    _running: Running | None = field(default=None, repr=False)

    @property
    def running(self) -> Running:
        """The running parts. Raises StoreError before ``open`` and after ``close``."""
        if self._running is None:
            raise StoreError("the service is not running: send it again in a moment")
        return self._running

    @property
    def threads(self) -> Threads:
        """The threads in the open store. Raises as ``running`` does."""
        return self.running.threads

    @property
    def store(self) -> Store:
        """The open store. Raises as ``running`` does."""
        return self.running.threads.store

    @property
    def intake(self) -> Intake:
        """The door for every input. Raises as ``running`` does."""
        return self.running.intake

    @property
    def presses(self) -> Presses:
        """What takes presses. Raises as ``running`` does."""
        return self.running.presses

    def open(self, lock_wait: float = 0) -> None:
        """Open the store, waiting up to ``lock_wait`` seconds for a process that is leaving it. Raises StoreError."""
        self._running = self.wire(Threads(self.open_store(lock_wait), self.policy, self.identity.channel))

    def start(self) -> None:
        """Begin to deliver, first of all what an earlier process left behind, to where SLACK_CHANNEL says now."""
        self._follow_channel()
        self.running.deliverer.start()
        self.running.token.start()
        self.running.access.start()
        self.running.poller.start()
        if self.running.sockets is not None:
            self.running.sockets.start()

    def _follow_channel(self) -> None:
        try:
            followed = self.threads.follow_channel()
        except StoreError as error:
            log.warning("what waits for a former SLACK_CHANNEL stays there for now: %s", error)
            return
        for channel, count in followed.items():
            log.warning(
                "threads that waited for %s: %d go to %s, %d stay where their first message is",
                channel,
                count.moved,
                self.identity.channel,
                count.stay,
            )

    def begin_stop(self) -> None:
        """Begin no further call. Webhooks are still stored, and answered without waiting for Slack."""
        if self._running is not None:
            self._running.deliverer.begin_stop()

    def close(self, timeout: float) -> bool:
        """End delivery, waiting up to ``timeout`` seconds for calls in flight; close the store. Whether all ended."""
        running = self._running
        if running is None:
            return True
        running.token.stop()
        running.access.stop()
        # All are told before anyone is waited for: together they have no longer than one of them.
        until = time.monotonic() + timeout
        running.poller.begin_stop()
        if running.sockets is not None:
            running.sockets.begin_stop()
            running.sockets.stop(timeout)
        # Requests that wait for Slack are answered meanwhile, and answer with what they read from the store.
        ended = running.deliverer.stop(max(until - time.monotonic(), 0))
        running.poller.stop(max(until - time.monotonic(), 0))
        running.afterwards.stop()
        running.threads.store.close()
        self._running = None
        return ended


def install(app: Flask, service: Service) -> None:
    """Make a service the one that an application's routes use."""
    app.extensions[_EXTENSION] = service


def current_service() -> Service:
    """The service of the application that answers the current request."""
    return service_of(current_app)


def service_of(app: Flask) -> Service:
    """The service of an application."""
    service: Service = app.extensions[_EXTENSION]
    return service
