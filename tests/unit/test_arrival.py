"""Where one request ends in what arrives, whatever pieces it arrives in."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from alert_threader.worker.arrival import MAX_HEAD, Arrival, TlsError

_CLIENT = ("127.0.0.1", 4711)
_MAX_BODY = 1000
_NEXT = b"GET /next HTTP/1.1\r\n\r\n"
_LONG = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
_CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

_WHOLE = {
    "no headers": (b"GET / HTTP/1.0\r\n\r\n", b""),
    "no body": (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    "an empty line first": (b"\r\nGET / HTTP/1.1\r\n\r\n", b""),
    "a body": (_LONG % (5, b"\r\n\r\n\n"), b"\r\n\r\n\n"),
    "an empty body": (_LONG % (0, b""), b""),
    "no chunks": (_CHUNKED + b"0\r\n\r\n", b""),
    "chunks": (_CHUNKED + b"5\r\n0\r\n\r\n\r\nA;x=y\r\n0123456789\r\n00\r\n\r\n", b"0\r\n\r\n0123456789"),
    "trailers": (_CHUNKED + b"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"a"),
}


def arrive(pieces: Iterable[bytes]) -> tuple[Arrival, bytearray, bool]:
    """Take pieces until a request is whole; also return what does not belong to it, and whether it is."""
    arrival, received = Arrival(Config(), _CLIENT, 1, _MAX_BODY), bytearray()
    for piece in pieces:
        received += piece
        if arrival.take(received):
            return arrival, received, True
    return arrival, received, False


@pytest.mark.parametrize("name", _WHOLE)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_pieces(name: str, size: int) -> None:
    """A request is whole with its last byte, not before, and what follows it is left."""
    sent, body = _WHOLE[name]
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert not arrive([sent[:-1]])[2]
    arrival, rest, is_whole = arrive([*pieces[:-1], pieces[-1] + _NEXT])
    assert is_whole
    assert arrival.request.body.read() == body
    assert rest == _NEXT
    assert not arrival.request.should_close() or arrival.request.version == (1, 0)


@pytest.mark.parametrize(
    "sent",
    [
        _LONG % (_MAX_BODY + 1, b""),
        _CHUNKED + b"20000\r\n" + b"x" * 0x12000,
        _CHUNKED + b"1\r\nx\r\n" * 30_000,
    ],
)
def test_too_large_to_wait_for(sent: bytes) -> None:
    """What is larger than any body may be is handed over at once, and its connection ends with it."""
    arrival, _, is_whole = arrive([sent])
    assert is_whole
    assert arrival.request.should_close()


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n", b"-1\r\n", b"5\r\nhelloworld", b"\r\n", b"x" * 2000, b"1" * 2000, b"0\r\n" + b"A: b\r\n" * 20_000],
)
def test_malformed_chunks(chunks: bytes) -> None:
    """Nobody waits for the rest of a body that is malformed: reading it says so, and its connection ends with it."""
    arrival, _, is_whole = arrive([_CHUNKED, chunks])
    assert is_whole
    assert arrival.request.should_close()
    with pytest.raises((ParseException, NoMoreData)):
        arrival.request.body.read()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: b\n", b"\n"])
def test_line_ends_that_are_refused(sent: bytes) -> None:
    """A head whose lines end wrongly is refused at once: its end would never come."""
    with pytest.raises(ParseException):
        arrive([sent[:-1], sent[-1:]])


def test_tls() -> None:
    """It is known by its first byte: nobody waits for a line end, which may never come."""
    with pytest.raises(TlsError):
        arrive([b"\x16"])


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_endless_head(end: bytes) -> None:
    """Headers are bounded all together, not only each."""
    with pytest.raises(LimitRequestHeaders):
        arrive([b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEAD // 6) + end])


_CHUNK = st.sampled_from([b"1\r\nx\r\n", b"2;x=y\r\n\r\n\r\n", b"0c ; x\r\n0\r\n\r\n0\r\n\r\nab\r\n"])
_NOISE = st.sampled_from([b"0\r\n", b"1\r\n", b"a\r\n", b"\r\n", b"\n", b";x", b"A: b\r\n", b"f", b"0", b" "])
_LAST = st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"00;x\r\n\r\n"])


@given(st.lists(_CHUNK | _CHUNK | _CHUNK | _NOISE | _LAST, max_size=8))
def test_agrees_with_gunicorn(pieces: Sequence[bytes]) -> None:
    """Where gunicorn reads a chunked body to its end, it ends in the same place here: nothing of it is a request."""
    sent = _CHUNKED + b"".join(pieces)
    read = IterUnreader([sent])
    request = Request(Config(), read, _CLIENT, 1)
    with suppress(ParseException, NoMoreData):
        body = request.body.read()
        arrival, rest, is_whole = arrive([sent])
        assert is_whole
        assert not arrival.request.should_close()
        assert arrival.request.body.read() == body
        assert rest == read.take_buffered()
