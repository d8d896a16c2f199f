"""Work after a press was answered: a line for the person, filling in a form. Best effort: a restart loses it."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

from alert_threader.errors import AlertThreaderError

log = logging.getLogger(__name__)

#: How many calls are made at the same time, and how many may wait: in a storm of presses later ones get no line.
_AT_ONCE = 4
_MAX_WAITING = 200


class Afterwards:
    """Makes calls in the background. Safe to use from several threads; it has threads only once there is something."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="afterwards")
        self._places = BoundedSemaphore(_MAX_WAITING)

    def do(self, what: str, call: Callable[[], None]) -> None:
        """Make a call soon. A failure is logged with ``what`` it was for, and that is all."""
        if not self._places.acquire(blocking=False):
            log.warning("%s: left out, too many wait", what)
            return
        try:
            self._pool.submit(self._call, what, call)
        except RuntimeError:  # it is being stopped
            self._places.release()

    def stop(self) -> None:
        """Begin nothing more. What is under way ends by itself, soon: each call has its time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except AlertThreaderError as error:
            log.warning("%s: %s", what, error)
        except Exception:
            log.exception("%s failed", what)
        finally:
            self._places.release()
