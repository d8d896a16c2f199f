"""The storm: 1,000 alerts in 40 groups at once, at Slack's real pace of a message a second; then all resolve.

The groups come as Alertmanager sends them, a webhook each, the least severe first. The service meets it with both
stores at the same time, each before a Slack of its own: after the first second it is Slack's pace that takes the time.
The plain poster gets the opening once, alone: it answers 500 as soon as one call fails, and Alertmanager would send all
of that group again, the delivered ones too. A thread that gets no root has no time for it: there the figure is missing.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import processes
from bench.load import send
from bench.processes import PLAIN, STORES, Contender, Slack
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import SEVERITIES, webhook

_CONNECTIONS = 8
#: After the last call, so long without another one means that nothing more comes: edits are held back for 4 s.
_SILENCE = 6.0
_POLL = 0.25


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    groups, alerts = (8, 5) if quick else (40, 25)
    figures = {PLAIN: _plain(folder / PLAIN, groups, alerts)}
    with ExitStack() as stack:
        pairs = []
        for store in STORES:
            slack = stack.enter_context(processes.slack())
            pairs.append((slack, stack.enter_context(running(store, folder / store, slack.api_url))))
        pool = stack.enter_context(ThreadPoolExecutor(len(pairs)))
        found = pool.map(lambda pair: _service(pair[0], pair[1], groups, alerts), pairs)
        figures.update(zip(STORES, found, strict=True))
    return _rows(figures, groups)


def _rows(figures: Mapping[str, Mapping[str, float]], groups: int) -> list[Row]:
    def of(figure: str) -> dict[str, float]:
        return {name: has[figure] for name, has in figures.items() if figure in has}

    return [
        at_most("webhooks not answered 2xx", "", of("refused"), STORES, 0),
        at_most("429 from Slack", "", of("limited"), STORES, 0),
        Row("threads opened", "", of("roots")),
        Row("posts for the opening", "", of("posts")),
        at_most("posts per thread, opening", "", of("posts per thread"), STORES, 1.1),
        Row("all webhooks answered after", "s", of("answered")),
        at_most("first critical root after", "s", of("critical"), STORES, 3),
        # A message a second allows a root a second.
        at_most("every thread has its root after", "s", of("opened"), STORES, round(1.1 * groups, 1)),
        at_most("roots posted before a more severe one", "", of("inversions"), STORES, 0),
        at_most("replies per thread, all resolved", "", of("replies"), STORES, 1),
        at_most("updates per thread, all resolved", "", of("updates"), STORES, 1),
        Row("all resolved is shown after", "s", of("closed")),
        Row("processor time for the opening", "s", of("cpu")),
    ]


def _bodies(groups: int, alerts: int, *, resolved: bool = False) -> list[bytes]:
    """A webhook for each group, the least severe first: an order that has to be turned round."""
    ended = range(alerts) if resolved else ()
    numbers = sorted(range(groups), key=lambda number: number % len(SEVERITIES))
    return [webhook(f"Storm{n}", alerts, SEVERITIES[n % len(SEVERITIES)], ended) for n in numbers]


def _plain(folder: Path, groups: int, alerts: int) -> dict[str, float]:
    """What the plain poster makes of the opening, by the figure's name."""
    with processes.slack() as slack, running(PLAIN, folder, slack.api_url) as contender:
        before, began = contender.cpu_seconds, time.time()
        load = send(contender, _bodies(groups, alerts), _CONNECTIONS)
        answered, cpu = time.time() - began, contender.cpu_seconds - before
        calls, roots = slack.calls(contender.channel), slack.roots(contender.channel)
        critical = [float(root["ts"]) - began for root in roots if root["text"].startswith("CRITICAL")]
        return {
            **({"critical": min(critical)} if critical else {}),
            "refused": load.refused,
            "roots": len(roots),
            "posts": len(_accepted(calls)),
            "limited": _limited(calls),
            "answered": answered,
            "cpu": cpu,
        }


def _service(slack: Slack, contender: Contender, groups: int, alerts: int) -> dict[str, float]:
    """What the service makes of the opening and of the end, by the figure's name."""
    before, began = contender.cpu_seconds, time.time()
    load = send(contender, _bodies(groups, alerts), _CONNECTIONS)
    stored = time.time()
    opening = _wait_until_delivered(contender, slack, limit=3 * groups + 30)
    severities = _severities(slack, contender)
    cpu = contender.cpu_seconds - before
    resolved_at = time.time()
    load_resolved = send(contender, _bodies(groups, alerts, resolved=True), _CONNECTIONS)
    closing = _wait_until_delivered(contender, slack, limit=5 * groups + 30)[len(opening) :]
    posts = _accepted(opening)
    roots = [call for call in posts if call["thread_ts"] is None]
    assert len(roots) == groups, f"{len(roots)} of {groups} threads have a root"
    updates = [call for call in closing if call["method"] == "chat.update" and call["accepted"]]
    return {
        "refused": load.refused + load_resolved.refused,
        "limited": _limited([*opening, *closing]),
        "roots": len(roots),
        "posts": len(posts),
        "posts per thread": len(posts) / groups,
        "answered": stored - began,
        "critical": min(call["time"] for call in roots if severities[call["ts"]] == "critical") - began,
        "opened": roots[-1]["time"] - began,
        "inversions": _inversions(roots, severities, stored),
        "replies": len(_accepted(closing)) / groups,
        "updates": len(updates) / groups,
        "closed": max(call["time"] for call in closing) - resolved_at,
        "cpu": cpu,
    }


def _wait_until_delivered(contender: Contender, slack: Slack, limit: float) -> list[dict[str, Any]]:
    """Wait until nothing is pending and nothing more comes; return all calls."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        calls = slack.calls(contender.channel)
        quiet_since = max((call["time"] for call in calls), default=time.time())
        if calls and contender.get("/health")["pending"] == 0 and time.time() - quiet_since > _SILENCE:
            return calls
        time.sleep(_POLL)
    raise TimeoutError(f"not all was delivered within {limit} s: {contender.get('/health')}")


def _accepted(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call for call in calls if call["method"] == "chat.postMessage" and call["accepted"]]


def _limited(calls: Sequence[dict[str, Any]]) -> int:
    return sum(call["outcome"] == "ratelimited" for call in calls)


def _severities(slack: Slack, contender: Contender) -> dict[str, str]:
    """The severity of each root, by its ts."""
    keys = {root["ts"]: root["metadata"]["event_payload"]["key"] for root in slack.roots(contender.channel)}
    return {ts: key.split("|")[1] for ts, key in keys.items()}


def _inversions(roots: Sequence[dict[str, Any]], severities: dict[str, str], stored: float) -> int:
    """How many roots came before a more severe one although all webhooks were stored by then."""
    ranks = [SEVERITIES.index(severities[call["ts"]]) for call in roots if call["time"] > stored]
    return sum(rank < max(ranks[number:]) for number, rank in enumerate(ranks))
