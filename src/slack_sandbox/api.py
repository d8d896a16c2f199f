"""`/api/<method>`: every call goes the same way: log, faults, token, scope, rate limit, method, answer."""

import socket
import threading
from typing import cast

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from slack_sandbox.arguments import Arguments, read_arguments
from slack_sandbox.calls import IN_FLIGHT, Call
from slack_sandbox.errors import RefusedError
from slack_sandbox.faults import ACCEPTING, Kind, Rule
from slack_sandbox.messages import JsonObject
from slack_sandbox.methods import METHODS, Answer, Method, Request
from slack_sandbox.workspace import Workspace

#: Where the application keeps the workspace.
WORKSPACE = "slack_sandbox.workspace"
#: A token is accepted if it begins with this. None that is valid at Slack does.
TOKEN_PREFIX = "xoxb-sandbox"  # noqa: S105 - not a secret
APP_TOKEN_PREFIX = "xapp-sandbox"  # noqa: S105 - not a secret

api = Blueprint("api", __name__)


class _LimitedError(Exception):
    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


def workspace_of_app() -> Workspace:
    """Return the workspace that the current application serves."""
    return cast("Workspace", current_app.extensions[WORKSPACE])


@api.route("/api/<method>", methods=["GET", "POST"])
def call_method(method: str) -> ResponseReturnValue:
    """Answer one call of the Web API."""
    workspace = workspace_of_app()
    arguments, token, unreadable = Arguments({}), "", None
    try:
        arguments, token = read_arguments(request)
    except RefusedError as error:
        unreadable = error
    channel = arguments.text("channel")
    call = workspace.calls.begin(method, channel, arguments.text("thread_ts") or None)
    rule = workspace.faults.meet(method, channel, arguments.text("text"))
    if rule is not None and rule.kind is Kind.HTTP_LATE:
        workspace.calls.record(call, f"http {rule.status}")
        _run_later(workspace, rule.seconds, method, arguments, token)
        return _http_error(rule.status)
    if rule is not None and rule.kind not in ACCEPTING:
        return _trouble(workspace, call, rule)
    if rule is not None and rule.kind in {Kind.HANG, Kind.SLOW}:
        workspace.pause(rule.seconds)
    try:
        if unreadable is not None:
            raise unreadable
        answer = _run(workspace, method, arguments, token, request.host_url)
        if rule is not None and rule.kind is Kind.LAG:
            _leave_out_newest(answer, workspace.clock() - rule.seconds)
    except RefusedError as error:
        workspace.calls.record(call, error.code)
        return _with_scopes(workspace, jsonify(_refusal(error)))
    except _LimitedError as error:
        workspace.calls.record(call, "ratelimited")
        return _rate_limited(error.retry_after)
    return _after(workspace, call, rule, answer)


def _run(workspace: Workspace, name: str, arguments: Arguments, token: str, origin: str) -> Answer:
    method = METHODS.get(name)
    if method is None:
        raise RefusedError("unknown_method", req_method=name)
    _authorize(workspace, method, token)
    if retry_after := workspace.take(name, arguments.text("channel")):
        raise _LimitedError(retry_after)
    return method.run(Request(workspace, arguments, origin))


def _run_later(workspace: Workspace, seconds: float, name: str, arguments: Arguments, token: str) -> None:
    """Carry a call out that nobody waits for any more."""
    origin = request.host_url

    def late() -> None:
        workspace.pause(seconds)
        call = workspace.calls.begin(name, arguments.text("channel"), arguments.text("thread_ts") or None)
        try:
            changed = _run(workspace, name, arguments, token, origin).changed
        except (RefusedError, _LimitedError) as error:
            workspace.calls.record(call, f"late: {error}")
        else:
            workspace.calls.record(call, "late", accepted=True, ts=changed.ts if changed else None)

    threading.Thread(target=late, daemon=True).start()


def _leave_out_newest(answer: Answer, since: float) -> None:
    messages = answer.body.get("messages")
    if isinstance(messages, list):
        answer.body["messages"] = [each for each in messages if float(each["ts"]) < since]


def _authorize(workspace: Workspace, method: Method, token: str) -> None:
    settings = workspace.settings
    if not token:
        raise RefusedError("not_authed")
    wanted, other = (APP_TOKEN_PREFIX, TOKEN_PREFIX) if method.of_app else (TOKEN_PREFIX, APP_TOKEN_PREFIX)
    if token.startswith(other):
        raise RefusedError("not_allowed_token_type")
    if not settings.token_valid or not token.startswith(wanted):
        raise RefusedError("invalid_auth")
    if method.scopes and not set(method.scopes) & set(settings.scopes):
        raise RefusedError("missing_scope", needed=",".join(method.scopes), provided=",".join(settings.scopes))


def _refusal(error: RefusedError) -> JsonObject:
    body: JsonObject = {"ok": False, "error": error.code, **error.details}
    if error.faults:
        # As Slack words it: each fault bare in `errors`, and marked in the metadata.
        body["errors"] = list(error.faults)
        body["response_metadata"] = {"messages": [f"[ERROR] {fault}" for fault in error.faults]}
    return body


def _after(workspace: Workspace, call: Call, rule: Rule | None, answer: Answer) -> ResponseReturnValue:
    """Answer a call that was carried out, or fail to."""
    accepted, ts = answer.changed is not None, answer.changed.ts if answer.changed else None
    if rule is not None and rule.kind is Kind.DROP_AFTER:
        workspace.calls.record(call, "dropped", accepted=accepted, ts=ts)
        return _drop()
    if rule is not None and rule.kind is Kind.HTTP_AFTER:
        workspace.calls.record(call, f"http {rule.status}", accepted=accepted, ts=ts)
        return _http_error(rule.status)
    if rule is not None and rule.kind is Kind.GARBAGE_AFTER:
        workspace.calls.record(call, "garbage", accepted=accepted, ts=ts)
        return _garbage(rule.body)
    if rule is not None and rule.kind is Kind.HANG_AFTER:
        workspace.calls.record(call, IN_FLIGHT, accepted=accepted, ts=ts)
        workspace.pause(rule.seconds)
    workspace.calls.record(call, "ok", accepted=accepted, ts=ts)
    return _with_scopes(workspace, jsonify({"ok": True, **answer.body}))


def _trouble(workspace: Workspace, call: Call, rule: Rule) -> ResponseReturnValue:
    """Answer a call that never reached Slack."""
    match rule.kind:
        case Kind.RATELIMITED:
            workspace.calls.record(call, "ratelimited")
            return _rate_limited(rule.retry_after)
        case Kind.ERROR:
            workspace.calls.record(call, rule.error)
            return _with_scopes(workspace, jsonify({"ok": False, "error": rule.error}))
        case Kind.HTTP:
            workspace.calls.record(call, f"http {rule.status}")
            return _http_error(rule.status)
        case Kind.REDIRECT:
            status = rule.status if 300 <= rule.status < 400 else 302
            workspace.calls.record(call, f"http {status}")
            return Response(status=status, headers={"Location": rule.location})
        case Kind.GARBAGE:
            workspace.calls.record(call, "garbage")
            return _garbage(rule.body)
        case _:
            workspace.calls.record(call, "dropped")
            return _drop()


def _rate_limited(retry_after: int) -> ResponseReturnValue:
    # https://docs.slack.dev/apis/web-api/rate-limits#responding
    return jsonify({"ok": False, "error": "ratelimited"}), 429, {"Retry-After": str(retry_after)}


def _http_error(status: int) -> ResponseReturnValue:
    return Response("upstream connect error", status=status, mimetype="text/plain")


def _garbage(body: str) -> Response:
    return Response(body, mimetype="text/html")


def _drop() -> Response:
    """Close the connection under the answer, so that the client sees it end without one."""
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        connection.shutdown(socket.SHUT_RDWR)
    return Response(status=502)


def _with_scopes(workspace: Workspace, response: Response) -> Response:
    # https://docs.slack.dev/authentication/#scopes: every answer names the token's scopes
    response.headers["x-oauth-scopes"] = ",".join(workspace.settings.scopes)
    return response
