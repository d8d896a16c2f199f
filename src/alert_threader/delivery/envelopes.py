"""What comes over a connection of Socket Mode: each press is taken once, and acknowledged once it is stored."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from alert_threader.errors import AlertThreaderError, PayloadError
from alert_threader.slack.socket import Envelope, Received

log = logging.getLogger(__name__)

#: How many presses are taken at the same time, and how many of them are remembered by their envelopes.
_AT_ONCE = 8
_REMEMBERED = 200


class Open(Protocol):
    """A connection that is open."""

    def receive(self, timeout: float) -> Received | None:
        """Wait for what comes next."""

    def acknowledge(self, envelope_id: str, answer: Mapping[str, Any] | None = None) -> None:
        """Tell Slack that a press has arrived."""

    def close(self) -> None:
        """Say goodbye, and close it."""


class Envelopes:
    """Takes presses, some at the same time, so that a slow store holds up no connection."""

    def __init__(self, take: Callable[[object], dict[str, Any] | None]) -> None:
        """What ``take`` returns goes back to Slack; where it raises StoreError the press is not acknowledged."""
        self._take = take
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="press")
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)
        self._busy: set[str] = set()
        self._guard = threading.Lock()

    def do(self, work: Callable[[], None]) -> None:
        """Do something in the background, which ``stop`` waits for."""
        self._pool.submit(work)

    def stop(self) -> None:
        """Take no more, and wait for what has arrived."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def handle(self, socket: Open, envelope: Envelope) -> None:
        """Take a press, then acknowledge it: where it cannot be stored, its presser is to see Slack's warning."""
        with self._guard:
            is_taken = envelope.id in self._seen
            if not is_taken and envelope.id in self._busy:
                return  # the one that is being taken will be acknowledged, if it can be stored
            self._busy.add(envelope.id)
        if is_taken:
            socket.acknowledge(envelope.id)
        else:
            self._handle(socket, envelope)
        with self._guard:
            self._busy.discard(envelope.id)

    def _handle(self, socket: Open, envelope: Envelope) -> None:
        try:
            answer = self._take(envelope.payload)
        except PayloadError as error:
            log.warning("a press cannot be read: %s", error)
            answer = None
        except AlertThreaderError as error:
            log.warning("a press is not stored: %s", error)
            return
        except Exception:
            log.exception("a press failed")
            return
        self._seen.append(envelope.id)
        socket.acknowledge(envelope.id, answer)
