"""Group commit: callers that come during a commit share the next one, and one of them makes it for all."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from alert_threader.errors import StoreError
from alert_threader.store import document
from alert_threader.threads import AlertThread

T = TypeVar("T")


class Written(NamedTuple):
    """A thread as a commit leaves it, and its line of the document. Of a dropped one there is neither."""

    thread: AlertThread | None
    line: bytes | None


class View:
    """What one caller sees and changes: the durable lines, and over them what the commit has gathered so far."""

    def __init__(self, durable: Mapping[str, bytes], staged: Mapping[str, Written]) -> None:
        self.changed: dict[str, Written] = {}
        self._staged = staged
        self._durable = durable

    def read(self, key: str) -> AlertThread | None:
        """The thread as it is now; it must not be changed."""
        written = self.changed.get(key) or self._staged.get(key)
        if written is not None:
            return written.thread
        line = self._durable.get(key)
        return None if line is None else document.decode(line)

    def write(self, key: str, thread: AlertThread | None) -> None:
        """Change a thread, or drop it."""
        self.changed[key] = Written(thread, None if thread is None else document.encode(thread))


class _Ticket(Generic[T]):
    """One caller's place in a commit: its work, and what came of it."""

    __slots__ = ("done", "error", "result", "turn", "work")

    def __init__(self, work: Callable[[View], T]) -> None:
        self.work = work
        self.result: T
        #: Until it is done: whatever breaks a commit off, nobody may take it for done.
        self.error: Exception | None = StoreError("the commit broke off: send it again")
        self.done = False
        #: Held until the ticket is done, or its owner is the one who commits next. One for each: a condition that all
        #: wait for would wake all of them every time.
        self.turn = threading.Lock()
        self.turn.acquire()


class Commits:
    """The queue of callers. ``write`` makes what they changed durable, or raises StoreError."""

    def __init__(self, durable: Mapping[str, bytes], write: Callable[[dict[str, Written]], None]) -> None:
        self._durable = durable
        self._write = write
        self._guard = threading.Lock()
        self._queue: deque[_Ticket[Any]] = deque()
        self._is_led = False

    def commit(self, work: Callable[[View], T], *, always: bool = False) -> T:
        """Do ``work`` and make what it changed durable, together with whatever others bring meanwhile.

        With ``always`` something is written though nothing has changed. Raises what ``work`` raises, and StoreError.
        """
        ticket = _Ticket(work)
        with self._guard:
            self._queue.append(ticket)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            ticket.turn.acquire()
        if not ticket.done:
            self._lead(always=always)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _lead(self, *, always: bool) -> None:
        """Commit for all who wait now, and pass the lead on to the first of those who came since."""
        with self._guard:
            tickets, self._queue = self._queue, deque()
        try:
            self._run(tickets, always=always)
        finally:
            with self._guard:
                following = self._queue[0] if self._queue else None
                self._is_led = following is not None
            if following is not None:
                following.turn.release()
            for ticket in tickets:
                ticket.done = True
                ticket.turn.release()

    def _run(self, tickets: deque[_Ticket[Any]], *, always: bool) -> None:
        staged: dict[str, Written] = {}
        worked = []
        for ticket in tickets:
            view = View(self._durable, staged)
            try:
                ticket.result = ticket.work(view)
                staged.update(view.changed)
                worked.append(ticket)
            except Exception as error:  # noqa: BLE001 - it is raised in the thread whose work it was
                ticket.error = error
        failure: StoreError | None = None
        if staged or always:
            try:
                self._write(staged)
            except StoreError as error:
                failure = error
        for ticket in worked:
            ticket.error = failure
