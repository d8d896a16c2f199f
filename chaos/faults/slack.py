"""Slack is down, slow, limits, drops what it took, or talks nonsense: the webhooks are taken all the same."""

import random
import time
from collections.abc import Callable

from chaos.plan import Plan
from chaos.stage import Stage, conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.servers import HOST
from slack_sandbox.calls import Call

#: How long Slack works before, between and after its failures, in seconds.
_SOUND, _SOUND_QUICK = 2.0, 0.7
#: Longer than the service waits, in seconds.
_TOO_LATE = 1.5
#: Within which the first message must come after an outage, in seconds: a pause of 3 s, and a slow machine's.
_BACK = 5.0
#: Retry-After of the fake, in seconds.
_RETRY_AFTER = 1
#: What may stand between a client and Slack answers such things.
_NONSENSE = (
    "",
    "{",
    '{"ok": tru',
    "null",
    "[]",
    '"ok"',
    "\x00\xff\xfe",
    "<!doctype html><title>Bad gateway</title>" * 50,
)


def slack_down(plan: Plan) -> Verdict:
    """Nobody listens where Slack was: connections are refused."""

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        here.slack.stop()
        try:
            go_on(traffic, seconds)
        finally:
            here.slack.start()

    return play(plan, fail, must_say="the connection to Slack is refused")


def slack_slow(plan: Plan) -> Verdict:
    """Slack answers late, some of it after the service has stopped to wait."""

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        add = here.workspace.faults.add
        for kind in ("hang_after", "hang"):
            add(kind, method="chat.postMessage", count=1, seconds=_TOO_LATE)
            add(kind, probability=0.1, seconds=_TOO_LATE)
        add("slow", probability=0.8, seconds=0.5)
        go_on(traffic, seconds)

    def look(here: Stage, verdict: Verdict) -> None:
        late = sum(call.duration >= _TOO_LATE and call.accepted for call in here.workspace.calls.all())
        verdict.figures["taken too late"] = late

    return play(plan, fail, look)


def slack_late(plan: Plan) -> Verdict:
    """Slack answers 503 and does it all the same, seconds later; its history lags behind what was posted."""

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        add = here.workspace.faults.add
        for method in ("chat.postMessage", "chat.update"):
            add("http_late", method=method, count=1, seconds=_TOO_LATE)
            add("http_late", method=method, probability=0.2, seconds=_TOO_LATE)
            add("http_after", method=method, probability=0.2)
        add("lag", method="conversations.history", probability=0.5, seconds=5)
        add("lag", method="conversations.replies", probability=0.5, seconds=5)
        go_on(traffic, seconds)
        here.workspace.faults.clear()
        # What is late must not be taken for what was never done.
        time.sleep(_TOO_LATE)

    def look(here: Stage, verdict: Verdict) -> None:
        calls = here.workspace.calls.all()
        verdict.figures["done late"] = sum(call.outcome == "late" for call in calls)
        verdict.figures["copies deleted"] = sum(call.method == "chat.delete" and call.accepted for call in calls)

    return play(plan, fail, look)


def slack_outage(plan: Plan) -> Verdict:
    """Slack answers 503 to everything, and is back: its first good answer is used within seconds."""
    returned: list[float] = []
    problems: set[str] = set()

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        here.workspace.faults.add("http", status=503)
        go_on(traffic, max(seconds, 6.0))
        problems.update(here.service.health["problems"])
        here.workspace.faults.clear()
        returned.append(time.time())
        go_on(traffic, _BACK)

    def look(here: Stage, verdict: Verdict) -> None:
        posts = [call.time for call in here.workspace.calls.all("chat.postMessage") if call.accepted]
        waits = [min((at - since for at in posts if at >= since), default=_BACK) for since in returned]
        verdict.figures["seconds until the first message"] = round(max(waits), 1)
        verdict.wrong += [f"no message came within {_BACK} s after the outage" for wait in waits if wait >= _BACK]
        if not any("Slack answers 503" in problem for problem in problems):
            verdict.wrong.append(f"/health does not say that Slack answers 503: {sorted(problems)}")

    return play(plan, fail, look)


def slack_429(plan: Plan) -> Verdict:
    """Slack limits most calls, although the service keeps to its pace."""

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        here.workspace.faults.add("ratelimited", probability=0.7, retry_after=_RETRY_AFTER)
        go_on(traffic, seconds)

    def look(here: Stage, verdict: Verdict) -> None:
        early = _before_the_time(here.workspace.calls.all())
        verdict.figures["429"] = sum(call.outcome == "ratelimited" for call in here.workspace.calls.all())
        verdict.wrong += [f"{call.method} came again before Retry-After had passed" for call in early]

    return play(plan, fail, look)


def slack_drop(plan: Plan) -> Verdict:
    """Slack takes the message and drops the connection, so that nobody hears of it."""

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        here.workspace.faults.add("drop_after", probability=0.6)
        go_on(traffic, seconds)

    def look(here: Stage, verdict: Verdict) -> None:
        calls = here.workspace.calls.all()
        verdict.figures["taken and dropped"] = sum(call.outcome == "dropped" and call.accepted for call in calls)

    return play(plan, fail, look, must_say="the connection to Slack broke off")


def slack_garbage(plan: Plan) -> Verdict:
    """HTML, nothing, half an answer and 5xx stand where Slack's answer should, whether it took the message or not."""
    chance = random.Random(plan.seed)

    def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            faults = here.workspace.faults
            faults.clear()
            # Some calls succeed, else the service would soon ask no more than every 3 s.
            faults.add("garbage_after", probability=0.25, body=chance.choice(_NONSENSE))
            faults.add("garbage", probability=0.25, body=chance.choice(_NONSENSE))
            faults.add("http_after", probability=0.25, status=chance.choice((500, 502, 503, 504)))
            faults.add("http", probability=0.25, status=chance.choice((500, 502, 503, 504)))
            go_on(traffic, min(left, 0.5))

    def look(here: Stage, verdict: Verdict) -> None:
        outcomes = [call.outcome for call in here.workspace.calls.all()]
        verdict.figures["answers that are none"] = sum(o == "garbage" or o.startswith("http 5") for o in outcomes)

    return play(plan, fail, look)


def play(
    plan: Plan,
    fail: Callable[[Stage, float, Traffic], None],
    look: Callable[[Stage, Verdict], None] = lambda _here, _verdict: None,
    *,
    mend: Callable[[], None] = lambda: None,
    must_say: str = "",
    slack_host: str = HOST,
    **settings: str,
) -> Verdict:
    """Let Slack fail for a while during traffic: no webhook is refused for it, and ``/health`` says what is wrong.

    ``mend`` ends what ``fail`` has begun, besides the faults of the sandbox. ``slack_host`` is what the service calls
    the host of Slack; the settings are more of its own.
    """
    said: set[str] = set()
    sound, times = (_SOUND_QUICK, 1) if plan.quick else (_SOUND, 2)
    with stage(plan, slack_host=slack_host, **settings) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            go_on(traffic, sound)
            for _ in range(times):
                fail(here, plan.lasting(30, 3) / times, traffic)
                said |= set(here.service.health["problems"])
                here.workspace.faults.clear()
                mend()
                go_on(traffic, sound)
        verdict = conclude(traffic, here.workspace, here.service)
        refused = {status: n for status, n in traffic.answers.items() if not 200 <= status < 300}
        verdict.wrong += [f"{n} webhooks were answered {status or 'not at all'}" for status, n in refused.items()]
        if must_say and not any(must_say in problem for problem in said):
            verdict.wrong.append(f"/health does not say {must_say!r}: {sorted(said)}")
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
        before = set(verdict.figures)
        look(here, verdict)
        verdict.wrong += [f"{name}: never" for name in set(verdict.figures) - before if not verdict.figures[name]]
        return verdict


def _before_the_time(calls: list[Call]) -> list[Call]:
    """The calls that came although the method was rate limited."""
    early, until = [], dict[tuple[str, str], float]()
    for call in calls:
        place = call.method, call.channel
        # A call's time is that of its arrival, the answer followed: less than the whole wait is too early for sure.
        if call.time < until.get(place, 0.0):
            early.append(call)
        if call.outcome == "ratelimited":
            until[place] = call.time + _RETRY_AFTER
    return early
