"""Keeps two Socket Mode connections open, so that a press always finds one, and passes on what arrives.

Two, because Slack sends a press once, and closes each connection now and then; only two, because Slack allows ten for
an app and spreads presses over all of them. Each is held under a lease: however many processes there are, two are open.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from alert_threader.delivery.envelopes import Envelopes, Open
from alert_threader.delivery.retry import backoff
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.socket import Envelope, Goodbye, Hello
from alert_threader.store.base import Lease, Store

log = logging.getLogger(__name__)

_COUNT = 2
#: How long after the first the second one is opened, in seconds: Slack asks for a new one after a fixed time, and must
#: not ask for both at once.
_STAGGER = 30.0
#: How often it is looked whether a lease is free, or whether the connection is still to be kept, in seconds.
_LOOK = 1.0
#: The wait after a refusal that only a person can end, or after too many connections, in seconds.
_LONG = 60.0
_LONGEST_BACKOFF = 30.0
#: How long no connection may be open before it is a trouble, in seconds.
_DEAF = 30.0
#: How many other connections of the app are no cause for concern: Slack may count one that is half gone.
_OTHERS = 2
#: How long one that is replaced is still listened to, in seconds.
_DRAIN = 10.0


class _State(NamedTuple):
    """What is known of one of the connections. ``since`` is when it was opened or lost (monotonic)."""

    is_open: bool
    since: float
    connections: int = 0
    problem: str = ""


class Sockets:
    """Takes presses over Socket Mode as long as it runs. ``start`` and ``stop`` it once."""

    def __init__(
        self,
        connect: Callable[[], Open],
        store: Store,
        take: Callable[[object], dict[str, Any] | None],
        counted: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Take how to open a connection (raises SlackError), the store for the leases, and what takes a payload.

        What ``take`` returns goes back to Slack; where it raises StoreError the press is not acknowledged. ``counted``
        is called with the number of connections that Slack counts for the app.
        """
        self._connect = connect
        self._store = store
        self._envelopes = Envelopes(take)
        self._counted = counted
        self._stopping = threading.Event()
        now = time.monotonic()
        self._states = [_State(is_open=False, since=now) for _ in range(_COUNT)]
        self._keepers = [
            threading.Thread(target=self._keep, args=(number,), name=f"socket-{number}", daemon=True)
            for number in range(_COUNT)
        ]

    def start(self) -> None:
        """Open the first connection, and some time later the second."""
        for keeper in self._keepers:
            keeper.start()

    def begin_stop(self) -> None:
        """Close both; return at once."""
        self._stopping.set()

    def stop(self, timeout: float) -> None:
        """Close both, and wait up to ``timeout`` seconds for the presses that have arrived."""
        self.begin_stop()
        until = time.monotonic() + timeout
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.join(max(until - time.monotonic(), 0))
        self._envelopes.stop()

    @property
    def open(self) -> int:
        """How many connections of this process are open."""
        return sum(state.is_open for state in self._states)

    @property
    def problems(self) -> list[str]:
        """What keeps presses from arriving, a line each."""
        now, states = time.monotonic(), list(self._states)
        problems = list(dict.fromkeys(state.problem for state in states if state.problem))
        counted = max((state.connections for state in states if state.is_open), default=0)
        if counted > _COUNT + _OTHERS:
            problems.append(
                f"Slack counts {counted} connections of this app, {_COUNT} are ours: "
                "presses may get lost; is the token used elsewhere?"
            )
        is_deaf = not problems and not self.open and all(now - state.since > _DEAF for state in states)
        if is_deaf and not self._store.shared:
            problems.append("no connection for Socket Mode is open: presses do not arrive")
        return problems

    # -- keeping one ---------------------------------------------------------------------------------------------

    def _keep(self, number: int) -> None:
        failures = 0
        if number and not self._wait_for_turn():
            return
        while not self._stopping.is_set():
            try:
                wait = self._hold(number, failures)
            except StoreError:
                wait = _LOOK  # delivery says so
            except Exception:
                log.exception("a connection for Socket Mode failed and is opened again")
                wait = _LOOK
            failures = 0 if wait is None else failures + 1
            self._stopping.wait(wait or 0)

    def _wait_for_turn(self) -> bool:
        """Wait before the second one is opened; whether it still is to be."""
        until = time.monotonic() + _STAGGER
        while time.monotonic() < until and not self._stopping.wait(_LOOK / 5):
            if self._states[0].problem:
                break  # the first one may have a trouble of its own
        return not self._stopping.is_set()

    def _hold(self, number: int, failures: int) -> float | None:
        """Hold a connection while its lease lasts; return the seconds to wait, None if all went well."""
        lease = self._store.claim(f"socket:{number}")
        if lease is None:
            self._note(number, is_open=False)
            return _LOOK
        try:
            return self._listen(number, lease, failures)
        except LeaseLostError:
            return None
        finally:
            with suppress(StoreError):
                self._store.release(lease)

    def _listen(self, number: int, lease: Lease, failures: int) -> float | None:
        try:
            socket = self._connect()
        except SlackError as error:
            return self._refused(number, error, failures)
        try:
            self._note(number, is_open=True)
            while not self._stopping.is_set():
                received = socket.receive(_LOOK)
                if received in (Goodbye.WARNING, Goodbye.REFRESH):
                    socket = self._replaced(socket)
                elif isinstance(received, Goodbye):
                    return self._ended(number, received)
                elif isinstance(received, Hello):
                    self._note(number, is_open=True, connections=received.connections)
                    self._counted(received.connections)
                elif received is not None:
                    self._envelopes.do(partial(self._envelopes.handle, socket, received))
                if self._store.shared:
                    self._renew(lease)
        finally:
            self._note(number, is_open=False, problem=self._states[number].problem)
            socket.close()
        return None

    def _renew(self, lease: Lease) -> None:
        """Keep the lease. While the store is away nobody else can take it, and presses go on arriving."""
        try:
            self._store.renew(lease)
        except LeaseLostError:
            raise
        except StoreError as error:
            log.info("a lease for Socket Mode is not renewed: %s", error)

    def _replaced(self, socket: Open) -> Open:
        """Another connection in the place of one that Slack is about to close; that one, if there is none yet."""
        try:
            fresh = self._connect()
        except SlackError as error:
            log.info("no new connection for Socket Mode yet: %s", error)
            return socket
        # Slack may still send presses over the former one.
        self._envelopes.do(partial(self._drain, socket))
        return fresh

    def _drain(self, socket: Open) -> None:
        until = time.monotonic() + _DRAIN
        while time.monotonic() < until and not self._stopping.is_set():
            received = socket.receive(_LOOK)
            if isinstance(received, Envelope):
                self._envelopes.handle(socket, received)
            elif received is Goodbye.CLOSED:
                break
        socket.close()

    def _refused(self, number: int, error: SlackError, failures: int) -> float:
        needs_somebody = error.kind is FailureKind.AUTH
        wait = _LONG if needs_somebody else min(backoff(failures + 1, random.random()), _LONGEST_BACKOFF)
        self._note(number, is_open=False, problem=f"Socket Mode: {error}" if needs_somebody or failures else "")
        log.warning("no connection for Socket Mode: %s", error)
        return max(wait, error.retry_after)

    def _ended(self, number: int, reason: Goodbye) -> float | None:
        problems = {
            Goodbye.TOO_MANY: "Socket Mode: the app has too many connections: is the token used elsewhere?",
            Goodbye.DISABLED: "Socket Mode is turned off for the Slack app: turn it on, or remove SLACK_APP_TOKEN",
        }
        self._note(number, is_open=False, problem=problems.get(reason, ""))
        log.info("a connection for Socket Mode has ended (%s)", reason)
        return _LONG if reason in problems else None

    def _note(self, number: int, *, is_open: bool, connections: int = 0, problem: str = "") -> None:
        former = self._states[number]
        since = former.since if former.is_open == is_open else time.monotonic()
        self._states[number] = _State(is_open, since, connections or former.connections, problem)
