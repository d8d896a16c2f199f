"""What gunicorn refuses before the application sees it, as an answer in the service's form."""

import json
from http import HTTPStatus
from typing import NamedTuple

from gunicorn.http import errors

from alert_threader.telemetry.metrics import Refused
from alert_threader.worker.arrival import TlsError

#: What a client wrote can stand in an error; its end is of no use.
_MAX_TEXT = 200


class Refusal(NamedTuple):
    """Why a request is refused, what its sender is told, and with which status."""

    reason: Refused
    status: HTTPStatus
    text: str

    @property
    def answer(self) -> bytes:
        """The whole answer. The connection ends with it: where the next request would begin is not known."""
        body = json.dumps({"ok": False, "error": self.text}).encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def refusal_of(error: Exception) -> Refusal | None:
    """What gunicorn's error means for its sender; None for one that is the application's."""
    match error:
        case errors.InvalidResponseHeader() | errors.InvalidResponseHeaderName():
            return None
        case errors.LimitRequestLine():
            return Refusal("too_large", HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
        case errors.LimitRequestHeaders():
            text = f"the headers are too large: {error}"
            return Refusal("too_large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _one_line(text))
        case errors.ExpectationFailed():
            return Refusal("invalid", HTTPStatus.EXPECTATION_FAILED, "the only Expect that is known is 100-continue")
        case errors.UnsupportedTransferCoding():
            # RFC 9112 suggests 501, after which Alertmanager would send the same again and again.
            return Refusal("invalid", HTTPStatus.BAD_REQUEST, "the only Transfer-Encoding that is known is chunked")
        case errors.ForbiddenProxyRequest():
            return Refusal("invalid", HTTPStatus.FORBIDDEN, "the PROXY protocol is not allowed from this address")
        case TlsError():
            text = "TLS was sent to a port that speaks plain HTTP: use http:// or put a proxy in front"
            return Refusal("invalid", HTTPStatus.BAD_REQUEST, text)
        case errors.ParseException() | errors.NoMoreData():
            return Refusal("invalid", HTTPStatus.BAD_REQUEST, _one_line(f"not a valid HTTP request: {error}"))
        case _:
            return None


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
