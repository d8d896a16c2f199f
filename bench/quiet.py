"""A cold webhook in a quiet system: from its sender's call to its arrival at Slack's HTTP server, on one clock.

The plain poster, the floor and the service with either store take turns, each in a channel of its own, with a pause in
which the pacing budget fills again.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from bench import floor, processes
from bench.load import percentile
from bench.processes import BEFORE, FILE, FLOOR, PLAIN, STORES, Contender, Slack
from bench.report import Row, at_most
from bench.service import running
from bench.webhooks import webhook

#: Longer than the second in which a channel's budget grows by one message.
_PAUSE = 1.2


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    times = 5 if quick else 30
    names = (PLAIN, FLOOR, *BEFORE.values(), *STORES)
    arrived: dict[str, list[float]] = {name: [] for name in names}
    answered: dict[str, list[float]] = {name: [] for name in names}
    settings = {FLOOR: {floor.DELIVERS: "1"}}
    with ExitStack() as stack:
        slack = stack.enter_context(processes.slack())
        contenders = [
            stack.enter_context(running(name, folder / name, slack.api_url, settings.get(name, {}))) for name in names
        ]
        for number in range(times + 1):
            for contender in contenders:
                time.sleep(_PAUSE / len(contenders))
                arrival, answer = _one(contender, slack, f"Quiet{number}")
                if number > 0:  # the first one of a process imports and connects
                    arrived[contender.name].append(arrival)
                    answered[contender.name].append(answer)
    medians, p90s, answers = (
        {name: percentile(values, percent) * 1000 for name, values in each.items()}
        for each, percent in ((arrived, 50), (arrived, 90), (answered, 50))
    )
    of_plain, of_floor = ({name: medians[name] / medians[base] for name in names} for base in (PLAIN, FLOOR))
    of_before = {name: medians[name] / medians[before] for name, before in BEFORE.items()}
    return [
        at_most("webhook to Slack, median", "ms", medians, STORES, 50),
        Row("webhook to Slack, p90", "ms", p90s),
        Row("webhook to Slack, median, × plain", "", of_plain),
        at_most("webhook to Slack, median, × floor", "", of_floor, [FILE], 1.15),
        at_most("webhook to Slack, median, × first release", "", of_before, STORES, 1.05),
        Row("webhook to its answer, median", "ms", answers),
    ]


def _one(contender: Contender, slack: Slack, name: str) -> tuple[float, float]:
    """Send one; return the seconds until Slack was called, and until the answer."""
    body = webhook(name, alerts=1)
    began = time.time()
    status = contender.post(body)
    answer = time.time() - began
    assert status == 200, f"{contender.name} answered {status}"
    calls = [call for call in slack.calls(contender.channel) if call["time"] >= began]
    assert len(calls) == 1, f"{contender.name} called Slack {len(calls)} times"
    assert calls[0]["outcome"] == "ok", calls
    return calls[0]["time"] - began, answer
