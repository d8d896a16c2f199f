"""Ten minutes of everything at once, after which the service uses no more than it did before."""

import random
import time
from collections.abc import Iterator
from itertools import cycle
from statistics import median

from chaos.plan import Plan
from chaos.stage import conclude, stage
from chaos.traffic import Traffic, groups
from chaos.usage import Usage, usage_of
from chaos.verdict import Verdict
from harness.scripts import Step
from harness.service import Background, Service, wait_for
from harness.webhooks import FIRED, RESOLVED

#: Threads that fire and resolve again and again. A closed thread is kept for an hour: with other names each time,
#: memory would have to grow.
_NAMES, _INSTANCES = 24, 4
_SENDERS = 4
#: New names come as well, but this rarely: each thread that is kept has some kilobytes.
_NEW = 0.02
_PAUSE = 0.12
#: How often the usage is read, in seconds.
_SAMPLE = 0.5
#: By how much the median of the last fifth may exceed that of the second, in MB. About 10,000 webhooks lie between the
#: two: a leak of a kilobyte for each would be 10. The threads that came new account for less than 1, and what the
#: allocator keeps for 32 threads varies by 2.
_GROWTH = 4.0
#: A short run is over before the allocator has seen the largest of everything.
_GROWTH_QUICK = 16.0
#: The same for open files and threads, which come and go with the connections of a moment.
_MORE = 8


def load(plan: Plan) -> Verdict:
    """Ten minutes of new, repeated, resolved and duplicate alerts and of reading, with stable memory."""
    seconds = plan.lasting(600, 10)
    scripts = [_mixed(number, random.Random(plan.seed + number)) for number in range(_SENDERS)]
    with stage(plan, SLACK_TIMEOUT="5s", LOG_LEVEL="WARNING") as here:
        wait_for(lambda: here.service.workers, 5)
        worker = here.service.workers[0]
        samples: list[Usage] = []
        until = time.monotonic() + seconds
        reader = Background(lambda: _read(here.service, until))
        with Traffic(here.service, seed=plan.seed, pause=_PAUSE, scripts=scripts) as traffic:
            while time.monotonic() < until and not traffic.is_over:
                samples.append(usage_of(worker))
                time.sleep(_SAMPLE)
        reads = reader.finish()
        verdict = conclude(traffic, here.workspace, here.service)
        if here.service.workers != [worker]:
            verdict.wrong.append("the worker crashed, and another one took its place")
        _judge(verdict, samples, _GROWTH_QUICK if seconds < 300 else _GROWTH)
        verdict.figures["reads"] = reads
        return verdict


def _mixed(number: int, chance: random.Random) -> Iterator[Step]:
    """What one sender says: the same threads again and again, and now and then a new one."""
    new = groups(f"New{number}", chance)
    for step in _again_and_again(number, chance):
        yield step
        if chance.random() < _NEW:
            yield next(new)


def _again_and_again(number: int, chance: random.Random) -> Iterator[Step]:
    """Threads whose alerts change by chance, without end; some notifications come twice."""
    firing: dict[str, set[str]] = {f"Steady{number}x{n}": set() for n in range(_NAMES // _SENDERS)}
    for name in cycle(firing):
        changed = {f"db{n}" for n in range(_INSTANCES) if chance.random() < 0.4} or {"db0"}
        states = {each: RESOLVED if each in changed else FIRED for each in sorted(firing[name])}
        states |= dict.fromkeys(sorted(changed - firing[name]), FIRED)
        firing[name] ^= changed
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            yield name, states


def _read(service: Service, until: float) -> int:
    """Ask for what can be read, until a time; return how often."""
    reads = 0
    for path in cycle(("/health", "/stats", "/cache")):
        if time.monotonic() >= until:
            break
        answer = service.get(path)
        assert answer.status == 200, answer
        reads += 1
        time.sleep(2 * _PAUSE)
    return reads


def _judge(verdict: Verdict, samples: list[Usage], growth: float) -> None:
    """Compare the end with what was there once everything had been used."""
    fifth = max(len(samples) // 5, 1)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    memory, files, threads = (
        [median(getattr(sample, name) for sample in part) for part in (early, late)] for name in Usage._fields
    )
    if memory[1] - memory[0] > growth:
        verdict.wrong.append(f"memory grew from {memory[0]:.1f} to {memory[1]:.1f} MB")
    for what, (before, after) in (("open files", files), ("threads", threads)):
        if after - before > _MORE:
            verdict.wrong.append(f"there were {before:.0f} {what}, and {after:.0f} in the end")
    verdict.figures |= {
        "MB of memory": round(memory[1], 1),
        "MB more than at first": round(memory[1] - memory[0], 1),
        "open files": files[1],
        "threads": threads[1],
    }
