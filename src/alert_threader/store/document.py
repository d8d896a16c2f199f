"""The file store's JSON document: ``{"version": 2, "threads": {key: {"ts": …, …}}}``, one thread a line.

Also read: the flat ``{key: ts}`` of installations before version 2.
"""

from collections.abc import Iterator, Sequence

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.threads import AlertThread
from alert_threader.threads.record import SCHEMA

#: Lines that are written at a time.
_PIECE = 200

_decoder = msgspec.json.Decoder(AlertThread)
_document = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Loaded(msgspec.Struct, frozen=True):
    """The threads of a document, and the keys of those that could not be read."""

    threads: dict[str, AlertThread]
    damaged: list[str]


def load(text: bytes, channel: str, now: float) -> Loaded:
    """Read a document.

    ``channel`` is the one that the threads of a flat file belong to, ``now`` (seconds since the epoch) the time they
    are taken to be last heard of. Raises StoreDamagedError if it is no document at all, and StoreError if a newer
    version of this program wrote it.
    """
    try:
        fields = _document.decode(text)
        if "threads" not in fields:
            flat = msgspec.json.decode(text, type=dict[str, str])
            return Loaded({key: _imported(key, ts, channel, now) for key, ts in flat.items() if ts}, [])
        version = msgspec.json.decode(fields.get("version", msgspec.Raw(b"null")), type=int)
        records = msgspec.json.decode(fields["threads"], type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamagedError(f"is not a document of threads ({error})") from error
    if version > SCHEMA:
        raise StoreError(f"was written by a newer version (format {version}, this one knows {SCHEMA}): start that one")
    threads: dict[str, AlertThread] = {}
    damaged: list[str] = []
    for key, record in records.items():
        try:
            threads[key] = _decoder.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            damaged.append(key)
    return Loaded(threads, damaged)


def encode(thread: AlertThread) -> bytes:
    """A thread as its line of the document, without the line's end."""
    return msgspec.json.encode(thread.key) + b": " + msgspec.json.encode(thread)


def decode(line: bytes) -> AlertThread:
    """The thread of a line that ``encode`` made."""
    # The key is a JSON string, in which every quote is escaped: the first '": {' ends it.
    return _decoder.decode(line[line.index(b'": {') + 3 :])


def dump(lines: Sequence[bytes]) -> Iterator[bytes]:
    """The document of these lines, in pieces: as one text it would take its size in memory once more."""
    yield b'{"version": %d, "threads": {\n' % SCHEMA
    for start in range(0, len(lines), _PIECE):
        yield (b",\n" if start else b"") + b",\n".join(lines[start : start + _PIECE])
    yield b"\n}}\n"


def _imported(key: str, ts: str, channel: str, now: float) -> AlertThread:
    return AlertThread(key=key, channel=channel, ts=ts, opened_at=now, changed_at=now, seen_at=now)
