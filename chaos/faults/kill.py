"""Kill -9 at random points, of which some are those where it could do harm, with a restart at once."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from alert_threader.sandbox import SandboxServer
from chaos.plan import Plan
from chaos.stage import Stage, conclude, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict, merged
from tests.e2e.harness import Service, at_once
from tests.e2e.redis_kit import replicas, start_all
from tests.e2e.scripts import make_trouble, wait_for_a_moment
from tests.servers import RedisServer

#: A call that was cut off is looked for after the time that it may take.
_TIMEOUT = "1s"
#: So many kills for each file store. Most of a restart is waiting: installations side by side share the work.
_SHARE = 36
#: A replica that dies leaves its channel to the others after 6 s (LEASE_TTL). So much time is between two kills, on
#: average, in seconds, that some come while a replica tells and some while the channel has no sender.
_BETWEEN = 4.0


def kill(plan: Plan) -> Verdict:
    """Kill -9 at random points, on the file store and on Redis, while Slack is slow and drops answers."""
    kills = plan.killing(200, 16)
    in_redis = kills // 10
    in_files = kills - in_redis
    count = max(round(in_files / (6 if plan.quick else _SHARE)), 1)
    shares = [in_files // count + (number < in_files % count) for number in range(count)]
    with ExitStack() as closing:
        # Made one after the other: Python 3.11 may fail where two threads make a Flask application at the same time
        # (https://github.com/python/cpython/issues/106905).
        files = [
            closing.enter_context(stage(plan, f"service{number}", SLACK_TIMEOUT=_TIMEOUT)) for number in range(count)
        ]
        slack, services = closing.enter_context(_on_redis(plan))
        works = [
            *(
                partial(_one, each, share, plan, number)
                for number, (each, share) in enumerate(zip(files, shares, strict=True))
            ),
            partial(_several, slack, services, in_redis, plan),
        ]
        return merged(at_once(works, timeout=120 + 12 * kills))


def _one(here: Stage, kills: int, plan: Plan, number: int) -> Verdict:
    """One owner of a file is killed and started again and again."""
    chance = random.Random(plan.seed + number)
    if not plan.sound:
        make_trouble(here.workspace)
    with Traffic(here.service, seed=plan.seed + number, pause=0.4) as traffic:
        for _ in range(kills):
            wait_for_a_moment(here.service, here.workspace, chance)
            here.service.kill()
            here.service.start()
    verdict = conclude(traffic, here.workspace, here.service)
    verdict.figures = {"kills": kills, **verdict.figures}
    return verdict


def _several(slack: SandboxServer, services: list[Service], kills: int, plan: Plan) -> Verdict:
    """Of two that share a Redis one is killed."""
    chance = random.Random(plan.seed)
    if not plan.sound:
        make_trouble(slack.workspace)
    with Traffic(*services, seed=plan.seed + 100, pause=0.4) as traffic:
        for _ in range(kills):
            time.sleep(chance.uniform(0, 2 * _BETWEEN))
            victim = chance.choice(services)
            wait_for_a_moment(victim, slack.workspace, chance)
            victim.kill()
            victim.start()
    verdict = conclude(traffic, slack.workspace, *services)
    verdict.figures = {"kills": kills, **verdict.figures}
    return verdict


@contextmanager
def _on_redis(plan: Plan) -> Iterator[tuple[SandboxServer, list[Service]]]:
    with ExitStack() as closing:
        slack = closing.enter_context(SandboxServer(port=0, rate_limits=False, seed=plan.seed))
        server = closing.enter_context(RedisServer(plan.folder / "redis"))
        make = closing.enter_context(replicas(plan.folder, slack.api_url))
        settings = {"SLACK_TIMEOUT": _TIMEOUT, "WEB_CONCURRENCY": 1}
        services = start_all([make(name, server.url, **settings) for name in ("replica0", "replica1")])
        yield slack, list(services)
