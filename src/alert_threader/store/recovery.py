"""What a file store holds: its document, and over it what its journals say. Nothing is written here.

The document names its journal. There is a second one while a new document is written: it goes on from the first, and
the new document will name it. A journal that the document holds already is passed over; any other belongs to another
document, which somebody has replaced.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from alert_threader.errors import StoreError
from alert_threader.store import document, journal
from alert_threader.store.document import Document
from alert_threader.threads import AlertThread

#: How often a reader tries again whose files are replaced while it reads, and the seconds in between.
_TRIES = 40
_PAUSE = 0.05

_changes = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: What stands for the record of a thread that was dropped.
_NONE = b"null"


class Recovered(msgspec.Struct, frozen=True):
    """A document and what changed since; ``lost`` lines of the journals ``used`` could not be read.

    ``strange`` are the journals of another document.
    """

    document: Document
    changes: dict[str, msgspec.Raw]
    #: The name of the last journal, of those that were used.
    newest: str
    used: list[Path]
    lost: int
    strange: list[Path]
    #: Whether the document alone says all of it.
    is_whole: bool

    def records(self) -> Iterator[tuple[str, msgspec.Raw]]:
        """Every record as it is now, by key."""
        yield from ((key, raw) for key, raw in self.document.records.items() if key not in self.changes)
        yield from ((key, raw) for key, raw in self.changes.items() if bytes(raw) != _NONE)


class Contents(msgspec.Struct, frozen=True):
    """The threads of a store, the keys of those that could not be read, and what else is wrong, a line each."""

    threads: dict[str, AlertThread]
    damaged: list[str]
    faults: list[str]
    #: The document itself where it names no journal, and so is all of the store; empty else.
    text: bytes


def journals_of(path: Path) -> tuple[Path, Path]:
    """The names of a document's journal, and of the one that goes on from it while a new document is written."""
    return path.with_name(f"{path.name}.journal"), path.with_name(f"{path.name}.journal.next")


def look(path: Path, channel: str, now: float) -> Contents:
    """Read a store that a service may be using; the arguments as for ``document.load``.

    Every change that was acknowledged before is in it. Raises OSError (FileNotFoundError where there is no document),
    StoreDamagedError and StoreError.
    """
    text, recovered = _settled(path, channel, now)
    threads = {key: document.thread_of(raw) for key, raw in recovered.records()}
    faults = [f"{each} belongs to another {path.name}" for each in recovered.strange]
    if recovered.lost:
        faults.append(f"{recovered.lost} changes in {recovered.used[0]} cannot be read")
    return Contents(
        {key: thread for key, thread in threads.items() if thread is not None},
        [key for key, thread in threads.items() if thread is None],
        faults,
        b"" if recovered.document.is_named else text,
    )


def _settled(path: Path, channel: str, now: float) -> tuple[bytes, Recovered]:
    """Read a store until no document was put in the place of the one that was read."""
    for last in range(_TRIES, 0, -1):
        before = path.stat()
        text = path.read_bytes()
        recovered = merge(path, document.load(text, channel, now))
        after = path.stat()
        is_same = (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        # What a service is just writing can look like a damaged line: one that stays so is one.
        if is_same and (last == 1 or not (recovered.lost or recovered.strange)):
            return text, recovered
        time.sleep(_PAUSE)
    raise StoreError("is replaced again and again: try once more")


def recover(path: Path, channel: str, now: float) -> Recovered:
    """Read a store that nobody is using. Raises as ``look`` does."""
    return merge(path, document.load(path.read_bytes(), channel, now))


def merge(path: Path, found: Document | None) -> Recovered:
    """What the journals beside a document say; where the document itself is damaged (None), all that they say.

    Raises OSError.
    """
    # The later one first: beside a running service it must not have what the earlier one was not yet read for.
    scans = {each: _scan(each) for each in reversed(journals_of(path))}
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
    paths = [each for each, _ in used]
    strange = [each for name, (each, scan) in readable.items() if scan.lines and name not in {*names, *held}]
    strange += [each for each, scan in scans.items() if scan is None and _has_content(each)]
    newest = names[-1] if names else known.journal
    lost = sum(scan.lost for _, scan in used)
    is_whole = found is not None and not changes and not lost
    return Recovered(known, changes, newest, paths, lost, strange, is_whole)


def _scan(path: Path) -> journal.Scanned | None:
    try:
        return journal.scan(path.read_bytes())
    except FileNotFoundError:
        return None


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
