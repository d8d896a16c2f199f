"""The file store's journal: what was committed since its document was written, a line for each commit.

A line is ``CRC NUMBER CHANGES``. CHANGES is JSON, ``{key: record, …}``: whole records, null for a dropped thread, so
that a line which the document holds already changes nothing. The CRC covers the journal's name and the line's number
too: no line of another journal, and none in another place, is ever taken for one of this. Behind the last line there
are zeros: a synced write into blocks that were written before takes two thirds of the time of any other. The first
line, number 0, says which journal this is and which one it goes on from.
"""

import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

#: The zeros behind a line that does not fit into those before it, in bytes: as many as are in use, within these bounds.
_FEWEST_ZEROS = 64 * 1024
_MOST_ZEROS = 4 * 1024 * 1024


class Head(msgspec.Struct, frozen=True):
    """A journal's first line: its name, and that of the journal it goes on from, empty where there is none."""

    journal: str
    after: str


class Scanned(msgspec.Struct, frozen=True):
    """What could be read of a journal: its head, the changes of each line, and how many lines before the last are lost.

    A last line that is cut off is no loss: whoever sent it has no answer.
    """

    head: Head
    lines: list[bytes]
    lost: int


def changes(lines: Iterable[bytes]) -> bytes:
    """The changes of one commit, of the document's lines (``"key": record``)."""
    return b"{" + b", ".join(lines) + b"}"


def scan(text: bytes) -> Scanned | None:
    """Read a journal; None where its first line cannot be read."""
    first, *rest = text.split(b"\n")
    checked = _checked(first, 0)
    if checked is None:
        return None
    try:
        head = msgspec.json.decode(checked[1], type=Head)
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
    return Scanned(head, lines, lost)


class Journal:
    """A journal that is written. Whatever was in the file is gone; one call at a time."""

    def __init__(self, path: Path, name: str, after: str = "") -> None:
        """Make the file; its name becomes durable when the folder is synced. Raises OSError."""
        self.path = path
        self.name = name
        #: False after a sync that failed: what the disk holds is unknown then, and stays so whatever the next one says
        #: (https://www.postgresql.org/docs/current/wal-reliability.html, "fsync").
        self.trusted = True
        self._seed = 0
        self._number = -1
        self._end = self._size = 0
        # Labels can be confidential: nobody else reads the file.
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        # Some file systems count no names; there one that was deleted is not noticed.
        self._links_unknown = os.fstat(self._descriptor).st_nlink == 0
        try:
            self.append(msgspec.json.encode(Head(name, after)))
        except BaseException:
            self.close()
            path.unlink(missing_ok=True)
            raise
        self._seed = zlib.crc32(name.encode())

    @property
    def is_there(self) -> bool:
        """Whether the file still has a name: what is written into one that was deleted is lost."""
        return self._links_unknown or os.fstat(self._descriptor).st_nlink > 0

    def append(self, body: bytes) -> None:
        """Write a line; on return it is durable.

        Raises OSError: then the line is not there, and the next one takes its place, unless ``trusted`` is false now.
        """
        line = _framed(self._number + 1, body, self._seed)
        end = self._end + len(line)
        try:
            self._write(line if end <= self._size else line + bytes(min(max(end, _FEWEST_ZEROS), _MOST_ZEROS)), end)
        except OSError:
            self._cut_back()
            raise
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self.trusted = False
            raise
        self._number += 1
        self._end = end

    def rename(self, path: Path) -> None:
        """Give the file another name. Raises OSError."""
        self.path.replace(path)
        self.path = path

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes, end: int) -> None:
        """Write all up to ``end``, and of the zeros behind it what there is room for."""
        position = self._end
        view = memoryview(data)
        while position < end:
            written = os.pwrite(self._descriptor, view, position)
            view = view[written:]
            position += written
        self._size = max(self._size, position)

    def _cut_back(self) -> None:
        self.trusted = False
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._end)
            self._size = self._end
            self.trusted = True


def _framed(number: int, body: bytes, seed: int) -> bytes:
    return b"%08x %d %b\n" % (_crc(b"%d" % number, body, seed), number, body)


def _checked(line: bytes, seed: int) -> tuple[int, bytes] | None:
    """The number and the body of a line, or None where it is none of this journal's."""
    crc, _, rest = line.partition(b" ")
    number, _, body = rest.partition(b" ")
    if len(crc) != 8 or not number.isdigit() or b"%08x" % _crc(number, body, seed) != crc:
        return None
    return int(number), body


def _crc(number: bytes, body: bytes, seed: int) -> int:
    return zlib.crc32(body, zlib.crc32(number, seed))
