"""The running parts of the service, as the routes see them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, current_app

from alert_threader.delivery.deliverer import Deliverer
from alert_threader.errors import StoreError
from alert_threader.settings.settings import Settings
from alert_threader.store.base import Store
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import Identity, Policy

_EXTENSION = "alert_threader"


@dataclass
class Service:
    """One service: its settings, and the parts that ``open`` makes and ``close`` lets go."""

    settings: Settings
    identity: Identity
    policy: Policy
    clock: Callable[[], float]
    open_store: Callable[[float], Store]
    make_deliverer: Callable[[Store], Deliverer]
    started_at: float
    metrics: Metrics = field(default_factory=Metrics)
    _store: Store | None = None
    _deliverer: Deliverer | None = None

    @property
    def store(self) -> Store:
        """The open store. Raises StoreError before ``open`` and after ``close``."""
        if self._store is None:
            raise StoreError("the service is not running: send it again in a moment")
        return self._store

    @property
    def deliverer(self) -> Deliverer:
        """The delivery to Slack. Raises StoreError before ``open`` and after ``close``."""
        if self._deliverer is None:
            raise StoreError("the service is not running: send it again in a moment")
        return self._deliverer

    def open(self, lock_wait: float = 0) -> None:
        """Open the store, waiting up to so many seconds for a process that is leaving it. Raises StoreError."""
        self._store = self.open_store(lock_wait)
        self._deliverer = self.make_deliverer(self._store)

    def start(self) -> None:
        """Begin to deliver, first of all what an earlier process left behind."""
        self.deliverer.start()

    def close(self, timeout: float) -> bool:
        """End delivery, waiting up to so many seconds for calls in flight, and close the store. Whether all ended."""
        ended = self._deliverer.stop(timeout) if self._deliverer is not None else True
        if self._store is not None:
            self._store.close()
        self._deliverer = self._store = None
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
