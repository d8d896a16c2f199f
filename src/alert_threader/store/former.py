"""The first release's store: a document, and over it what its journals say. Only read here, and taken over once.

A journal's line is ``CRC NUMBER CHANGES``, CHANGES being ``{key: record, …}`` with null for a dropped thread. The CRC
covers the journal's name and the line's number too. The first line, number 0, names the journal and the one it goes on
from. The document names its journal; a second one was begun while a new document was written, which would have named
that. A journal that the document holds already is passed over; any other belongs to another document.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from alert_threader.store.document import Document

_changes = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: What stands for the record of a thread that was dropped.
_NONE = b"null"


class Recovered(msgspec.Struct, frozen=True):
    """A document and what changed since; ``lost`` lines of the journals ``used`` could not be read.

    ``strange`` are the journals of another document.
    """

    document: Document
    changes: dict[str, msgspec.Raw]
    used: list[Path]
    lost: int
    strange: list[Path]

    def records(self) -> Iterator[tuple[str, msgspec.Raw]]:
        """Every record as it is now, by key."""
        yield from ((key, raw) for key, raw in self.document.records.items() if key not in self.changes)
        yield from ((key, raw) for key, raw in self.changes.items() if bytes(raw) != _NONE)


class _Head(msgspec.Struct, frozen=True):
    """A journal's first line: its name, and that of the journal it goes on from, empty where there is none."""

    journal: str
    after: str


class _Scanned(msgspec.Struct, frozen=True):
    """What could be read of a journal: its head, the changes of each line, and how many lines before the last are lost.

    A last line that is cut off is no loss: whoever sent it got no answer.
    """

    head: _Head
    lines: list[bytes]
    lost: int


def journals_of(path: Path) -> tuple[Path, Path]:
    """The names of a document's journal, and of the one that goes on from it while a new document is written."""
    return path.with_name(f"{path.name}.journal"), path.with_name(f"{path.name}.journal.next")


def merge(path: Path, found: Document | None) -> Recovered:
    """What the journals beside a document say; where the document itself is damaged (None), all that they say.

    Raises OSError.
    """
    scans = {each: _scan(each) for each in journals_of(path)}
    readable = {scan.head.journal: (each, scan) for each, scan in scans.items() if scan is not None}
    earlier = {scan.head.journal: scan.head.after for _, scan in readable.values()}
    later = {after: name for name, after in earlier.items()}
    first = next((name for name, after in earlier.items() if after not in earlier), "")
    known = found or Document(first, "", {})
    names = list(_chain(known.journal, later)) if known.journal in readable else []
    used = [readable[name] for name in names]
    held = set(_chain(known.previous, earlier))
    changes: dict[str, msgspec.Raw] = {}
    for _, scan in used:
        for line in scan.lines:
            changes.update(_changes.decode(line))
    strange = [each for name, (each, scan) in readable.items() if scan.lines and name not in {*names, *held}]
    strange += [each for each, scan in scans.items() if scan is None and _has_content(each)]
    return Recovered(known, changes, [each for each, _ in used], sum(scan.lost for _, scan in used), strange)


def _scan(path: Path) -> _Scanned | None:
    """Read a journal; None where there is none, or its first line cannot be read."""
    try:
        first, *rest = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    checked = _checked(first, 0)
    if checked is None:
        return None
    try:
        head = msgspec.json.decode(checked[1], type=_Head)
    except msgspec.MsgspecError:
        return None
    lines: list[bytes] = []
    seed, last, lost = zlib.crc32(head.journal.encode()), 0, 0
    for line in rest:
        found = _checked(line.strip(b"\0"), seed)
        if found is not None and found[0] > last:
            lost += found[0] - last - 1
            last = found[0]
            lines.append(found[1])
    return _Scanned(head, lines, lost)


def _checked(line: bytes, seed: int) -> tuple[int, bytes] | None:
    """The number and the body of a line, or None where it is not this journal's."""
    crc, _, rest = line.partition(b" ")
    number, _, body = rest.partition(b" ")
    if len(crc) != 8 or not number.isdigit() or b"%08x" % zlib.crc32(body, zlib.crc32(number, seed)) != crc:
        return None
    return int(number), body


def _has_content(path: Path) -> bool:
    """Whether a file ever had a whole line: one that was just being made holds nothing."""
    return path.exists() and b"\n" in path.read_bytes()


def _chain(first: str, following: Mapping[str, str]) -> Iterator[str]:
    """A name, the one that follows it, and so on: never more than there are."""
    each: str | None = first
    for _ in range(len(following) + 1):
        if each:
            yield each
            each = following.get(each)
