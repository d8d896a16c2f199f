"""What stands in the store's files after a crash of the machine, a bad disk or a careless hand."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chaos.plan import Plan
from chaos.stage import conclude, go_on, stage, wait_until_told
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from tests.e2e.harness import Service

#: For how long threads come and go before each damage, in seconds.
_FILLING = 1.5
#: With how many of the damages a short run is content.
_QUICK = 3
#: Files beside the store's own that hold no threads, or are none of its own any more.
_OTHERS = (".lock", ".tmp", ".damaged-", ".unused-", ".replaced-")


def torn_file(plan: Plan) -> Verdict:
    """Each file of the file store is cut off, garbled, emptied, or damaged in a record, before a start."""
    chance = random.Random(plan.seed)
    again: set[str] = set()
    faults: list[str] = []
    done = 0
    with stage(plan) as here:
        traffic = Traffic(here.service, seed=plan.seed)
        damages = list(_DAMAGES)
        for name in damages[:_QUICK] if plan.quick else damages * 3:
            # As many as there are at that moment: a file may come and go.
            number = 0
            while number < len(_files(here.service)) or not number:
                with traffic:
                    go_on(traffic, _FILLING)
                harm = _damage(here.service, number, name, chance)
                plan.say(harm.words)
                faults += harm.unsaid
                again |= harm.again
                number, done = number + 1, done + 1
        with traffic:
            go_on(traffic, _FILLING)
        verdict = conclude(traffic, here.workspace, here.service, again=sorted(again))
    verdict.wrong += faults
    verdict.figures = {"damages": done, "threads whose record was destroyed": len(again), **verdict.figures}
    return verdict


class _Harm(NamedTuple):
    """What a damage did, and what the service should have said about it and did not."""

    words: str
    again: set[str]
    unsaid: list[str]


def _damage(service: Service, number: int, name: str, chance: random.Random) -> _Harm:
    """Once all is told, kill the service, damage one of its files, and start it again."""
    wait_until_told([service])
    before = _threads(service)
    service.kill()
    file = _files(service)[number]
    # Without what is only allocated in advance: nothing stands there that could be damaged.
    content = file.read_bytes().rstrip(b"\0")
    file.write_bytes(_DAMAGES[name](content, chance))
    service.start()
    wait_until_told([service])
    after = _threads(service)
    gone = {key for key, ts in before.items() if after.get(key) != ts}
    problems = service.health["problems"]
    # What stands in a log of changes may have gone back to an earlier state with the same ts.
    touched = {key for key in before if key.encode() in content} if problems and file != service.store else set()
    what = f"{file.name} ({len(content)} bytes), {name}"
    return _Harm(
        f"{what}: {len(gone)} of {len(before)} threads are gone; {problems}",
        gone | touched,
        [f"{what}: {fault}" for fault in _unsaid(service, problems, gone)],
    )


def _files(service: Service) -> list[Path]:
    """The files that hold the threads."""
    files = sorted(service.store.parent.glob(f"{service.store.name}*"))
    return [file for file in files if not any(other in file.name for other in _OTHERS)]


def _threads(service: Service) -> dict[str, str]:
    threads: dict[str, str] = service.get("/cache").json["threads"]
    return threads


def _unsaid(service: Service, problems: list[str], gone: set[str]) -> list[str]:
    """What is not said of threads that are gone."""
    if not gone:
        return []
    said = "\n".join(problems)
    kept = [file for file in service.store.parent.iterdir() if ".damaged-" in file.name]
    missing = {
        "/health does not say it": "damaged" in said and "lost" in said,
        "the log does not say it": any(" ERROR " in line and "damaged" in line for line in service.log.splitlines()),
        "the damaged file is not kept where the service says": any(str(file) in said for file in kept),
    }
    return [fault for fault, is_said in missing.items() if not is_said]


# -- the damages -----------------------------------------------------------------------------------------------------


def _half(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) // 4, max(len(content) * 3 // 4, 1))]


def _end(content: bytes, chance: random.Random) -> bytes:
    return content[: -chance.randint(1, 20)]


def _zeros(content: bytes, chance: random.Random) -> bytes:
    """The length was written to the disk, and its last block was not: what some file systems leave after a crash."""
    kept = chance.randrange(len(content) + 1)
    return content[:kept] + b"\0" * (len(content) - kept)


def _flips(content: bytes, chance: random.Random) -> bytes:
    """Some bits are wrong, so that it is no text any more.

    One that leaves JSON behind, another digit say, changes what a thread is: no reader of plain JSON can notice it.
    """
    garbled = bytearray(content)
    for _ in range(3):
        if garbled:
            garbled[chance.randrange(len(garbled))] ^= 0x80
    return bytes(garbled)


def _record(content: bytes, chance: random.Random) -> bytes:
    """One record says what no record says; all around it is whole."""
    lines = content.split(b"\n")
    number = chance.choice([n for n, line in enumerate(lines) if b'"status":"' in line] or [0])
    lines[number] = lines[number].replace(b'"status":"', b'"status":"un', 1)
    return b"\n".join(lines)


_DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "one record": _record,
    "cut in the middle": _half,
    "zeros at its end": _zeros,
    "empty": lambda _content, _chance: b"",
    "cut at its end": _end,
    "a few bits": _flips,
    "random bytes": lambda content, chance: chance.randbytes(len(content)),
}
