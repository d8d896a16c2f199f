"""`/sandbox/…`: the control API. It shows the workspace and injects faults.

A change must be sent as JSON, which no other web page can make a browser do unasked.
"""

from dataclasses import asdict
from typing import Any

import msgspec
from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from slack_sandbox import views
from slack_sandbox.api import workspace_of_app
from slack_sandbox.errors import RefusedError
from slack_sandbox.faults import Rule
from slack_sandbox.workspace import Settings, Workspace

#: The longest that a long poll waits for a change, in seconds.
MAX_WAIT = 60.0

control = Blueprint("control", __name__, url_prefix="/sandbox")


@control.get("/state")
def get_state() -> ResponseReturnValue:
    """Answer everything; with `since` and `wait`, only when the version is another or the time is up."""
    workspace = workspace_of_app()
    _wait(workspace)
    return jsonify(views.state(workspace.snapshot()) | views.of_people(workspace.people))


@control.get("/changes")
def get_changes() -> ResponseReturnValue:
    """Answer the messages that changed after version `since`; waits like `state`."""
    workspace = workspace_of_app()
    _wait(workspace)
    snapshot = workspace.snapshot(request.args.get("since", 0, type=int))
    return jsonify(views.changes(snapshot, workspace.people))


@control.get("/calls")
def get_calls() -> ResponseReturnValue:
    """Answer the log of calls; `method` and `channel` choose among them."""
    calls = workspace_of_app().calls.all(request.args.get("method"), request.args.get("channel"))
    return jsonify({"ok": True, "calls": [call.as_json() for call in calls]})


@control.get("/faults")
def get_faults() -> ResponseReturnValue:
    """Answer the rules in force."""
    return jsonify({"ok": True, "faults": [_rule(rule) for rule in workspace_of_app().faults.rules()]})


@control.post("/faults")
def add_faults() -> ResponseReturnValue:
    """Add a rule, or a list of them."""
    sent = request.get_json()
    faults = workspace_of_app().faults
    rules = [faults.add(**_fault(rule)) for rule in (sent if isinstance(sent, list) else [sent])]
    return jsonify({"ok": True, "faults": [_rule(rule) for rule in rules]})


@control.delete("/faults")
def clear_faults() -> ResponseReturnValue:
    """End all rules."""
    workspace_of_app().faults.clear()
    return jsonify({"ok": True})


@control.post("/reset")
def reset() -> ResponseReturnValue:
    """Forget messages, channels, calls, faults and counts."""
    request.get_json()
    workspace_of_app().reset()
    return jsonify({"ok": True})


@control.post("/channels/<channel>")
def set_channel(channel: str) -> ResponseReturnValue:
    """Say how the bot stands in a channel: `{"standing": "archived"}`."""
    workspace_of_app().set_channel(channel, str(_sent_object().get("standing")))
    return jsonify({"ok": True})


@control.post("/delete")
def delete() -> ResponseReturnValue:
    """Delete a message as a person in the channel would: `{"channel": …, "ts": …}`."""
    sent = _sent_object()
    message = workspace_of_app().delete(str(sent.get("channel")), str(sent.get("ts")))
    return jsonify({"ok": True, "channel": message.channel, "ts": message.ts})


@control.post("/settings")
def configure() -> ResponseReturnValue:
    """Change settings by name and answer all of them."""
    sent, workspace = _sent_object(), workspace_of_app()
    checked = asdict(msgspec.convert(sent, Settings))
    settings = workspace.configure(**{name: checked.get(name) for name in sent})
    return jsonify({"ok": True, "settings": asdict(settings)})


@control.errorhandler(msgspec.ValidationError)
@control.errorhandler(TypeError)
@control.errorhandler(ValueError)
def refuse_input(error: Exception) -> ResponseReturnValue:
    """Answer what is wrong with the input."""
    return jsonify({"ok": False, "error": str(error)}), 400


@control.errorhandler(RefusedError)
def refuse(error: RefusedError) -> ResponseReturnValue:
    """Answer Slack's error code; the page asked for something that is gone."""
    return jsonify({"ok": False, "error": error.code}), 404


def _wait(workspace: Workspace) -> None:
    since, wait = request.args.get("since", type=int), request.args.get("wait", 0.0, type=float)
    if since is not None and wait > 0:
        workspace.wait_for_version(since, min(wait, MAX_WAIT))


def _sent_object() -> dict[str, Any]:
    sent = request.get_json()
    if not isinstance(sent, dict):
        raise TypeError("send a JSON object")
    return sent


def _fault(sent: object) -> dict[str, Any]:
    if not isinstance(sent, dict) or "kind" not in sent:
        raise TypeError("a fault is an object with a kind")
    msgspec.convert(sent, Rule)  # the types of the values; `Faults.add` knows the names
    # "for" reads well in JSON and is a keyword in Python.
    return {"lasting" if key == "for" else key: value for key, value in sent.items()}


def _rule(rule: Rule) -> dict[str, Any]:
    return asdict(rule) | {"kind": rule.kind.value}
