"""Says when delivery has to wait for the store, and when it goes on."""

import logging

from alert_threader.errors import StoreError

log = logging.getLogger(__name__)


class StoreWatch:
    """Whether the store fails, as delivery sees it."""

    def __init__(self) -> None:
        self._fails = False

    def failed(self, error: StoreError) -> None:
        """The store failed."""
        self._fails = True
        log.error("delivery waits for the store: %s", error)

    def worked(self) -> None:
        """The store did what it should."""
        if self._fails:
            self._fails = False
            log.warning("delivery goes on: the store works again")
