"""What a crashed process left in a database's log (SQLite's WAL), looked at before SQLite takes it in.

SQLite reads the log up to its first frame that is not whole, and forgets what follows without a word. After a crash
that is right for the last commit: nobody was answered that it is durable. What was committed before it was synced, so
where that is not whole, the disk or somebody's hand has damaged it. The format: https://sqlite.org/fileformat2.html,
section 4.
"""

import struct
import sys
from array import array
from collections.abc import Iterator

_HEADER = 32
_FRAME_HEADER = 24
#: The first number of a log says in which order of bytes its checksums are made.
_LITTLE_ENDIAN, _BIG_ENDIAN = 0x377F0682, 0x377F0683
_MASK = 0xFFFFFFFF

_Checksum = tuple[int, int]


def damage(log: bytes) -> str:
    """What is damaged in a log, in a few words; empty where nothing is known to be."""
    if len(log) <= _HEADER:
        return ""
    # The header is synced before the first frame is written.
    magic, _, page, _, *salts, first, second = struct.unpack(">8I", log[:_HEADER])
    if magic not in (_LITTLE_ENDIAN, _BIG_ENDIAN) or not page:
        return "its header is damaged"
    if _checksum(log[: _HEADER - 8], magic, (0, 0)) != (first, second):
        return "its header is damaged"
    lost = sum(_unread_commits(log, magic, page, salts, (first, second)))
    # The last one may be one that a crash cut off.
    return f"{lost} commits cannot be read" if lost > 1 else ""


def _unread_commits(log: bytes, magic: int, page: int, salts: list[int], checksum: _Checksum) -> Iterator[bool]:
    """Whether each frame from the first one that is not whole ends a commit of this log."""
    is_whole = True
    for start in range(_HEADER, len(log) - _FRAME_HEADER - page + 1, _FRAME_HEADER + page):
        data = start + _FRAME_HEADER
        _, size, *found, first, second = struct.unpack(">6I", log[start:data])
        is_ours = found == salts  # what an earlier log left behind has other salts
        if is_whole and is_ours:
            checksum = _checksum(log[start : start + 8], magic, checksum)
            checksum = _checksum(log[data : data + page], magic, checksum)
        is_whole = is_whole and is_ours and checksum == (first, second)
        yield not is_whole and is_ours and size > 0


def _checksum(data: bytes, magic: int, before: _Checksum) -> _Checksum:
    words = array("I", data)
    if (magic == _BIG_ENDIAN) != (sys.byteorder == "big"):
        words.byteswap()
    first, second = before
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
