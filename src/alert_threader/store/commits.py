"""Group commit: callers that come during a commit share the next one, and one of them makes it for all."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from alert_threader.errors import StoreError

#: How often somebody who waits looks whether the commit under way stands still, in seconds.
_LOOK = 1.0

T = TypeVar("T")
#: What the callers of one commit have changed so far.
Staged = TypeVar("Staged")


class _Ticket(Generic[Staged, T]):
    """One caller's place in a commit: its work, and what came of it."""

    __slots__ = ("done", "error", "leads", "result", "turn", "work")

    def __init__(self, work: Callable[[Staged], T]) -> None:
        self.work = work
        self.result: T
        #: Default until the commit succeeds, so that an aborted commit is never reported as success.
        self.error: Exception | None = StoreError("the commit was aborted: send it again")
        self.done = False
        #: Whether its owner is the one who commits next.
        self.leads = False
        #: Held until the ticket is done, or its owner is the one who commits next. One for each: a condition that all
        #: wait for would wake all of them every time.
        self.turn = threading.Lock()
        self.turn.acquire()


class Commits(Generic[Staged]):
    """The queue of callers.

    ``begin`` makes an empty change, which each caller's work adds to and must leave as it was where it raises;
    ``write`` makes it durable, or raises StoreError.
    """

    def __init__(
        self,
        begin: Callable[[], Staged],
        write: Callable[[Staged], None],
        stuck: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``stuck`` says why the commit under way is not worth waiting for; None where it is."""
        self._stuck = stuck
        self._begin = begin
        self._write = write
        self._guard = threading.Lock()
        self._queue: deque[_Ticket[Staged, Any]] = deque()
        self._is_led = False

    def commit(self, work: Callable[[Staged], T]) -> T:
        """Do ``work`` and make what it changed durable, together with whatever others bring meanwhile.

        Raises what ``work`` raises, and StoreError: also where the commit under way stands still. Then the change may
        be made all the same.
        """
        if reason := self._stuck():
            raise StoreError(reason)
        ticket = _Ticket(work)
        with self._guard:
            self._queue.append(ticket)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            self._await_turn(ticket)
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _await_turn(self, ticket: _Ticket[Staged, T]) -> None:
        """Wait until the ticket is done or its owner leads; give up where the commit under way stands still."""
        while not ticket.turn.acquire(timeout=_LOOK):
            if (reason := self._stuck()) and self._withdraw(ticket):
                raise StoreError(reason)

    def _withdraw(self, ticket: _Ticket[Staged, T]) -> bool:
        """Take a ticket out of the queue; return False where its owner leads, so that others wait for it."""
        with self._guard:
            if ticket in self._queue and not ticket.leads:
                self._queue.remove(ticket)
            return not ticket.leads

    def _lead(self) -> None:
        """Commit for all who wait now, and pass the lead on to the first of those who came since."""
        with self._guard:
            tickets, self._queue = self._queue, deque()
        try:
            self._run(tickets)
        finally:
            with self._guard:
                following = self._queue[0] if self._queue else None
                self._is_led = following is not None
                if following is not None:
                    following.leads = True
            if following is not None:
                following.turn.release()
            for ticket in tickets:
                ticket.done = True
                ticket.turn.release()

    def _run(self, tickets: deque[_Ticket[Staged, Any]]) -> None:
        staged = self._begin()
        worked = []
        for ticket in tickets:
            try:
                ticket.result = ticket.work(staged)
                worked.append(ticket)
            except Exception as error:  # noqa: BLE001 - it is raised in the thread whose work it was
                ticket.error = error
        failure: StoreError | None = None
        try:
            self._write(staged)
        except StoreError as error:
            failure = error
        for ticket in worked:
            ticket.error = failure
