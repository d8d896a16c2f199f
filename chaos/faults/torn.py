"""What stands in the store's files after a crash of the machine, a bad disk or a careless hand."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from chaos.plan import Plan
from chaos.stage import conclude, go_on, stage, wait_until_delivered
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.service import Service

#: For how long threads come and go before each damage, in seconds.
_FILLING = 1.5
#: With how many of the damages a short run is content.
_QUICK = 3
#: What holds threads, beside each other: the database, its log, and the readable copy.
_NAMES = ("threads.db", "threads.db-wal", "threads.json")


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
    verdict.figures = {"damages": done, "threads whose record was harmed": len(again), **verdict.figures}
    return verdict


class _Harm(NamedTuple):
    """What a damage did, and what the service should have said about it and did not."""

    words: str
    again: set[str]
    unsaid: list[str]


def _damage(service: Service, number: int, name: str, chance: random.Random) -> _Harm:
    """Once everything is delivered, kill the service, damage one of its files, and start it again."""
    wait_until_delivered([service])
    before = service.stored()
    service.kill()
    file = _files(service)[number]
    # Without what is only allocated in advance: nothing stands there that could be damaged.
    content = file.read_bytes().rstrip(b"\0")
    file.write_bytes(_DAMAGES[name](content, chance))
    service.start()
    wait_until_delivered([service])
    after = service.stored()
    # Gone, or as it was some time ago: what was delivered since is delivered again, or the thread begins anew.
    harmed = {key for key, record in before.items() if not _is_same(record, after.get(key, {}))}
    problems = service.health["problems"]
    what = f"{file.name} ({len(content)} bytes), {name}"
    return _Harm(
        f"{what}: {len(harmed)} of {len(before)} threads are harmed; {problems}",
        harmed,
        [f"{what}: {fault}" for fault in _unsaid(service, problems, harmed)],
    )


def _is_same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a record says of its alerts what it said, and where they are shown."""
    return all(before.get(part) == after.get(part) for part in ("ts", "alerts", "untold", "attempt"))


def _files(service: Service) -> list[Path]:
    """The files that hold the threads."""
    files = [service.store.parent / name for name in _NAMES]
    return [file for file in files if file.exists()]


def _unsaid(service: Service, problems: list[str], harmed: set[str]) -> list[str]:
    """What is not said of threads that are gone, or are as they were before."""
    if not harmed:
        return []
    said = "\n".join(problems)
    kept = [file for file in service.store.parent.iterdir() if ".damaged-" in file.name or ".replaced-" in file.name]
    missing = {
        "/health does not say it": any(word in said for word in ("damaged", "is not the service's own copy")),
        "the log does not say it": any(
            " ERROR " in line and str(service.store.parent) in line for line in service.log.splitlines()
        ),
        "the damaged file is not kept where the service says": any(str(file) in said for file in kept),
    }
    return [f"{fault} ({len(harmed)} threads)" for fault, is_said in missing.items() if not is_said]


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
    """One record says what no record says; all around it is whole, and where it was."""
    status = b'"status":"'
    places = [found.end() for found in re.finditer(status, content)]
    if not places:
        return content
    place = chance.choice(places)
    return content[:place] + b"?" + content[place + 1 :]


_DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "one record": _record,
    "cut in the middle": _half,
    "zeros at its end": _zeros,
    "empty": lambda _content, _chance: b"",
    "cut at its end": _end,
    "a few bits": _flips,
    "random bytes": lambda content, chance: chance.randbytes(len(content)),
}
