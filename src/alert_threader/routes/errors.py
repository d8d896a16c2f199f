"""The one place where an error becomes an answer: ``{"ok": false, "error": "one line"}``.

Alertmanager sends again after a 5xx, drops the notification after a 4xx, and logs the body of either.
"""

import logging

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from alert_threader.errors import PayloadError, StoreError

log = logging.getLogger(__name__)

#: A label's value can stand in an error; its end is of no use in a log.
_MAX_ERROR = 500

_TEXTS = {
    404: "there is no such route: use POST /alert or /alert/<channel>, GET /health, /metrics, /stats or /cache",
    415: "the content type must be application/json",
}


class UnauthorisedError(Exception):
    """The request carries no token, or a wrong one."""


def register(app: Flask) -> None:
    """Answer every error of an application in the same form."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(PayloadError, _payload)
    app.register_error_handler(StoreError, _store)
    app.register_error_handler(UnauthorisedError, _unauthorised)
    app.register_error_handler(Exception, _unexpected)


def failure(status: int, text: str) -> Response:
    """An answer that says what is wrong, in one line."""
    # A file's name need not be text.
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    response = jsonify(ok=False, error=line if len(line) <= _MAX_ERROR else line[: _MAX_ERROR - 1] + "…")
    response.status_code = status
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    text = _TEXTS.get(status, error.description or error.name)
    if status == 405:
        allowed = ", ".join(sorted(set(getattr(error, "valid_methods", None) or ()) - {"HEAD", "OPTIONS"}))
        text = f"{request.method} is not allowed here: use {allowed}"
    if status == 413:
        text = f"the body is larger than {request.max_content_length} bytes: lower max_alerts, or raise MAX_BODY"
    response = failure(status, text)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _payload(error: PayloadError) -> Response:
    log.warning("webhook refused: %s", error, extra={"sender": request.remote_addr})
    return failure(400, str(error))


def _store(error: StoreError) -> Response:
    log.error("cannot store: %s", error)
    return failure(503, str(error))


def _unauthorised(error: UnauthorisedError) -> Response:
    log.warning("token refused on %s", request.path, extra={"sender": request.remote_addr})
    response = failure(401, str(error))
    response.headers["WWW-Authenticate"] = 'Bearer realm="alert-threader"'
    return response


def _unexpected(error: Exception) -> Response:
    log.error("unexpected %s on %s %s", type(error).__name__, request.method, request.path, exc_info=error)
    return failure(500, "unexpected error: the service's log has the details")
