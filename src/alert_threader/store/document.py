"""The readable document of threads: ``{"version": 2, "threads": {key: {"ts": …, …}}}``, one thread a line.

The first release reads it too, so the version stays 2: records tell by themselves what they are (``threads.schema``).
Also read: that release's documents, which name a journal, and the flat ``{key: ts}`` of installations before it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.threads import AlertThread
from alert_threader.threads.schema import decode, encode

#: The newest version of the document that is known.
VERSION = 2
#: Lines that are written at a time.
_PIECE = 200

_document = msgspec.json.Decoder(dict[str, msgspec.Raw])
_name = msgspec.json.Decoder(str)


class Document(msgspec.Struct, frozen=True):
    """A document as it was read: the names of its journals, and its records, still encoded, by key.

    For one that names none (an export, a backup), a digest of it is the name.
    """

    journal: str
    previous: str
    records: dict[str, msgspec.Raw]
    is_named: bool = True


def load(text: bytes, channel: str, now: float) -> Document:
    """Read a document.

    ``channel`` is the one that the threads of a flat file belong to, ``now`` (seconds since the epoch) the time they
    are taken to be last heard of. Raises StoreDamagedError if it is no document at all, and StoreError if a newer
    version of this program wrote it.
    """
    try:
        fields = _document.decode(text)
        if "threads" not in fields:
            flat = msgspec.json.decode(text, type=dict[str, str])
            records = {key: _imported(key, ts, channel, now) for key, ts in flat.items() if ts}
            return Document(_digest(text), "", records, is_named=False)
        version = msgspec.json.decode(fields.get("version", msgspec.Raw(b"null")), type=int)
        records = msgspec.json.decode(fields["threads"], type=dict[str, msgspec.Raw])
        names = [_name.decode(fields.get(name, msgspec.Raw(b'""'))) for name in ("journal", "previous")]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamagedError(f"is not a document of threads ({error})") from error
    if version > VERSION:
        raise StoreError(f"was written by a newer version (format {version}, this one knows {VERSION}): start that one")
    return Document(names[0] or _digest(text), names[1], records, is_named=bool(names[0]))


def thread_of(record: msgspec.Raw) -> AlertThread | None:
    """The thread of a record; None where it cannot be read."""
    try:
        return decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def lines(records: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Encoded records as lines of a document, without the lines' ends."""
    return (msgspec.json.encode(key) + b": " + record for key, record in records)


def dump(records: Iterator[bytes]) -> Iterator[bytes]:
    """The document of these lines, in pieces: as one text it would take its size in memory once more."""
    yield b'{"version": %d, "threads": {\n' % VERSION
    head = b""
    while piece := list(islice(records, _PIECE)):
        yield head + b",\n".join(piece)
        head = b",\n"
    yield b"\n}}\n"


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _imported(key: str, ts: str, channel: str, now: float) -> msgspec.Raw:
    thread = AlertThread(key=key, channel=channel, ts=ts, opened_at=now, changed_at=now, seen_at=now)
    return msgspec.Raw(encode(thread))
