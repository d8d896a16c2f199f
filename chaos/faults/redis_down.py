"""A real Redis with an append-only file is stopped, killed and started again."""

import random
import time
from contextlib import ExitStack

from alert_threader.sandbox import SandboxServer
from chaos.plan import Plan
from chaos.stage import conclude, go_on
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from tests.e2e.harness import wait_for
from tests.e2e.redis_kit import Replica, replicas, start_all
from tests.servers import RedisServer


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
        unsaid, forgotten = 0, 0
        rounds = plan.times(12, 3)
        with Traffic(*services, seed=plan.seed) as traffic:
            for number in range(rounds):
                go_on(traffic, chance.uniform(0.5, 2))
                chance.choice((server.kill, server.stop))() if number > 1 else (server.kill, server.stop)[number]()
                go_on(traffic, chance.choice((0.1, 0.5, 1, 4)) if number else 1.0)
                unsaid += not _says_so(services[0])
                server.start()
                wait_for(lambda: services[0].get("/cache").status == 200, 10, lambda: services[0].log)
                now = services[0].cache
                forgotten += len(threads.items() - now.items())
                threads = now
        verdict = conclude(traffic, slack.workspace, *services)
        verdict.figures = {"outages": rounds, **verdict.figures}
        verdict.lost += [f"{forgotten} threads were forgotten"] if forgotten else []
        verdict.wrong += [f"/health did not say in {unsaid} outages that Redis is away"] if unsaid else []
        for service in services:
            service.stop()
        return verdict


def _says_so(service: Replica) -> bool:
    began = time.monotonic()
    answer = service.get("/health")
    return answer.status == 503 and "edis" in str(answer.json["problems"]) and time.monotonic() - began < 2
