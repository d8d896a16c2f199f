"""``POST /alert``: a webhook comes in. A 2xx means that it is stored and will reach Slack."""

import random
import re
from time import perf_counter
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from alert_threader.alertmanager import webhook
from alert_threader.alertmanager.webhook import Notification
from alert_threader.errors import PayloadError
from alert_threader.intake import Taken
from alert_threader.routes.token import require_token
from alert_threader.service import Service, current_service
from alert_threader.settings.settings import channel_fault
from alert_threader.threads import Reason

blueprint = Blueprint("alert", __name__)

#: Where a proxy, or the sender, names a request itself. Such an id goes into the log, so it must not look like more.
_ID_HEADER = "X-Request-ID"
_GIVEN_ID = re.compile("[A-Za-z0-9._:-]{1,64}")

#: How many unreadable alerts an answer names: their sender logs it.
_MAX_IGNORED = 20
#: How a change was delivered. One that opened a thread, or was delivered with its opening, is "posted".
_WORDS = {
    Reason.OPENED: "posted",
    Reason.OPENED_RESOLVED: "posted",
    Reason.REOPENED: "replied",
    Reason.FIRED: "replied",
    Reason.RESOLVED: "replied",
    Reason.REPEATED: "updated",
    Reason.REFRESHED: "updated",
    Reason.DUPLICATE: "unchanged",
}


@blueprint.before_request
def begin() -> None:
    """Note when the request came, and give it the id by which its alerts can be followed into Slack."""
    g.began = perf_counter()
    given = request.headers.get(_ID_HEADER, "")
    g.id = given if _GIVEN_ID.fullmatch(given) else f"{random.getrandbits(48):012x}"


@blueprint.after_request
def finish(response: Response) -> Response:
    """Count the answer, whatever it is, and say the id in it."""
    current_service().metrics.webhooks.answered(response.status_code, perf_counter() - g.began)
    response.headers[_ID_HEADER] = g.id
    return response


@blueprint.post("/alert")
@blueprint.post("/alert/<channel>")
def receive(channel: str | None = None) -> Response:
    """Store what a webhook says; wait a moment for Slack, so that on a quiet day the answer names the threads."""
    service = current_service()
    require_token(service.settings.webhook_token)
    if channel is not None and (fault := channel_fault(channel)):
        raise PayloadError(f"invalid channel {channel[:40]!r} in the path: it {fault}")
    if not request.is_json:
        raise UnsupportedMediaType
    notification = webhook.parse(_body(service.settings.max_body))
    taken = service.intake.notify(notification, channel, g.id)
    results = [_result(each) for each in taken]
    return _answer(service, notification, results)


def _body(limit: int) -> bytes:
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected as error:
        raise PayloadError("the body breaks off: its sender hung up") from error
    except HTTPException:
        raise
    except Exception as error:
        # The server's own errors for a body that breaks off or is wrongly chunked: the sender's fault, all of them.
        raise PayloadError(f"the body cannot be read: {type(error).__name__}") from error
    if request.content_length is None and len(body) >= limit:
        # werkzeug cuts a body of unknown length at the limit without a word.
        raise RequestEntityTooLarge
    return body


def _answer(service: Service, notification: Notification, results: list[dict[str, Any]]) -> Response:
    response = jsonify(
        ok=True,
        count=len(notification.alerts),
        status=notification.status,
        group_key=notification.group_key,
        thread_store=service.store.name,
        results=results,
        **_ignored(notification.ignored),
    )
    response.status_code = 202 if any(result["delivery"] == "queued" for result in results) else 200
    return response


def _ignored(alerts: tuple[str, ...]) -> dict[str, list[str]]:
    """The unreadable alerts, where there are any; a long list ends in how many more there are."""
    more = len(alerts) - _MAX_IGNORED
    named = [*alerts[:_MAX_IGNORED], *([f"{more} more"] if more > 0 else [])]
    return {"ignored": named} if named else {}


def _result(taken: Taken) -> dict[str, Any]:
    applied, thread, is_delivered = taken
    before = applied.thread
    if not is_delivered:
        delivery = "queued"
    elif before.ts is None:
        delivery = "posted"
    elif before.pending.repeated:
        delivery = "replied"
    else:
        delivery = _WORDS[applied.reason]
    return {
        "key": before.key,
        "thread_ts": thread.ts,
        "status": thread.status,
        "alertname": applied.alertname,
        "severity": before.severity,
        "delivery": delivery,
    }
