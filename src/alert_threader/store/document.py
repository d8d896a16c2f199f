"""The file store's JSON document: ``{"version": 2, "threads": {key: {"ts": …, …}}}``, one thread a line.

Before the threads it names its journal, which holds what was committed since, and the previous one, which it holds
itself. Also read: the flat ``{key: ts}`` of installations before version 2.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.threads import AlertThread
from alert_threader.threads.record import SCHEMA

#: Lines that are written at a time.
_PIECE = 200

_decoder = msgspec.json.Decoder(AlertThread)
_document = msgspec.json.Decoder(dict[str, msgspec.Raw])
_name = msgspec.json.Decoder(str)


class Document(msgspec.Struct, frozen=True):
    """A document as it was read: the names of its journals, and its records, still encoded, by key.

    For one that names none (an older version's, a backup), a digest of it is the name.
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
    if version > SCHEMA:
        raise StoreError(f"was written by a newer version (format {version}, this one knows {SCHEMA}): start that one")
    return Document(names[0] or _digest(text), names[1], records, is_named=bool(names[0]))


def thread_of(record: msgspec.Raw) -> AlertThread | None:
    """The thread of a record; None where it cannot be read."""
    try:
        return _decoder.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def encode(thread: AlertThread) -> bytes:
    """A thread as its line of the document, without the line's end."""
    return msgspec.json.encode(thread.key) + b": " + msgspec.json.encode(thread)


def dropped(key: str) -> bytes:
    """The line that says that a thread is no more."""
    return msgspec.json.encode(key) + b": null"


def decode(line: bytes) -> AlertThread:
    """The thread of a line that ``encode`` made."""
    # The key is a JSON string, in which every quote is escaped: the first '": {' ends it.
    return _decoder.decode(line[line.index(b'": {') + 3 :])


def dump(lines: Sequence[bytes], journal: str = "", previous: str = "") -> Iterator[bytes]:
    """The document of these lines, in pieces: as one text it would take its size in memory once more."""
    names = b""
    if journal:
        names = b'"journal": %b, "previous": %b, ' % (msgspec.json.encode(journal), msgspec.json.encode(previous))
    yield b'{"version": %d, %b"threads": {\n' % (SCHEMA, names)
    for start in range(0, len(lines), _PIECE):
        yield (b",\n" if start else b"") + b",\n".join(lines[start : start + _PIECE])
    yield b"\n}}\n"


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _imported(key: str, ts: str, channel: str, now: float) -> msgspec.Raw:
    thread = AlertThread(key=key, channel=channel, ts=ts, opened_at=now, changed_at=now, seen_at=now)
    return msgspec.Raw(msgspec.json.encode(thread))
