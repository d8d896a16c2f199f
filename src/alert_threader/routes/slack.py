"""``POST /slack/interactive``: what people press in Slack, where it comes over HTTP. The signature says who sent it."""

from urllib.parse import parse_qs

import msgspec
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from alert_threader.errors import PayloadError
from alert_threader.routes.errors import UnauthorisedError
from alert_threader.service import current_service
from alert_threader.slack.signature import is_signed

blueprint = Blueprint("slack", __name__)

#: The largest body that is read, in bytes: Slack's own are far smaller.
MAX_INTERACTION = 64 * 1024


@blueprint.post("/slack/interactive")
def receive() -> Response:
    """Take a press. Without SLACK_SIGNING_SECRET there is no such route."""
    service = current_service()
    secret = service.settings.slack_signing_secret
    if secret is None:
        raise NotFound
    request.max_content_length = MAX_INTERACTION
    body = request.get_data(cache=False)
    if len(body) > MAX_INTERACTION:
        raise RequestEntityTooLarge
    if not is_signed(secret.reveal(), body, dict(request.headers), service.clock()):
        service.metrics.presses.unsigned()
        raise UnauthorisedError("the signature is wrong or old: check SLACK_SIGNING_SECRET, and this machine's clock")
    answer = service.presses.take(_payload(body))
    return Response(status=200) if answer is None else jsonify(answer)


def _payload(body: bytes) -> object:
    try:
        (payload,) = parse_qs(body.decode(), strict_parsing=True)["payload"]
        decoded: object = msgspec.json.decode(payload)
    except (ValueError, KeyError, msgspec.DecodeError) as error:
        raise PayloadError("the body must be a form with one field, payload, in JSON") from error
    return decoded
