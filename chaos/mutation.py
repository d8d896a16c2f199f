"""Requests that are no webhook any more, or hardly: real payloads, changed by chance."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

_PAYLOADS = Path(__file__).parents[1] / "tests" / "payloads"
_DEEP = "@deep@"
_TEXTS = (
    "",
    " ",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "\u202e\u2066\ufeff",
    "🔥" * 500,
    "é\u0301" * 200,
    "|" * 50,
    "<!channel> <@U123> &amp;",
    "%00%0a\r\nX: y",
    "../../etc/passwd",
    "x" * 20_000,
    "9999-12-31T23:59:59Z",
    "0000-00-00T00:00:00Z",
    "2026-11-23T12:00:00+99:99",
    "firing",
    "resolved",
)
_NUMBERS = (0, -1, 1.5, 2**63, -(2**64), 10**400, 1e308, float("inf"), float("nan"))
_VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": ""}, _DEEP, *_NUMBERS, *_TEXTS)
_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json; charset=nonsense",
    "application/vnd.api+json",
    "application/json, text/html",
    "APPLICATION/JSON",
    "json",
    ";",
    "",
)
_PATHS = (
    "/alert/",
    "//alert",
    "/alert//C0FUZZED01",
    "/alert/C0FUZZED01",
    "/alert/C0FUZZED02?x=%00&x=%ff",
    "/alert/%43%30FUZZED01",
    "/alert/%F0%9F%94%A5",
    "/alert/%ff%fe",
    "/alert/../alert",
    "/./alert",
    "/alert;x=y",
    "/alert?" + "x=y&" * 500,
    "/alert/" + "C" + "0" * 3000,
    "/ALERT",
    "/%61lert",
    "/alert%00",
    "/alert#fragment",
    "http://elsewhere.example/alert",
    "/health",
    "/cache/",
    "/",
    "/favicon.ico",
)
_HEADERS = (
    "Content-Encoding: gzip",
    "Content-Encoding: nonsense",
    "Expect: 100-continue",
    "Authorization: Bearer \x80\xff",
    "Authorization: Basic !!!",
    "Authorization: " + "x" * 4000,
    "X-Forwarded-For: " + "1.2.3.4, " * 300,
    "X-Forwarded-Proto: gopher",
    "Accept: image/png",
    "Cookie: " + "a=b; " * 500,
    "Range: bytes=0-1",
    "X-HTTP-Method-Override: DELETE",
    "Connection: Upgrade",
    "If-None-Match: *",
)
#: What HTTP itself does not allow: gunicorn answers for the service, or hangs up.
_BROKEN_HEADERS = (
    "Content-Length: 5, 6",
    "Content-Length: -1",
    "Content-Length: 1e3",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: nonsense",
    "Expect: the impossible",
    "Bad Header: x",
    "X-\0: y",
    ": nameless",
    "no colon",
    " folded: line",
    "X: " + "y" * 20_000,
    *("\r\n".join(f"X-{n}: y" for n in range(count)) for count in (150, 500)),
)
_METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW", "post")


class Mutant(NamedTuple):
    """A request as it goes over the wire, and whether HTTP itself is violated."""

    request: bytes
    broken: bool = False


def mutants(chance: random.Random) -> Iterator[Mutant]:
    """One after the other, without end."""
    files = sorted(_PAYLOADS.glob("*.json"))
    whole = [file.read_bytes() for file in files if not file.name.endswith(".expected.json")]
    while True:
        yield chance.choices(list(_KINDS), list(_KINDS.values()))[0](chance, chance.choice(whole))


def _request(
    body: bytes, *, method: str = "POST", path: str = "/alert", kind: str = "application/json", headers: str = ""
) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Type: {kind}", headers)
    length = "" if "Content-Length" in headers or "Transfer-Encoding" in headers else f"Content-Length: {len(body)}"
    return "\r\n".join(filter(None, (*lines, length))).encode("latin-1") + b"\r\n\r\n" + body


def _changed_bytes(chance: random.Random, whole: bytes) -> Mutant:
    """Some bytes are changed, cut out, doubled, or put in."""
    body = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 4, 30))):
        start = chance.randrange(len(body) + 1)
        end = start + chance.choice((0, 1, 1, 2, 10, 100))
        part = bytes(body[start:end])
        body[start:end] = chance.choice(
            (b"", part * 2, part[::-1], chance.randbytes(len(part)), b'"', b"{", b"\\u0000")
        )
    return Mutant(_request(bytes(body)))


def _cut(chance: random.Random, whole: bytes) -> Mutant:
    """The end is missing, and the sender says so or not."""
    body = whole[: chance.randrange(len(whole))]
    if chance.random() < 0.5:
        return Mutant(_request(body))
    # The server waits for the rest, which does not come.
    return Mutant(_request(body, headers=f"Content-Length: {len(whole)}"))


def _changed_values(chance: random.Random, whole: bytes) -> Mutant:
    """Values are of another type, absurd, or missing; keys are other ones."""
    payload = json.loads(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        places = list(_places(payload))
        if not places:
            break
        node, name = chance.choice(places)
        match chance.randrange(5):
            case 0:
                del node[name]
            case 1 if isinstance(node, dict):
                node[chance.choice(_TEXTS)] = node.pop(name)
            case 2 if isinstance(node, list):
                node.extend(node[:1] * chance.choice((1, 50, 300)))
            case _:
                node[name] = deepcopy(chance.choice(_VALUES))
    depth = chance.choice((10, 500, 2000, 100_000))
    text = json.dumps(payload, ensure_ascii=chance.random() < 0.5)
    text = text.replace(f'"{_DEEP}"', chance.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth)))
    return Mutant(_request(text.encode("utf-8", "surrogatepass")))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a payload: what it is in, and its key or index there."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        yield node, name
        yield from _places(value)


def _spliced(chance: random.Random, whole: bytes) -> Mutant:
    """A name stands twice, two documents follow each other, or one is in another."""
    body = chance.choice(
        (
            whole + whole,
            b'{"alerts": [], ' + whole.lstrip(b" \n{"),
            whole.rstrip(b" \n}") + b', "alerts": []}',
            b"[" + whole + b"]",
            b'{"alerts": ' + whole + b"}",
            b"\xef\xbb\xbf" + whole,
            whole.decode().encode("utf-16"),
            gzip.compress(whole, 1, mtime=0),
        )
    )
    return Mutant(_request(body, headers=chance.choice(("", "Content-Encoding: gzip"))))


def _noise(chance: random.Random, _whole: bytes) -> Mutant:
    """Anything."""
    pieces = (b'{"alerts":', b"[", b"{", b"}", b'"', b"null", b"1e999", b"\\u", b",", chance.randbytes(20))
    body = chance.choice((chance.randbytes(chance.randrange(400)), b"".join(chance.choices(pieces, k=20))))
    return Mutant(_request(body))


def _addressed(chance: random.Random, whole: bytes) -> Mutant:
    """Another type, path or method."""
    kind = chance.choice(_TYPES) if chance.random() < 0.4 else "application/json"
    path = chance.choice(_PATHS) if chance.random() < 0.6 else "/alert"
    method = chance.choice(_METHODS) if chance.random() < 0.3 else "POST"
    # A fragment, or what is no method, is no request line.
    return Mutant(_request(whole, method=method, path=path, kind=kind), broken="#" in path or method == "post")


def _headed(chance: random.Random, whole: bytes) -> Mutant:
    """Headers that say strange things."""
    headers = "\r\n".join(chance.sample(_HEADERS, chance.randint(1, 4)))
    return Mutant(_request(whole, headers=headers))


def _broken(chance: random.Random, whole: bytes) -> Mutant:
    """What is no HTTP."""
    request = _request(whole, headers=chance.choice(_BROKEN_HEADERS))
    start = chance.randrange(min(len(request), 200))
    garbled = request[:start] + chance.randbytes(chance.randint(1, 5)) + request[start + 1 :]
    return Mutant(chance.choice((request, garbled, chance.randbytes(300))), broken=True)


#: The kinds, each with how often it comes.
_KINDS: dict[Callable[[random.Random, bytes], Mutant], int] = {
    _changed_bytes: 25,
    _cut: 10,
    _changed_values: 35,
    _spliced: 5,
    _noise: 7,
    _addressed: 8,
    _headed: 5,
    _broken: 5,
}
