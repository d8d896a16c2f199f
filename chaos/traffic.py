"""Groups of alerts that come and go for as long as they are let, and the account of what was said of each."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from types import TracebackType
from typing import Self

from harness.scripts import Step, script, stories
from harness.service import Background, Service
from harness.webhooks import FIRED, key, webhook

#: A group changes about so often, then the next one begins.
_SHORTEST, _LONGEST = 3, 8
_SENDERS = 4


def groups(name: str, chance: random.Random) -> Iterator[Step]:
    """One group after the other, without end."""
    for number in count():
        yield from script(f"{name}x{number}", chance, chance.randint(_SHORTEST, _LONGEST))


class Traffic:
    """Several senders, each with one group after the other, as Alertmanager sends them: until they are taken."""

    def __init__(
        self,
        *services: Service,
        seed: int,
        pause: float = 0.15,
        path: str = "/alert",
        scripts: Sequence[Iterator[Step]] = (),
    ) -> None:
        """Take whom to send to, by chance, and how long a sender waits between two webhooks, on average, in seconds.

        ``scripts`` are what each sender says; by default there are four, with new groups again and again.
        """
        self._services = services
        self._pause = pause
        self._path = path
        #: What each sender has still to say: leaving the block and entering it again goes on with the same groups.
        self._scripts = scripts or [groups(f"Chaos{n}", random.Random(seed * 1000 + n)) for n in range(_SENDERS)]
        #: What each sender said, and what it will have said once the webhook under way is taken.
        self._said: list[list[Step]] = [[] for _ in self._scripts]
        self._answers = [Counter[int]() for _ in self._scripts]
        self._chance = random.Random(seed)
        self._stopping = threading.Event()
        self._senders: Sequence[Background[None]] = ()

    def __enter__(self) -> Self:
        """Start, or go on."""
        self._stopping.clear()
        self._senders = [Background(partial(self._send, number)) for number in range(len(self._said))]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. What is under way is taken first, unless something else has failed already."""
        self._stopping.set()
        if error is None:
            for sender in self._senders:
                sender.finish(90)

    @property
    def is_over(self) -> bool:
        """Whether a sender has ended although nobody stopped it, which is its failure; leaving the block raises it."""
        return any(sender.is_over for sender in self._senders)

    @property
    def answers(self) -> Counter[int]:
        """How many webhooks were answered with which status so far, 0 for those without an answer."""
        return sum(self._answers, Counter())

    @property
    def changes(self) -> dict[str, list[str]]:
        """What was said of each alert, by fingerprint, in order."""
        return {name: story for steps in self._said for name, story in stories(steps).items()}

    @property
    def firing(self) -> dict[str, bool]:
        """Whether any alert of a thread fires in the end, by the thread's key."""
        last = {name: states for steps in self._said for name, states in steps}
        # An alert that has resolved is not named again.
        return {key(name): FIRED in states.values() for name, states in last.items()}

    def _send(self, number: int) -> None:
        for step in self._scripts[number]:
            self._said[number].append(step)
            service = self._chance.choice(self._services)
            self._answers[number] += service.send_until_taken(webhook(*step), self._path)
            if self._stopping.wait(self._chance.uniform(0, 2 * self._pause)):
                return
