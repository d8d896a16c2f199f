"""A real Redis with an append-only file is stopped, killed and started again."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal, NamedTuple

from chaos.plan import Plan
from chaos.stage import conclude, go_on
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.replicas import PROMPT, Replica, replicas, start_all
from harness.servers import RedisServer
from harness.service import wait_for
from harness.webhooks import webhook
from slack_sandbox import SandboxServer

#: How long Redis is away once for each way to end it, in seconds.
_LONG, _LONG_QUICK = 30.0, 1.0


class Outage(NamedTuple):
    """How Redis ends, and for how many seconds it is away."""

    end: Literal["kill", "stop"]
    seconds: float


def redis_down(plan: Plan) -> Verdict:
    """Redis is stopped or killed with -9, and comes back; two replicas share it."""
    chance = random.Random(plan.seed)
    with ExitStack() as closing:
        slack = closing.enter_context(SandboxServer(port=0, rate_limits=False, seed=plan.seed))
        server = closing.enter_context(RedisServer(plan.folder / "redis"))
        make = closing.enter_context(replicas(plan.folder, slack.api_url))
        services = start_all([make(name, server.url, WEB_CONCURRENCY=1, SLACK_TIMEOUT="1s") for name in ("one", "two")])
        slack.workspace.faults.add("slow", probability=0.3, seconds=0.1)
        threads: dict[str, str] = {}
        unsaid, held, forgotten = 0, 0, 0
        planned = outages(plan, chance)
        with Traffic(*services, seed=plan.seed) as traffic:
            for outage in planned:
                go_on(traffic, chance.uniform(0.5, 2))
                {"kill": server.kill, "stop": server.stop}[outage.end]()
                held += _count_held(traffic, services, outage.seconds)
                unsaid += not _says_so(services[0])
                server.start()
                wait_for(lambda: services[0].get("/cache").status == 200, 10, lambda: services[0].log)
                now = services[0].cache
                forgotten += len(threads.items() - now.items())
                threads = now
        verdict = conclude(traffic, slack.workspace, *services)
        longest = max(outage.seconds for outage in planned)
        verdict.figures = {"outages": len(planned), "s the longest": longest, **verdict.figures}
        verdict.lost += [f"{forgotten} threads were forgotten"] if forgotten else []
        verdict.wrong += [f"{held} webhooks were not refused at once while Redis was away"] if held else []
        verdict.wrong += [f"/health did not say in {unsaid} outages that Redis is away"] if unsaid else []
        for service in services:
            service.stop()
        return verdict


def outages(plan: Plan, chance: random.Random) -> list[Outage]:
    """What happens: a long outage of each kind, then some by chance."""
    seconds = plan.lasting(_LONG, _LONG_QUICK)
    others = [
        Outage(chance.choice(("kill", "stop")), chance.choice((0.1, 0.5, 1, 4))) for _ in range(plan.times(10, 1))
    ]
    return [Outage("kill", seconds), Outage("stop", seconds), *others]


def _count_held(traffic: Traffic, services: Sequence[Replica], seconds: float) -> int:
    """Wait that long while Redis is away; count the webhooks that were not refused, or not at once, meanwhile."""
    held = 0
    until = time.monotonic() + seconds
    while not traffic.is_over and (left := until - time.monotonic()) > 0:
        for service in services:
            began = time.monotonic()
            held += service.send(webhook("Refused")).status != 503 or time.monotonic() - began > PROMPT
        go_on(traffic, min(left, 0.5))
    return held


def _says_so(service: Replica) -> bool:
    began = time.monotonic()
    answer = service.get("/health")
    return answer.status == 503 and "edis" in str(answer.json["problems"]) and time.monotonic() - began < PROMPT
