"""One request as it arrives: where it ends, and gunicorn's parser on what is there. No socket, no clock."""

import re
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader

#: The largest head (request line and headers) in bytes. Proxies in front allow about as much.
MAX_HEAD = 64 * 1024

_END_OF_HEAD = b"\r\n\r\n"
#: gunicorn refuses a head with such a line end as soon as it sees it: its end would never come.
_BARE_LF = re.compile(rb"(?<!\r)\n")
#: https://www.rfc-editor.org/rfc/rfc8446#section-5.1: how a connection with TLS begins, and no request.
_TLS_HANDSHAKE = b"\x16"
#: https://www.rfc-editor.org/rfc/rfc9112#section-7.1: a chunk's size, and extensions that nobody uses.
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})(?:[ \t]*;[^\r\n]*)?")
_MAX_CHUNK_LINE = 1024
#: What the reader of a chunked body may ask for at once, beyond the limit at which it stops.
_READ_AHEAD = 64 * 1024


class TlsError(ParseException):  # type: ignore[misc]  # gunicorn has no types
    """TLS was sent to a port that speaks plain HTTP."""


class Arrival:
    """One request. ``take`` is called with what has arrived until it returns True, then ``request`` can be answered."""

    def __init__(self, cfg: Any, client: Any, number: int, max_body: int) -> None:
        """Take gunicorn's settings, the client's address, which request of its connection it is, and a size in bytes.

        A body that is larger is not waited for: the application refuses it.
        """
        self._cfg = cfg
        self._client = client
        self._number = number
        self._max_body = max_body
        self._source = _Source()
        self._searched = 0
        self._is_whole = False
        #: Where the next chunk begins, and how much the chunks before it hold.
        self._chunk_at = 0
        self._in_chunks = 0
        #: gunicorn's request, once its head is there.
        self.request: Any = None

    @property
    def size(self) -> int:
        """How many bytes of a whole request wait to be read."""
        return self._source.size

    def take(self, received: bytearray) -> bool:
        """Move what belongs to this request out of ``received``; return whether all of it is there.

        Raises gunicorn's ParseException, and NoMoreData, for what is no valid request; TlsError for TLS.
        """
        if not self._is_whole:
            self._is_whole = (self.request is not None or self._take_head(received)) and self._take_body(received)
        return self._is_whole

    def cut_off(self, received: bytearray) -> None:
        """Make do with what is there: nothing more comes. Reading the body says so."""
        self._is_whole = self._give_up(received)

    def _take_head(self, received: bytearray) -> bool:
        if received.startswith(_TLS_HANDSHAKE):
            raise TlsError
        end = received.find(_END_OF_HEAD, max(self._searched - len(_END_OF_HEAD) + 1, 0))
        if max(end, 0 if end >= 0 else len(received)) > MAX_HEAD:
            raise LimitRequestHeaders(f"more than {MAX_HEAD} bytes")
        if end < 0 and not _BARE_LF.search(received, self._searched):
            self._searched = len(received)
            return False
        self._source.add(_cut(received, end + len(_END_OF_HEAD) if end >= 0 else len(received)))
        self.request = Request(self._cfg, SocketUnreader(self._source), self._client, self._number)
        return True

    def _take_body(self, received: bytearray) -> bool:
        if isinstance(self.request.body.reader, ChunkedReader):
            return self._take_chunks(received)
        length: int = self.request.body.reader.length
        if length > self._max_body:
            return self._give_up(received)
        if len(received) < length:
            return False
        self._source.add(_cut(received, length))
        return True

    def _take_chunks(self, received: bytearray) -> bool:
        """Skip whole chunks. The chunks themselves are read by gunicorn, once all of them are there."""
        # A chunk of one byte has six: with its data alone a sender could fill the memory.
        if len(received) > 2 * self._max_body + _READ_AHEAD:
            return self._give_up(received)
        while (line_end := received.find(b"\r\n", self._chunk_at, self._chunk_at + _MAX_CHUNK_LINE)) >= 0:
            line = _CHUNK_SIZE.fullmatch(received, self._chunk_at, line_end)
            if line is None:
                return self._give_up(received)
            size = int(line[1], 16)
            if size == 0:
                return self._take_last_chunk(received, line_end)
            data_at = line_end + 2
            if self._in_chunks + min(size, len(received) - data_at) > self._max_body + _READ_AHEAD:
                return self._give_up(received)
            end = data_at + size
            if len(received) < end + 2:
                return False
            if received[end : end + 2] != b"\r\n":
                return self._give_up(received)
            self._in_chunks += size
            self._chunk_at = end + 2
        return len(received) - self._chunk_at >= _MAX_CHUNK_LINE and self._give_up(received)

    def _take_last_chunk(self, received: bytearray, line_end: int) -> bool:
        # Trailers may follow, and an empty line ends them as it ends a head.
        end = received.find(_END_OF_HEAD, line_end)
        if end < 0:
            return len(received) - line_end > MAX_HEAD and self._give_up(received)
        self._source.add(_cut(received, end + len(_END_OF_HEAD)))
        return True

    def _give_up(self, received: bytearray) -> bool:
        """Hand over what is there: too large or malformed, which its reader says. Where it ends is not known."""
        self.request.force_close()
        self._source.add(_cut(received, len(received)))
        return True


class _Source:
    """What gunicorn's parser reads from in place of a socket: memory, so that it never waits. At its end, nothing."""

    def __init__(self) -> None:
        self._data = memoryview(b"")

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        # The parser has read all of the head before the body is added.
        self._data = memoryview(data)

    def recv(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return bytes(piece)


def _cut(received: bytearray, length: int) -> bytes:
    """Remove the first bytes and return them."""
    with memoryview(received) as view:
        piece = bytes(view[:length])
    del received[:length]
    return piece
