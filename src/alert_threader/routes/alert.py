"""``POST /alert``: a webhook comes in. A 2xx means that it is stored and will reach Slack."""

import logging
import re
import secrets
from time import perf_counter
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from alert_threader.alertmanager import webhook
from alert_threader.alertmanager.webhook import Notification, Status
from alert_threader.errors import PayloadError
from alert_threader.routes.token import require_token
from alert_threader.service import Service, current_service
from alert_threader.settings.settings import channel_fault
from alert_threader.threads import AlertThread, Applied, Reason, changes

log = logging.getLogger(__name__)

blueprint = Blueprint("alert", __name__)

#: Where a proxy, or the sender, names a request itself. Such an id goes into the log, so it must not look like more.
_ID_HEADER = "X-Request-ID"
_GIVEN_ID = re.compile("[A-Za-z0-9._:-]{1,64}")

#: What has become of a change once Slack shows it. One that opened a thread, or was told with its opening, is "posted".
_WORDS = {
    Reason.OPENED: "posted",
    Reason.OPENED_RESOLVED: "posted",
    Reason.REOPENED: "replied",
    Reason.FIRED: "replied",
    Reason.RESOLVED: "replied",
    Reason.REPEATED: "updated",
    Reason.DUPLICATE: "unchanged",
}


@blueprint.before_request
def begin() -> None:
    """Note when the request came, and give it the id by which its alerts can be followed into Slack."""
    g.began = perf_counter()
    given = request.headers.get(_ID_HEADER, "")
    g.id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(6)


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
        raise PayloadError(f"the channel in the path, {channel[:40]!r}, is none: it {fault}")
    if not request.is_json:
        raise UnsupportedMediaType
    notification = webhook.parse(_body(service.settings.max_body))
    with service.metrics.store.measure("notify"):
        applied = service.store.update(changes(notification, service.identity, channel, g.id), service.clock())
    service.deliverer.wake({each.thread.channel for each in applied})
    _count(service, notification, applied)
    threads = service.deliverer.wait_told([each.thread for each in applied], service.settings.response_wait)
    results = [
        _result(each, thread, told=service.deliverer.is_told(thread))
        for each, thread in zip(applied, threads, strict=True)
    ]
    return _answer(service, notification, results)


def _body(limit: int) -> bytes:
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:
        # The server's own errors for a body that breaks off or is wrongly chunked: the sender's fault, all of them.
        raise PayloadError(f"the body cannot be read: {type(error).__name__}") from error
    if request.content_length is None and len(body) >= limit:
        # werkzeug cuts a body of unknown length at the limit without a word.
        raise RequestEntityTooLarge
    return body


def _count(service: Service, notification: Notification, applied: list[Applied]) -> None:
    firing = sum(alert.status is Status.FIRING for alert in notification.alerts)
    alerts = len(notification.alerts)
    service.metrics.webhooks.stored(
        [each.reason for each in applied],
        firing=firing,
        resolved=alerts - firing,
        duplicates=alerts - sum(each.fired + each.resolved for each in applied),
    )
    took = round((perf_counter() - g.began) * 1000, 1)
    for each in applied:
        about = {"id": g.id, "key": each.thread.key, "fired": each.fired, "resolved": each.resolved, "ms": took}
        log.info("webhook %s", each.reason, extra=about)


def _answer(service: Service, notification: Notification, results: list[dict[str, Any]]) -> Response:
    response = jsonify(
        ok=True,
        count=len(notification.alerts),
        status=notification.status,
        group_key=notification.group_key,
        thread_store=service.store.name,
        results=results,
    )
    response.status_code = 202 if any(result["delivery"] == "queued" for result in results) else 200
    return response


def _result(applied: Applied, thread: AlertThread, *, told: bool) -> dict[str, Any]:
    before = applied.thread
    if not told:
        delivery = "queued"
    elif before.ts is None:
        delivery = "posted"
    elif before.untold.repeated:
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
