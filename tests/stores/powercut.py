"""Plays power cuts: from the log of ``powercut.c`` to the folder that a disk could hold after the power is gone.

What was synced is there. Of what was written to a file since, a disk may have kept nothing, all, or any of it, the last
piece torn between two sectors. Names are durable when the folder is synced; of later changes of names any first part
may have been kept, in order, as journalling file systems do it.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512


class Operation(NamedTuple):
    """One line of the log."""

    kind: str
    file: int
    number: int
    data: bytes


def build(folder: Path) -> Path:
    """Build the library that records. Raises FileNotFoundError where there is no C compiler."""
    library = folder / "powercut.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, timeout=60)
    return library


def record(library: Path, folder: Path, log: Path, *workload: str, drop: str = "") -> list[Operation]:
    """Run a workload, a Python program and its arguments, and return what it asked of the kernel for a folder."""
    environ = {**os.environ, "LD_PRELOAD": str(library), "POWERCUT_FOLDER": str(folder), "POWERCUT_LOG": str(log)}
    if drop:
        environ["POWERCUT_DROP"] = drop
    subprocess.run([sys.executable, *workload], env=environ, check=True, timeout=120)
    return list(_parsed(log.read_bytes()))


def _parsed(text: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(text):
        end = text.index(b"\n", at)
        kind, file, number, length = text[at:end].decode().split(" ")
        at = end + 1 + int(length)
        yield Operation(kind, int(file), int(number), text[end + 1 : at])


@dataclass
class _File:
    """A file's content that is on the disk, and what was done to it since the last sync."""

    content: bytes = b""
    since: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is on the disk now."""
        self.content, self.since = _applied(self.content, self.since), []

    def after_a_cut(self, chance: random.Random) -> bytes:
        """What the disk may hold."""
        how = chance.choice(("nothing", "all", "some", "torn"))
        kept = {"nothing": [], "all": self.since, "torn": self.since}.get(how)
        if kept is None:
            kept = [each for each in self.since if chance.random() < 0.5]
        if how == "torn" and kept and kept[-1].kind == "W":
            last = kept[-1]
            data = last.data[: SECTOR * chance.randrange(len(last.data) // SECTOR + 1)]
            kept = [*kept[:-1], last._replace(data=data)]
        return _applied(self.content, kept)


def _applied(content: bytes, operations: list[Operation]) -> bytes:
    changed = bytearray(content)
    for each in operations:
        if each.kind == "T":
            del changed[each.number :]
            changed.extend(bytes(each.number - len(changed)))
        else:
            changed.extend(bytes(max(each.number - len(changed), 0)))
            changed[each.number : each.number + len(each.data)] = each.data
    return bytes(changed)


class Disk:
    """A disk that follows a log, operation by operation."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._since: list[Operation] = []

    def do(self, operation: Operation) -> None:
        """Go on by one operation."""
        match operation.kind:
            case "W" | "T":
                self._files.setdefault(operation.file, _File()).since.append(operation)
            case "S":
                self._files.setdefault(operation.file, _File()).sync()
            case "D":
                self._names, self._since = _renamed(self._names, self._since), []
            case "A":
                self.words += operation.data.decode().split()
            case _:
                self._since.append(operation)

    def lay_out(self, folder: Path, seed: int) -> None:
        """Write what the disk may hold after a cut now into a folder, which is made."""
        chance = random.Random(seed)
        kept = chance.choice((0, chance.randrange(len(self._since) + 1)))
        folder.mkdir()
        for name, file in _renamed(self._names, self._since[:kept]).items():
            (folder / name).write_bytes(self._files.get(file, _File()).after_a_cut(chance))


def _renamed(names: dict[str, int], operations: list[Operation]) -> dict[str, int]:
    changed = dict(names)
    for each in operations:
        first, _, later = each.data.decode().partition("\0")
        if each.kind == "N":
            changed[first] = each.file
        elif each.kind == "U":
            changed.pop(first, None)
        elif each.kind == "L":
            changed[later] = changed[first]
        elif first in changed:
            changed[later] = changed.pop(first)
    return changed
