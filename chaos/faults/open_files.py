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

#: How many files the service may have open; it needs about 20 for itself.
_LIMIT = 64
#: How many connections are held open: more than it may have, and more than it has threads.
_HELD = 120
#: What some of them have begun to say.
_BEGUN = b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"


def open_files(plan: Plan) -> Verdict:
    """Connections are held open until the service can open no file any more."""
    program = shutil.which("prlimit")
    if program is None:
        raise CannotRunError("needs prlimit (util-linux)")
    chance = random.Random(plan.seed)
    most = 0
    rounds = plan.times(5, 2)
    with stage(plan, wrapper=[program, f"--nofile={_LIMIT}:{_LIMIT}"]) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            for _ in range(rounds):
                go_on(traffic, 1)
                with contextlib.ExitStack() as held:
                    for _ in range(_HELD):
                        with contextlib.suppress(OSError):
                            connection = held.enter_context(socket.create_connection((HOST, here.service.port), 5))
                            connection.sendall(chance.choice((b"", b"POST /al", _BEGUN)))
                    until = time.monotonic() + plan.lasting(6, 2)
                    while time.monotonic() < until and not traffic.is_over:
                        most = max(most, _open_files(here.service))
                        time.sleep(0.01)
            go_on(traffic, 1)
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    if most < _LIMIT - 1:
        verdict.wrong.append(f"the limit was not reached: {most} of {_LIMIT} files were open")
    verdict.figures = {"times": rounds, "files open at most": most, **verdict.figures}
    return verdict


def _open_files(service: Service) -> int:
    """How many files the worker has open."""
    counts = [0]
    for pid in service.workers:
        with contextlib.suppress(OSError):
            counts.append(usage_of(pid).files)
    return max(counts)
