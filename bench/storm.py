"""The storm: 1,000 alerts in 40 groups at once, at Slack's real pace of a message a second; then all resolve.

The groups come as Alertmanager sends them, a webhook each, the least severe first. The plain poster gets the opening
once: it answers 500 as soon as one call fails, and Alertmanager would send all of that group again, the told ones too.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import processes
from bench.load import send
from bench.processes import FILE, PLAIN, Contender, Slack
from bench.report import Row, at_most
from bench.webhooks import SEVERITIES, webhook

_CONNECTIONS = 8
#: After the last call, so long without another one means that nothing more comes: edits are held back for 4 s.
_SILENCE = 6.0
_POLL = 0.25


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    groups, alerts = (8, 5) if quick else (40, 25)
    return _service(folder, groups, alerts, _plain(folder, groups, alerts))


def _bodies(groups: int, alerts: int, *, resolved: bool = False) -> list[bytes]:
    """A webhook for each group, the least severe first: an order that has to be turned round."""
    ended = range(alerts) if resolved else ()
    numbers = sorted(range(groups), key=lambda number: number % len(SEVERITIES))
    return [webhook(f"Storm{n}", alerts, SEVERITIES[n % len(SEVERITIES)], ended) for n in numbers]


def _plain(folder: Path, groups: int, alerts: int) -> dict[str, float]:
    """What the plain poster makes of the opening, by the figure's name."""
    with processes.slack() as slack, Contender(PLAIN, folder / PLAIN, slack.api_url) as contender:
        load = send(contender, _bodies(groups, alerts), _CONNECTIONS)
        calls = slack.calls(contender.channel)
        return {
            "refused": load.refused,
            "roots": len(slack.roots(contender.channel)),
            "posts": len(_accepted(calls)),
            "limited": _limited(calls),
        }


def _service(folder: Path, groups: int, alerts: int, plain: dict[str, float]) -> list[Row]:
    with processes.slack() as slack, Contender(FILE, folder / FILE, slack.api_url) as contender:
        began = time.time()
        load = send(contender, _bodies(groups, alerts), _CONNECTIONS)
        stored = time.time()
        opening = _wait_told(contender, slack, limit=3 * groups + 30)
        severities = _severities(slack, contender)
        cpu = contender.cpu_seconds
        resolved_at = time.time()
        load_resolved = send(contender, _bodies(groups, alerts, resolved=True), _CONNECTIONS)
        closing = _wait_told(contender, slack, limit=5 * groups + 30)[len(opening) :]
    posts = _accepted(opening)
    roots = [call for call in posts if call["thread_ts"] is None]
    assert len(roots) == groups, f"{len(roots)} of {groups} threads have a root"
    critical = min(call["time"] for call in roots if severities[call["ts"]] == "critical")
    replies = _accepted(closing)
    updates = [call for call in closing if call["method"] == "chat.update" and call["accepted"]]
    last = max(call["time"] for call in closing) - resolved_at

    def both(figure: str, of_service: float) -> dict[str, float]:
        return {PLAIN: plain[figure], FILE: of_service}

    return [
        at_most("webhooks not answered 2xx", "", both("refused", load.refused + load_resolved.refused), FILE, 0),
        at_most("429 from Slack", "", both("limited", _limited([*opening, *closing])), FILE, 0),
        Row("threads opened", "", both("roots", len(roots))),
        Row("posts for the opening", "", both("posts", len(posts))),
        at_most("posts per thread, opening", "", {FILE: len(posts) / groups}, FILE, 1.1),
        Row("all webhooks answered after", "s", {FILE: stored - began}),
        at_most("first critical root after", "s", {FILE: critical - began}, FILE, 3),
        at_most(
            "every thread has its root after", "s", {FILE: roots[-1]["time"] - began}, FILE, round(1.1 * groups + 1)
        ),
        at_most("roots posted before a more severe one", "", {FILE: _inversions(roots, severities, stored)}, FILE, 0),
        at_most("replies per thread, all resolved", "", {FILE: len(replies) / groups}, FILE, 1),
        at_most("updates per thread, all resolved", "", {FILE: len(updates) / groups}, FILE, 1),
        Row("all resolved is told after", "s", {FILE: last}),
        Row("processor time for the opening", "s", {FILE: cpu}),
    ]


def _wait_told(contender: Contender, slack: Slack, limit: float) -> list[dict[str, Any]]:
    """Wait until nothing is pending and nothing more comes; return all calls."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        calls = slack.calls(contender.channel)
        quiet_since = max((call["time"] for call in calls), default=time.time())
        if calls and contender.get("/health")["pending"] == 0 and time.time() - quiet_since > _SILENCE:
            return calls
        time.sleep(_POLL)
    raise TimeoutError(f"not all was told within {limit} s: {contender.get('/health')}")


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
