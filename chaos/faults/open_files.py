"""The limit of open files is reached: too many connections are held open, by a scanner or a broken proxy, say."""

import contextlib
import random
import shutil
import socket
import time

from chaos.plan import CannotRunError, Plan
from chaos.stage import conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.usage import usage_of
from chaos.verdict import Verdict
from tests.e2e.harness import HOST, Service

#: How many files the service may have open. It needs about 20 for itself, and one or two for each thread at work.
_LIMIT = 160
#: How many connections are held open: more than it may have, more than it has threads.
_HELD = 300
#: What they have begun to say. Most say nothing: one that has begun to send a webhook keeps a thread.
_BEGUN = (
    b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
    b"POST /al",
)
_BEGINNING = 20


def open_files(plan: Plan) -> Verdict:
    """Connections are held open until the service can open no file any more."""
    program = shutil.which("prlimit")
    if program is None:
        raise CannotRunError("skipped: needs prlimit (util-linux)")
    most, fewest = 0, _HELD
    workers: set[int] = set()
    rounds = plan.times(5, 2)
    with stage(plan, wrapper=[program, f"--nofile={_LIMIT}:{_LIMIT}"], traceback_allowed=True) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            for number in range(rounds):
                go_on(traffic, 1)
                with contextlib.ExitStack() as held:
                    count = _hold(held, here.service, random.Random(plan.seed + number))
                    fewest = min(fewest, count)
                    until = time.monotonic() + plan.lasting(6, 2)
                    while time.monotonic() < until and not traffic.is_over:
                        workers |= set(here.service.workers)
                        most = max(most, _open_files(here.service))
                        time.sleep(0.01)
            go_on(traffic, 1)
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    if fewest <= _LIMIT:
        verdict.wrong.append(f"only {fewest} connections were held open")
    # gunicorn's thread worker does not live through an accept that fails for want of files; its master starts another.
    verdict.figures = {"times": rounds, "files open at most": most, "workers": len(workers), **verdict.figures}
    return verdict


def _hold(held: contextlib.ExitStack, service: Service, chance: random.Random) -> int:
    """Open the connections, one after the other; return how many."""
    count = 0
    for number in range(_HELD):
        with contextlib.suppress(OSError):
            connection = held.enter_context(socket.create_connection((HOST, service.port), 5))
            count += 1
            if number < _BEGINNING:
                connection.sendall(chance.choice(_BEGUN))
    return count


def _open_files(service: Service) -> int:
    """How many files the worker has open."""
    counts = [0]
    for pid in service.workers:
        with contextlib.suppress(OSError):
            counts.append(usage_of(pid).files)
    return max(counts)
