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
from harness.servers import HOST
from harness.service import Service

#: How many files the service may have open. It needs about 20 for itself, and one or two for each thread at work.
_LIMIT = 160
#: How many connections are held open at the most: more than it may have.
_HELD = 300
#: So many files it can still open, one time after the other: enough to take a connection, but not to store what it
#: says, or to tell Slack; in the end none at all.
_LEFT = (3, 0, 5, 2, 4, 1)
#: What some connections have begun to say: each keeps a thread. The others say nothing.
_BEGUN = (
    b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
    b"POST /al",
)
_BEGINNING = 20
#: How long the service may take to accept a connection, in seconds, and how many may have to wait longer until it is
#: clear that it takes no more.
_ACCEPTING, _WAITING = 0.2, 10


def open_files(plan: Plan) -> Verdict:
    """Connections are held open until the service can open hardly a file any more, or none."""
    program = shutil.which("prlimit")
    if program is None:
        raise CannotRunError("skipped: needs prlimit (util-linux)")
    most = 0
    rounds = plan.times(len(_LEFT), 2)
    with stage(plan, wrapper=[program, f"--nofile={_LIMIT}:{_LIMIT}"]) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            for number, left in enumerate(_LEFT[:rounds]):
                go_on(traffic, 1)
                with contextlib.ExitStack() as held:
                    _hold(held, here.service, left, random.Random(plan.seed + left))
                    until = time.monotonic() + plan.lasting(6, 2)
                    while time.monotonic() < until and not traffic.is_over:
                        most = max(most, _open_files(here.service))
                        time.sleep(0.01)
                    if number % 2 == 0:
                        # What it said it has, it must have stored in spite of it all.
                        here.service.kill()
                        here.service.start()
            go_on(traffic, 1)
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    verdict.figures = {"times": rounds, "files open at most": most, **verdict.figures}
    return verdict


def _hold(held: contextlib.ExitStack, service: Service, left: int, chance: random.Random) -> None:
    """Open connections until the service can open no more than so many files, or accepts no more."""
    waiting = 0
    for number in range(_HELD):
        before = _open_files(service)
        if left and (before >= _LIMIT - left or waiting > _WAITING):
            return
        with contextlib.suppress(OSError):
            connection = held.enter_context(socket.create_connection((HOST, service.port), 5))
            if number < _BEGINNING:
                connection.sendall(chance.choice(_BEGUN))
        until = time.monotonic() + (_ACCEPTING if left else 0)
        while _open_files(service) <= before and time.monotonic() < until:
            time.sleep(0.001)
        waiting += _open_files(service) <= before


def _open_files(service: Service) -> int:
    """How many files the worker has open."""
    counts = [0]
    for pid in service.workers:
        with contextlib.suppress(OSError):
            counts.append(usage_of(pid).files)
    return max(counts)
