"""gunicorn's worker with threads, in which only the loop waits for clients, and for none too long.

A connection is received by the loop (`Waits.REQUEST`). When a whole request is there, a thread answers it; what the
client does not take at once, the loop sends (`Waits.ANSWER_TAKEN`). Then the connection waits for its next request
(`Waits.NEXT`) or for the client's end (`Waits.END`). Each wait has its deadline, and where all connections are taken,
the one that stands still longest gives way to the next.
"""

import errno
import logging
import selectors
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from alert_threader.errors import NO_THREADS
from alert_threader.telemetry.metrics import Refused
from alert_threader.worker.clients import Clients
from alert_threader.worker.connection import Connection, Waits
from alert_threader.worker.pool import Pool
from alert_threader.worker.refusal import Refusal, refusal_of

log = logging.getLogger(__name__)

#: How long a request may take to arrive, from its first byte, in seconds: its head, and all of it. Alertmanager sends
#: at once, and 16 MB come within 30 s at 5 Mbit/s.
_HEAD, _WHOLE = 10.0, 30.0
#: How long a client may take to take its answer, in seconds.
_TAKING = 30.0
#: How long a client that should close its end may take to do so, in seconds.
_ENDING = 2.0
#: How much longer a client may take once the worker stops, in seconds: a request may be on its way.
_STOPPING = 2.0
#: How often deadlines are looked at, in seconds.
_SWEEP = 0.5
#: How many connections are accepted before others get their turn: behind a crowd, a sender would wait for each of them.
_ACCEPTED = 32
#: How long nothing is accepted where there are no file descriptors left, in seconds.
_EXHAUSTED = 0.1


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """See above. ``server`` sets ``max_body``, ``count_refused`` and ``stopping``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what gunicorn gives."""
        super().__init__(*args, **kwargs)
        #: The largest body in bytes; one that says that it is larger is not waited for.
        self.max_body = 16_000_000
        #: Counts a request that was refused before the application saw it.
        self.count_refused: Callable[[Refused], None] = lambda _: None
        #: Called when the worker begins to stop.
        self.stopping: Callable[[], None] = lambda: None
        self._clients: Clients
        # Half of the threads are always there for the others.
        self._stays = threading.Semaphore(self.cfg.threads // 2)
        self._swept = 0.0
        self._accept_at = 0.0

    @classmethod
    def check_config(cls, cfg: Any, _log: Any) -> None:
        """Refuse what this worker cannot do, before one is started."""
        if beyond := _beyond(cfg):
            log.error("cannot start: %s", beyond)
            sys.exit(1)

    def get_thread_pool(self) -> Pool[Connection]:
        """The threads, of which the first one runs."""
        pool = Pool(self._work, self.cfg.threads)
        try:
            pool.start()
        except RuntimeError:
            log.error("cannot start: %s", NO_THREADS)  # noqa: TRY400 - one line
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        return pool

    def run(self) -> None:
        """Serve until the worker is told to stop, then let what is under way end."""
        self._clients = Clients(self.poller, self._on_ready, self.count_refused, self.max_body)
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive and self.is_parent_alive():
            self.notify()
            self.set_accept_enabled(self._may_accept())
            self.wait_for_and_dispatch_events(_SWEEP)
            self._sweep()
        self.set_accept_enabled(enabled=False)
        self._stop(time.monotonic() + self.cfg.graceful_timeout)
        self.tpool.shutdown()
        self.poller.close()
        # The method queue stays open: a thread that ends after this would write into whatever has its descriptor then.
        for listener in self.sockets:
            listener.close()

    def _stop(self, until: float) -> None:
        # Before clients have their last time: a call to Slack that began meanwhile would not end in time.
        self.stopping()
        self._clients.stop_at(time.monotonic() + _STOPPING)
        while len(self._clients) and time.monotonic() < until:
            self.notify()
            self.wait_for_and_dispatch_events(_SWEEP)
            self._sweep()

    # -- accepting -----------------------------------------------------------------------------------------------

    def _may_accept(self) -> bool:
        has_room = len(self._clients) < self.worker_connections or self._clients.can_make_room
        return has_room and time.monotonic() >= self._accept_at

    def accept(self, listener: Any) -> None:
        """Accept connections, and let others give way to them where all are taken."""
        for _ in range(_ACCEPTED):
            if len(self._clients) >= self.worker_connections and not self._clients.make_room():
                return
            try:
                sock, client = listener.accept()
                connection = Connection(self.cfg, sock, client, listener.getsockname(), self.max_body)
            except OSError as error:
                self._cannot_accept(error)
                return
            self._clients.add(connection)
            # Most clients have sent their request by now.
            self._receive(connection)

    def _cannot_accept(self, error: OSError) -> None:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
            log.error("cannot accept a connection: %s", error.strerror)
            self._clients.make_room()
            self._accept_at = time.monotonic() + _EXHAUSTED
            self.set_accept_enabled(enabled=False)
        elif error.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
            log.warning("cannot accept a connection: %s", error.strerror)

    # -- waiting for clients -------------------------------------------------------------------------------------

    def _on_ready(self, connection: Connection) -> None:
        """Something can be done for a connection that waits."""
        match connection.waits:
            case Waits.REQUEST | Waits.NEXT:
                self._receive(connection)
            case Waits.END:
                connection.discard()
                if connection.gone:
                    self._clients.drop(connection)
            case Waits.ANSWER_TAKEN:
                self._resume(connection)

    def _receive(self, connection: Connection) -> None:
        connection.receive()
        self._resume(connection)
        self._clients.bound_memory(connection)

    def _resume(self, connection: Connection) -> None:
        """Do for a connection what can be done now, and wait for what it needs next."""
        if not connection.send():
            is_waiting = connection.waits is Waits.ANSWER_TAKEN
            until = connection.deadline if is_waiting else time.monotonic() + _TAKING
            self._clients.wait(connection, Waits.ANSWER_TAKEN, until)
        elif connection.gone:
            self._clients.drop(connection)
        elif connection.closing:
            self._end(connection)
        elif self._take(connection):
            self._clients.work(connection)
            self.tpool.submit(connection)
        else:
            self._await_request(connection)

    def _await_request(self, connection: Connection) -> None:
        if connection.closing:
            # It was refused: the answer is there to be sent.
            self._resume(connection)
        elif connection.has_begun or connection.is_new:
            limit = _WHOLE if connection.has_head else _HEAD
            self._clients.wait(connection, Waits.REQUEST, connection.began + limit)
        else:
            self._clients.wait(connection, Waits.NEXT, time.monotonic() + self.cfg.keepalive)

    def _end(self, connection: Connection) -> None:
        connection.end()
        connection.discard()
        if connection.gone:
            self._clients.drop(connection)
        else:
            self._clients.wait(connection, Waits.END, time.monotonic() + _ENDING)

    def _sweep(self) -> None:
        """Close the connections whose deadline has passed."""
        now = time.monotonic()
        if now - self._swept < _SWEEP:
            return
        self._swept = now
        for connection in self._clients.overdue():
            self._expire(connection)

    def _expire(self, connection: Connection) -> None:
        match connection.waits:
            case Waits.NEXT | Waits.END:
                self._clients.drop(connection)
            case _ if not self.alive:
                # Not slow: the worker stops. Whoever was sending sends again.
                self._clients.drop(connection)
            case Waits.ANSWER_TAKEN:
                self._say_slow(connection, f"an answer was not taken within {_TAKING:.0f} s")
                self._clients.give_up(connection, "slow")
            case _:
                self._say_slow(connection, _late(connection))
                self._clients.give_up(connection, "slow")

    def _say_slow(self, connection: Connection, what: str) -> None:
        log.warning("%s: closed", what, extra={"sender": connection.sender})

    # -- requests ------------------------------------------------------------------------------------------------

    def _take(self, connection: Connection) -> bool:
        """Whether a whole request is there. One that is no valid request is answered, and ends its connection."""
        try:
            return connection.take()
        except Exception as error:  # noqa: BLE001 - whatever a client sends must not end the loop
            self._fail(connection, error)
            return False

    def _work(self, connection: Connection) -> None:
        """Answer requests in a thread, as long as one comes right after the other, and hand the connection back."""
        self._answer(connection)
        while connection.send() and not connection.closing and self._comes_next(connection):
            self._answer(connection)
        self.method_queue.defer(self._worked, connection)

    def _worked(self, connection: Connection) -> None:
        self.tpool.done()
        self._resume(connection)

    def _answer(self, connection: Connection) -> None:
        try:
            request = connection.begin()
            keeps_alive = self.handle_request(request, connection)
            # Where a body that is malformed ends, gunicorn's parser and ours may not agree.
            connection.closing = not keeps_alive or request.body.failed
        except StopIteration:
            # The application failed in the middle of its answer, and gunicorn has logged it. Nothing was sent yet.
            _end_with(connection, _FAILED)
        except Exception as error:  # noqa: BLE001 - the next request is answered whatever this one did
            self._fail(connection, error)

    def _comes_next(self, connection: Connection) -> bool:
        """Stay a moment for the connection's next request, unless others wait; whether it is there."""
        if not self.alive or not self.tpool.is_idle or not self._stays.acquire(blocking=False):
            return False
        try:
            # What follows may have come with the request before.
            if not connection.has_begun:
                connection.stay()
        finally:
            self._stays.release()
        return not connection.gone and self._take(connection)

    def _fail(self, connection: Connection, error: Exception) -> None:
        refusal = refusal_of(error)
        if refusal is not None:
            self._refuse(connection, refusal)
            return
        log.error("unexpected %s", type(error).__name__, exc_info=error)
        _end_with(connection, _FAILED)

    def _refuse(self, connection: Connection, refusal: Refusal) -> None:
        log.warning("refused (%s): %s", refusal.status.value, refusal.text, extra={"sender": connection.sender})
        self.count_refused(refusal.reason)
        _end_with(connection, refusal)


def _beyond(cfg: Any) -> str | None:
    """What gunicorn's settings ask for that cannot be done here, and what to do."""
    if cfg.is_ssl:
        return "TLS (certfile, keyfile) is not spoken here, let a proxy in front speak it"
    if cfg.protocol != "http":
        return f"the protocol {cfg.protocol} is not spoken here, let the proxy in front speak HTTP/1.1"
    if "h2" in cfg.http_protocols or cfg.http2_cleartext != "off":
        return "HTTP/2 (http_protocols, http2_cleartext) is not spoken here, let the proxy in front speak HTTP/1.1"
    if cfg.proxy_protocol not in {"off", "v1"}:
        return f"the PROXY protocol is spoken here as v1 only, set proxy_protocol to v1 (it is {cfg.proxy_protocol})"
    return None


def _end_with(connection: Connection, refusal: Refusal) -> None:
    connection.sock.discard()
    connection.sock.sendall(refusal.answer)
    connection.closing = True


def _late(connection: Connection) -> str:
    if connection.has_head:
        return f"the request did not arrive within {_WHOLE:.0f} s"
    what = "the request's headers did not arrive" if connection.has_begun else "no request came"
    return f"{what} within {_HEAD:.0f} s"


_FAILED = Refusal("invalid", HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected error: the service's log has the details")
