"""WEBHOOK_TOKEN: who may send alerts and touch the threads."""

from flask import request

from alert_threader.routes.errors import UnauthorisedError
from alert_threader.settings.settings import Secret


def require_token(expected: Secret | None) -> None:
    """Raise UnauthorisedError unless the request carries the token, or none is expected.

    It may come as a bearer token, or as the password of basic authentication with any user.
    """
    if expected is None:
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer":
        # werkzeug's own reading; of a bearer token with "=" inside it would make parameters.
        given = request.authorization
        token = (given.password or "") if given is not None else ""
    if Secret(token) != expected:
        reason = "the token is wrong" if token else "a token is missing"
        raise UnauthorisedError(
            f"{reason}: send WEBHOOK_TOKEN as a bearer token (http_config.authorization in Alertmanager)"
        )
