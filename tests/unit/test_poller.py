"""When Alertmanager is polled."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from alert_threader.delivery import poller
from alert_threader.delivery.poller import Poller
from alert_threader.errors import StoreError
from alert_threader.store.base import Lease
from alert_threader.store.tokens import Budget
from harness.service import wait_for


class Reconciler:
    """Polls nothing, and notes for which threads it was asked."""

    def __init__(self, *answers: bool | StoreError) -> None:
        self.names = ["am"]
        self.answers = list(answers)
        self.asked: list[set[str] | None] = []
        self.left = 0

    def poll(self, keys: Collection[str] | None) -> bool:
        """Note it."""
        self.asked.append(None if keys is None else set(keys))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def leave(self) -> None:
        """Note that another process polls."""
        self.left += 1


class Store:
    """A store in which others take the token, or nobody does."""

    def __init__(self, wait: float = 0, *, is_leased: bool = False) -> None:
        self.wait = wait
        self.is_leased = is_leased

    def take(self, _name: str, _budget: Budget) -> float:
        """The seconds until there is a token."""
        return self.wait

    def claim(self, lane: str) -> Lease | None:
        """A lease, unless somebody else has it."""
        return None if self.is_leased else Lease(lane, "token")

    def release(self, _lease: Lease) -> None:
        """Take it back."""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a minute."""
    for name in ("_IDLE", "_LEAST"):
        monkeypatch.setattr(poller, name, 0.01)


@contextmanager
def polling(reconciler: Reconciler, store: Store, every: float) -> Iterator[Poller]:
    """One that runs."""
    made = Poller(reconciler, store, every)  # type: ignore[arg-type]
    made.start()
    try:
        yield made
    finally:
        made.stop(5)


def test_whenever_it_is_time() -> None:
    """All threads are compared."""
    reconciler = Reconciler()
    with polling(reconciler, Store(), 0.01):
        wait_for(lambda: len(reconciler.asked) > 2, 5)
    assert set(map(str, reconciler.asked)) == {"None"}


def test_a_new_thread() -> None:
    """Only that one is looked for, at once, although another process has just polled."""
    reconciler = Reconciler()
    with polling(reconciler, Store(wait=3600), 3600) as made:
        wait_for(lambda: reconciler.left, 5)
        made.look(["a"])
        wait_for(lambda: reconciler.asked, 5)
    assert reconciler.asked == [{"a"}]


@pytest.mark.parametrize("failure", [False, StoreError("away")])
def test_it_could_not_be_looked_for(failure: bool | StoreError) -> None:
    """It is, as soon as that is possible, also where nothing is polled regularly."""
    reconciler = Reconciler(failure)
    with polling(reconciler, Store(), 0) as made:
        made.look(["a"])
        wait_for(lambda: len(reconciler.asked) == 2, 5)
    assert reconciler.asked == [{"a"}, {"a"}]


def test_another_process_polls() -> None:
    """Its numbers count, and nothing is asked twice."""
    reconciler = Reconciler()
    with polling(reconciler, Store(is_leased=True), 0.01) as made:
        made.look(["a"])
        made.stop(5)
    assert reconciler.asked == []
