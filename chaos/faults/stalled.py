"""Clients that stand still: a scanner, a broken proxy, somebody who wants the service to stop."""

import contextlib
import random
import socket
import time
from collections.abc import Sequence

from chaos.plan import Plan
from chaos.stage import conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.servers import HOST
from harness.service import Service

#: How many clients stand still at once: more than there are threads, and then more than there are connections.
_CLIENTS = (64, 500, 1500)
_POST = b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#: Where each of them stops.
_BEGUN = (
    b"",
    b"POST /al",
    _POST,
    _POST + b'Content-Length: 9999\r\n\r\n{"alerts": [',
    _POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
)
#: Some ask again and again, and read no answer.
_DEAF = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500
_DEAF_CLIENTS = 3
#: How long an answer beside them may take, in seconds.
_BESIDE = 5.0
#: How often some of them send another byte, in seconds.
_DRIP = 0.2


def stalled_clients(plan: Plan) -> Verdict:
    """Up to 1,500 clients stop in the middle of their requests, and some send a byte now and then."""
    lasting = plan.lasting(20, 3)
    chance = random.Random(plan.seed)
    longest = 0.0
    with stage(plan) as here:
        with Traffic(here.service, seed=plan.seed) as traffic:
            for count in _CLIENTS:
                go_on(traffic, 1)
                with contextlib.ExitStack() as held:
                    begun = [_DEAF] * _DEAF_CLIENTS + chance.choices(_BEGUN, k=count)
                    clients = [_begin(held, here.service, each) for each in begun]
                    until = time.monotonic() + lasting
                    while time.monotonic() < until and not traffic.is_over:
                        _drip(chance.sample(clients, count // 10))
                        longest = max(longest, _asking(here.service))
                        go_on(traffic, _DRIP)
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    if longest > _BESIDE:
        verdict.wrong.append(f"an answer beside them took {longest:.1f} s")
    verdict.figures = {"s at most for an answer": round(longest, 2), **verdict.figures}
    return verdict


def _begin(held: contextlib.ExitStack, service: Service, begun: bytes) -> socket.socket:
    client = held.enter_context(socket.create_connection((HOST, service.port), 10))
    client.setblocking(False)
    _send(client, begun)
    return client


def _drip(clients: Sequence[socket.socket]) -> None:
    for client in clients:
        _send(client, b" ")


def _send(client: socket.socket, data: bytes) -> None:
    # The service may have hung up on it.
    with contextlib.suppress(OSError):
        client.sendall(data)


def _asking(service: Service) -> float:
    """How long an answer takes, in seconds."""
    began = time.monotonic()
    assert service.get("/health").status == 200
    return time.monotonic() - began
