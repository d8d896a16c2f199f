"""How soon a press is stored and answered, while webhooks keep the service busy and Slack takes 2 s for each call.

Presses come one after the other, from the sandbox to the service, over Socket Mode or HTTP, beside senders that send
webhook after webhook on so many connections. Slack gives up after 3 s.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from bench.load import percentile, send
from bench.processes import FILE, STORES, Contender, Slack
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook
from harness.servers import HOST

_SECRET = "bench-signing-secret"
_APP_TOKEN = "xapp-sandbox-bench"
_THREADS = 10
_SLOW = 2.0
#: Webhooks of one process that sends.
_BODIES = 3000
_SETTLING = 30.0


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    presses = 20 if quick else 200
    socket_300 = _p99(folder / "socket", {"SLACK_APP_TOKEN": _APP_TOKEN}, 300, presses)
    http_8 = _p99(folder / "http8", {"SLACK_SIGNING_SECRET": _SECRET}, 8, presses)
    http_300 = _p99(folder / "http300", {"SLACK_SIGNING_SECRET": _SECRET}, 300, presses)
    cut = {FILE: _replaced(folder / "cut", 1 if quick else 3)}
    return [
        at_most("Socket Mode, a cut connection is replaced after, median", "s", cut, [FILE], 6),
        at_most("Socket Mode, 300 webhooks in flight: p99", "ms", socket_300, STORES, 300),
        at_most("HTTP, 8 busy connections: p99", "ms", http_8, STORES, 300),
        at_most("HTTP, 300 webhooks in flight: p99", "ms", http_300, STORES, 1000),
    ]


def _replaced(folder: Path, times: int) -> float:
    """The seconds from the moment when a connection is cut, silently, until another one is open."""
    took = []
    with processes.slack() as slack, running(FILE, folder, slack.api_url, {"SLACK_APP_TOKEN": _APP_TOKEN}):
        for _ in range(times):
            _wait_for(lambda: slack.change("/sandbox/sockets", {})["open"] == 1)
            began, opened = time.monotonic(), slack.change("/sandbox/sockets", {"end": "cut"})["opened"]
            _wait_for(lambda opened=opened: slack.change("/sandbox/sockets", {})["opened"] > opened)  # type: ignore[misc]
            took.append(time.monotonic() - began)
    return statistics.median(took)


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _SETTLING
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("a connection is not there")
        time.sleep(0.02)


def _p99(folder: Path, settings: dict[str, str], connections: int, presses: int) -> dict[str, float]:
    return {store: _of_store(store, folder / store, settings, connections, presses) for store in STORES}


def _of_store(store: str, folder: Path, settings: dict[str, str], connections: int, presses: int) -> float:
    """The time within which 99 of 100 presses are answered, in ms."""
    with processes.slack(rate_limits=False) as slack, running(store, folder, slack.api_url, settings) as contender:
        if "SLACK_SIGNING_SECRET" in settings:
            url = f"http://{HOST}:{contender.port}/slack/interactive"
            slack.change("/sandbox/settings", {"interactivity_url": url, "signing_secret": _SECRET})
        for number in range(_THREADS):
            assert contender.post(webhook(f"Pressed{number}", alerts=1)) in (200, 202)
        roots = _wait_for_roots(slack, contender)
        slack.fails(kind="slow", method="chat.postMessage", seconds=_SLOW)
        slack.fails(kind="slow", method="chat.update", seconds=_SLOW)
        with _busy(contender, connections):
            time.sleep(1)
            took = [_press(slack, contender, roots[number % _THREADS], number // _THREADS) for number in range(presses)]
    return percentile(took, 99) * 1000


def _wait_for_roots(slack: Slack, contender: Contender) -> list[str]:
    until = time.monotonic() + _SETTLING
    while len(roots := slack.roots(contender.channel)) < _THREADS or contender.get("/health")["pending"]:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(roots)} of {_THREADS} threads stand in Slack")
        time.sleep(0.05)
    return [root["ts"] for root in roots]


def _press(slack: Slack, contender: Contender, ts: str, turn: int) -> float:
    """Press the button that the message has by then; return the seconds until the answer."""
    for action in ("acknowledge", "unacknowledge"):
        pressed = {"channel": contender.channel, "ts": ts, "action_id": action, "user": f"U0BENCH{turn:03}"}
        began = time.perf_counter()
        answer = slack.change("/sandbox/press", pressed)
        if answer["ok"]:
            return time.perf_counter() - began
        assert answer.get("error") == "element_not_found", json.dumps(answer)
    raise AssertionError("there is no button")


@contextmanager
def _busy(contender: Contender, connections: int) -> Iterator[None]:
    """Send webhooks all the while."""
    ending = threading.Event()

    def load() -> None:
        turn = 0
        while not ending.is_set():
            turn += 1
            bodies = [webhook(f"Busy{turn}-{number % 500}", alerts=1) for number in range(_BODIES)]
            send(contender, bodies, connections)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
