"""Kill -9 at random points, of which some are those where it could do harm, with a restart at once."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from chaos.plan import Plan
from chaos.stage import conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict, merged
from harness.replicas import replicas, start_all
from harness.scripts import make_trouble, wait_for_a_moment
from harness.servers import RedisServer
from harness.service import Service, at_once
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: A call that was cut off is looked for after the time that it may take.
_TIMEOUT = "1s"
#: So many kills for each file store. Most of a restart is waiting: installations side by side share the work.
_SHARE, _SHARE_QUICK = 36, 6
#: Of ten kills one hits a replica, but no fewer than so many: the lease must pass from one to the other and back.
_REPLICAS = 3
_PAUSE = 0.4
#: A replica that dies leaves its channel to the others after 6 s (LEASE_TTL). So much time is between two kills, on
#: average, in seconds, that some come while a replica tells and some while the channel has no sender.
_BETWEEN = 4.0


def kill(plan: Plan) -> Verdict:
    """Kill -9 at random points, on the file store and on Redis, while Slack is slow and drops answers."""
    kills = plan.killing(200, 16)
    in_redis = min(max(kills // 10, _REPLICAS), kills)
    in_files = kills - in_redis
    count = max(round(in_files / (_SHARE_QUICK if plan.quick else _SHARE)), 1)
    with ExitStack() as closing:
        # Made one after the other: Python 3.11 may fail where two threads make a Flask application at the same time
        # (https://github.com/python/cpython/issues/106905).
        works = []
        for number in range(count):
            here = closing.enter_context(stage(plan, f"service{number}", SLACK_TIMEOUT=_TIMEOUT))
            share = in_files // count + (number < in_files % count)
            works.append(partial(_under_fire, here.workspace, [here.service], share, 0.0, plan, number))
        workspace, services = closing.enter_context(_on_redis(plan))
        works.append(partial(_under_fire, workspace, services, in_redis, _BETWEEN, plan, count))
        return merged(at_once(works, timeout=120 + 12 * kills))


def _under_fire(
    workspace: Workspace, services: Sequence[Service], kills: int, between: float, plan: Plan, number: int
) -> Verdict:
    """Kill one of the services and start it again, so many times, with so many seconds more in between on average."""
    chance = random.Random(plan.seed + number)
    if not plan.sound:
        make_trouble(workspace)
    with Traffic(*services, seed=plan.seed + number, pause=_PAUSE) as traffic:
        for _ in range(kills):
            go_on(traffic, chance.uniform(0, 2 * between))
            victim = chance.choice(services)
            wait_for_a_moment(victim, workspace, chance)
            victim.kill()
            victim.start()
    verdict = conclude(traffic, workspace, *services)
    verdict.figures = {"kills": kills, **verdict.figures}
    return verdict


@contextmanager
def _on_redis(plan: Plan) -> Iterator[tuple[Workspace, Sequence[Service]]]:
    with ExitStack() as closing:
        slack = closing.enter_context(SandboxServer(port=0, rate_limits=False, seed=plan.seed))
        server = closing.enter_context(RedisServer(plan.folder / "redis"))
        make = closing.enter_context(replicas(plan.folder, slack.api_url))
        settings = {"SLACK_TIMEOUT": _TIMEOUT, "WEB_CONCURRENCY": 1}
        yield slack.workspace, start_all([make(name, server.url, **settings) for name in ("replica0", "replica1")])
