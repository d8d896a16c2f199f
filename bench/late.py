"""How late trouble makes a message: a call that fails, an outage that ends, a storm, a sender in a hurry.

Each trouble is made at the sandbox, whose limits and the service's settings are the defaults. Times are from the
webhook's sending, or from the end of the outage, until the sandbox takes the message; both are on one clock. Both
stores are measured at the same time, each before a Slack of its own: what they wait for is the other side. Beside them
is what Alertmanager's own receiver makes of the same, as far as it can be asked.
"""

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from bench import peer, processes
from bench.peer import Alertmanager
from bench.processes import STORES, Contender, Slack
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook

#: In which the channel's budget grows full again, in seconds.
_PAUSE = 3.5
_LONGEST = 240.0
_POLL = 0.01
POST = "chat.postMessage"
_SENDERS = 8

#: What goes wrong with posts.
_FAULTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "http", "status": 500, "count": 1},
    "503": {"kind": "http", "status": 503, "count": 1},
    "reset": {"kind": "drop_before", "count": 1},
}
_THREE = {"kind": "http", "status": 503, "count": 3}
_LOST = {"kind": "drop_after", "count": 1}


class _Sender(Protocol):
    """Who takes webhooks and posts to Slack."""

    @property
    def channel(self) -> str:
        """The channel that it posts to."""

    def post(self, body: bytes) -> int:
        """Take a webhook; return the status of its answer."""


class _Trouble:
    """A sender in a quiet system, and its Slack."""

    def __init__(self, slack: Slack, contender: _Sender) -> None:
        self._slack = slack
        self._contender = contender
        self._channel = contender.channel
        self._number = 0

    def webhook(self, severity: str = "critical", alerts: int = 1) -> tuple[str, bytes]:
        """A webhook for a new thread, and the thread's name."""
        self._number += 1
        name = f"Late{self._number}"
        return name, webhook(name, alerts, severity)

    def until_shown(self, fault: dict[str, Any]) -> float:
        """The seconds from a webhook until Slack shows its message, where posts fail so."""
        time.sleep(_PAUSE)
        self._slack.fails(method=POST, **fault)
        before, began = len(self._posted()), time.time()
        self._contender.post(self.webhook()[1])
        return self._wait_for_posts(before + 1)[-1] - began

    def until_known(self, is_known: Callable[[], bool]) -> float:
        """The seconds from an answer that is lost until the service knows that Slack has the message."""
        time.sleep(_PAUSE)
        self._slack.fails(method=POST, **_LOST)
        before = len(self._posted())
        self._contender.post(self.webhook()[1])
        (*_, lost) = self._wait_for_posts(before + 1)
        _wait(is_known)
        return time.time() - lost

    def history_fails(self) -> float:
        """The seconds until a message whose outcome was unknown is shown, while it cannot be looked up."""
        time.sleep(_PAUSE)
        self._slack.fails(method="conversations.history", kind="http", status=503)
        try:
            return self.until_shown(_FAULTS["503"])
        finally:
            self._slack.recovers()

    def outage(self, threads: int, seconds: float) -> tuple[float, float]:
        """The seconds after an outage until the first critical is shown, and until all threads are."""
        time.sleep(_PAUSE)
        self._slack.fails(kind="http", status=503)
        before = len(self._posted())
        # The last one is the most severe: it must not wait for those before it.
        for _ in range(threads - 1):
            self._contender.post(self.webhook("warning")[1])
        name, body = self.webhook("critical")
        self._contender.post(body)
        time.sleep(seconds + random.random() * 4)
        self._slack.recovers()
        began = time.time()
        last = self._wait_for_posts(before + threads)[-1]
        critical = [float(root["ts"]) for root in self._slack.roots(self._channel) if name in str(root["attachments"])]
        return critical[0] - began, last - began

    def storm(self, threads: int, alerts: int) -> tuple[float, float, float]:
        """The seconds until all threads are open, Slack's 429s, and the seconds of the slowest webhook."""
        before, limited, began = len(self._posted()), self._limited(), time.time()
        bodies = [self.webhook(alerts=alerts)[1] for _ in range(threads)]
        with ThreadPoolExecutor(_SENDERS) as pool:
            took = list(pool.map(self._timed, bodies))
        opened = self._wait_for_posts(before + threads)[-1] - began
        return opened, self._limited() - limited, max(took)

    def one_sender(self, webhooks: int) -> float:
        """The median time of webhooks that one sender posts one after the other, in seconds."""
        time.sleep(_PAUSE)
        before = len(self._posted())
        took = [self._timed(self.webhook()[1]) for _ in range(webhooks)]
        self._wait_for_posts(before + webhooks)
        return median(took)

    def _timed(self, body: bytes) -> float:
        began = time.perf_counter()
        status = self._contender.post(body)
        assert status in {200, 202}, status
        return time.perf_counter() - began

    def _posted(self) -> list[float]:
        """When Slack took each message, in seconds since the epoch."""
        calls = self._slack.calls(self._channel)
        return [call["time"] for call in calls if call["method"] == POST and call["accepted"]]

    def _limited(self) -> int:
        return sum(call["outcome"] == "ratelimited" for call in self._slack.calls(self._channel))

    def _wait_for_posts(self, count: int) -> list[float]:
        _wait(lambda: len(self._posted()) >= count)
        return self._posted()


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    with ExitStack() as stack:

        def slack() -> Slack:
            return stack.enter_context(processes.slack())

        work: list[Callable[[], dict[str, float]]] = []
        for store in STORES:
            own = slack()
            contender = stack.enter_context(running(store, folder / store, own.api_url))
            work.append(partial(_of_service, _Trouble(own, contender), contender, quick=quick))
        own = slack()
        alertmanager = stack.enter_context(Alertmanager(folder / "alertmanager", own.api_url))
        work.append(partial(_of_anybody, _Trouble(own, alertmanager), quick=quick))
        with ThreadPoolExecutor(len(work)) as pool:
            found = list(pool.map(lambda each: each(), work))
    return _rows(dict(zip((*STORES, peer.NAME), found, strict=True)))


def _rows(figures: Mapping[str, Mapping[str, float]]) -> list[Row]:
    def of(what: str) -> dict[str, float]:
        return {name: has[what] for name, has in figures.items() if what in has}

    return [at_most(what, unit, of(what), STORES, limit) for what, (unit, limit) in _GOALS.items()]


#: What is measured, its unit and its goal.
_GOALS = {
    "one 500, 503 or reset: shown after": ("s", 1.5),
    "three 503 in a row: shown after": ("s", 6),
    "a lost answer: known after": ("s", 1.5),
    "no look-up for a minute: shown after": ("s", 15),
    "after an outage, the first critical": ("s", 3),
    "… the longest": ("s", 3.5),
    "after an outage, all threads": ("s", 40),
    "… the longest of all threads": ("s", 41),
    "storm: all threads are open after": ("s", 37.6),
    "storm: 429 from Slack": ("", 0),
    "storm: the slowest webhook": ("s", 0.3),
    "one sender, 20 in a row: p50": ("ms", 20),
}


def _of_service(trouble: _Trouble, contender: Contender, *, quick: bool) -> dict[str, float]:
    threads = 6 if quick else 40
    # First, for the burst must be there for a process that has just started.
    opened, limited, slowest = trouble.storm(threads, 25)

    def is_known() -> bool:
        return bool(contender.get("/health")["pending"] == 0)

    times = range(1 if quick else 5)
    return {
        **_of_anybody(trouble, quick=quick),
        "a lost answer: known after": median([trouble.until_known(is_known) for _ in times]),
        "no look-up for a minute: shown after": median([trouble.history_fails() for _ in times]),
        "storm: all threads are open after": opened,
        "storm: 429 from Slack": limited,
        "storm: the slowest webhook": slowest,
        "one sender, 20 in a row: p50": trouble.one_sender(20) * 1000,
    }


def _of_anybody(trouble: _Trouble, *, quick: bool) -> dict[str, float]:
    times, threads, seconds = (1, 6, 3.0) if quick else (5, 40, 60.0)
    singles = [median([trouble.until_shown(fault) for _ in range(times)]) for fault in _FAULTS.values()]
    three = median([trouble.until_shown(_THREE) for _ in range(times)])
    first, all_threads = zip(*[trouble.outage(threads, seconds) for _ in range(times)], strict=True)
    return {
        "one 500, 503 or reset: shown after": max(singles),
        "three 503 in a row: shown after": three,
        "after an outage, the first critical": median(first),
        "… the longest": max(first),
        "after an outage, all threads": median(all_threads),
        "… the longest of all threads": max(all_threads),
    }


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _LONGEST
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing came within {_LONGEST:.0f} s")
        time.sleep(_POLL)
