"""Thousands of requests that are no webhook, or hardly."""

import http.client
import random
from collections import Counter
from functools import partial

from chaos.mutation import Mutant, mutants
from chaos.plan import Plan
from chaos.stage import conclude, stage
from chaos.traffic import Traffic
from chaos.usage import usage_of
from chaos.verdict import Verdict
from harness.service import Answer, Service, at_once, exchange, wait_for

_SENDERS = 6
#: The good webhooks that come meanwhile go here, the others anywhere else.
_GOOD = "C0GOOD0001"
#: An answer of 4xx is logged by Alertmanager: it is one line of at most so many characters.
_LONGEST = 600
#: What a mutant says that is accepted has to be delivered too: seconds for each, at most.
_DELIVERING = 0.2


def fuzz(plan: Plan) -> Verdict:
    """10,000 fuzzed requests: never 5xx or a crash, every refusal one line, and all that is accepted is delivered."""
    count = plan.times(10_000, 600)
    with stage(plan, SLACK_RATE="1000", RESPONSE_WAIT="0", SLACK_TIMEOUT="5s", LOG_LEVEL="ERROR") as here:
        wait_for(lambda: here.service.workers, 5)
        workers, before = here.service.workers, usage_of(here.service.workers[0])
        with Traffic(here.service, seed=plan.seed, path=f"/alert/{_GOOD}") as traffic:
            senders = [partial(_send, here.service, plan.seed + n, count // _SENDERS + 1) for n in range(_SENDERS)]
            accounts = at_once(senders, timeout=60 + count / 10)
        totals = sum((account for account, _ in accounts), Counter[str]())
        wait_for(
            lambda: here.service.health["pending"] == 0,
            30 + totals["accepted"] * _DELIVERING,
            lambda: str(here.service.health),
        )
        verdict = conclude(traffic, here.workspace, here.service, channel=_GOOD)
        verdict.wrong += [fault for _, faults in accounts for fault in faults]
        if here.service.workers != workers:
            verdict.wrong.append("the worker crashed, and another one took its place")
        verdict.figures = {
            "fuzzed": sum(totals.values()),
            **dict(sorted(totals.items())),
            "threads": here.service.health["cached_threads"],
            "MB more memory": round(usage_of(here.service.workers[0]).memory - before.memory),
            **verdict.figures,
        }
        return verdict


def _send(service: Service, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Send so many; return how they were answered, and which answers should not have been."""
    answered: Counter[str] = Counter()
    faults = []
    for mutant, _ in zip(mutants(random.Random(seed)), range(count), strict=False):
        try:
            answer = exchange(service, mutant.request)
        except (OSError, http.client.HTTPException) as error:
            answered["without an answer"] += 1
            if not mutant.broken:
                faults.append(f"no answer ({error!r}) to {_shown(mutant)}")
            continue
        answered["accepted" if answer.ok else f"answered {answer.status}"] += 1
        if fault := _fault_in(answer, mutant):
            faults.append(f"{fault}: {answer.status} {answer.text[:200]!r} to {_shown(mutant)}")
    return answered, faults


def _fault_in(answer: Answer, mutant: Mutant) -> str:
    """What is wrong with an answer, nothing if it is as it should be."""
    is_gunicorns = mutant.broken and answer.headers.get("content-type", "").startswith("text/html")
    # What a server that does not know a transfer coding should answer (RFC 9112, 6.1).
    if answer.status >= 500 and not (is_gunicorns and answer.status == 501):
        return "a server's error"
    if answer.status < 400 or is_gunicorns or mutant.request.startswith(b"HEAD"):
        return ""
    try:
        return "" if answer.error and len(answer.text.strip()) <= _LONGEST else "a long answer"
    except (AssertionError, ValueError, KeyError):
        return "an undocumented answer"


def _shown(mutant: Mutant) -> str:
    head, _, body = mutant.request.partition(b"\r\n\r\n")
    return f"{head[:300]!r} {body[:200]!r}"
