"""The page: a channel list, the channel, the thread beside it. Its files are all in `page/`."""

from flask import Blueprint, Response, redirect, send_from_directory
from flask.typing import ResponseReturnValue

#: The page shows text that others wrote; with this, no text can become a script, a style or a request.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TS_DIGITS_AFTER_POINT = 6

pages = Blueprint("pages", __name__, static_folder="page", static_url_path="/page")


@pages.get("/")
def show_page() -> ResponseReturnValue:
    """Answer the page."""
    return send_from_directory(str(pages.static_folder), "index.html")


@pages.get("/favicon.ico")
def show_no_icon() -> ResponseReturnValue:
    """Answer nothing: the page brings its icon with it."""
    return "", 204


@pages.get("/archives/<channel>/p<digits>")
def follow_permalink(channel: str, digits: str) -> ResponseReturnValue:
    """Lead a permalink to its message on the page."""
    ts = f"{digits[:-_TS_DIGITS_AFTER_POINT]}.{digits[-_TS_DIGITS_AFTER_POINT:]}"
    return redirect(f"/#{channel}/{ts}")


@pages.after_request
def protect(response: Response) -> Response:
    """Forbid the browser everything that the page does not need."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response
