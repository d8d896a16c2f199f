"""`/sandbox/press`, `/sandbox/submit` and the addresses at which the app answers: what a person does, in the real way.

https://docs.slack.dev/reference/interaction-payloads
"""

from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from slack_sandbox import views
from slack_sandbox.api import workspace_of_app
from slack_sandbox.errors import RefusedError
from slack_sandbox.messages import JsonObject, Message
from slack_sandbox.people import TEAM_ID, Answered, View, element_of, send
from slack_sandbox.workspace import Workspace

interactions = Blueprint("interactions", __name__)


@interactions.post("/sandbox/press")
def press() -> ResponseReturnValue:
    """Press a button, or choose an option: `{"channel", "ts", "action_id", "option"?, "user"?}`."""
    sent, workspace = _sent(), workspace_of_app()
    message = workspace.find(str(sent.get("channel")), str(sent.get("ts")))
    payload = _block_actions(workspace, message, sent)
    answered = _deliver(workspace, payload)
    return jsonify({"ok": answered.is_ok, "status": answered.status, "answer": answered.content})


@interactions.post("/sandbox/submit")
def submit() -> ResponseReturnValue:
    """Submit a form: `{"view_id", "values": {"duration": "2h", "options": ["each_alert"]}}`."""
    sent, workspace = _sent(), workspace_of_app()
    view = workspace.people.view(str(sent.get("view_id")))
    answered = _deliver(workspace, _view_submission(workspace, view, sent.get("values") or {}))
    answer = answered.content
    if answered.is_ok:
        match answer.get("response_action"):
            case "errors":
                workspace.people.show_errors(view.id, dict(answer.get("errors") or {}))
            case "update":
                workspace.people.update_view(view.id, dict(answer.get("view") or {}))
            case _:
                workspace.people.close_view(view.id)
    return jsonify({"ok": answered.is_ok, "status": answered.status, "answer": answer})


@interactions.post("/sandbox/close")
def close() -> ResponseReturnValue:
    """Close a form without submitting it: `{"view_id"}`."""
    workspace_of_app().people.close_view(str(_sent().get("view_id")))
    return jsonify({"ok": True})


@interactions.post("/sandbox/sockets")
def end_socket() -> ResponseReturnValue:
    """End a connection, or change what goes wrong: `{"end": "cut", "which": 0}`, `{"ghosts": 8, "swallow": 1}`."""
    sent, sockets = _sent(), workspace_of_app().sockets
    for name in ("ghosts", "swallow", "duplicate", "full"):
        if name in sent:
            setattr(sockets.faults, name, sent[name])
    if how := sent.get("end"):
        sockets.end(str(how), int(sent.get("which") or 0))
    return jsonify({"ok": True, "open": sockets.count, "opened": sockets.opened})


@interactions.errorhandler(ValueError)
@interactions.errorhandler(IndexError)
def refuse_input(error: Exception) -> ResponseReturnValue:
    """Answer what is wrong with the input."""
    return jsonify({"ok": False, "error": str(error)}), 400


@interactions.post("/sandbox/groups/<group>")
def set_group(group: str) -> ResponseReturnValue:
    """Say who is in a user group: `{"users": ["U0KIM"]}`."""
    workspace_of_app().people.groups[group] = tuple(map(str, _sent().get("users") or ()))
    return jsonify({"ok": True})


@interactions.post(f"/actions/{TEAM_ID}/<token>")
def respond(token: str) -> ResponseReturnValue:
    """Take an answer to a press at its response_url.

    https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
    """
    sent, workspace = _sent(), workspace_of_app()
    channel, user, ts = workspace.people.response(token)
    text = str(sent.get("text") or "")
    if sent.get("delete_original"):
        workspace.delete(channel, ts)
    elif sent.get("replace_original", True) and sent.get("response_type") != "ephemeral":
        message = workspace.find(channel, ts)
        workspace.edit(channel, ts, type(message.content)(text=text, blocks=tuple(sent.get("blocks") or ())))
    else:
        if sent.get("replace_original", True):
            # An answer that does not say otherwise takes the message's place.
            message = workspace.find(channel, ts)
            workspace.edit(channel, ts, type(message.content)(text=text))
        workspace.whisper(channel, user, text, ts)
    return jsonify({"ok": True})


@interactions.errorhandler(RefusedError)
def refuse(error: RefusedError) -> ResponseReturnValue:
    """Answer Slack's error code."""
    return jsonify({"ok": False, "error": error.code}), 404


def _deliver(workspace: Workspace, payload: JsonObject) -> Answered:
    settings = workspace.settings
    # With Socket Mode an app has no address for presses.
    if workspace.sockets.count or not settings.interactivity_url:
        return workspace.sockets.send(payload)
    return send(settings.interactivity_url, settings.signing_secret, payload, workspace.clock())


def _block_actions(workspace: Workspace, message: Message, sent: JsonObject) -> JsonObject:
    action_id, people = str(sent.get("action_id")), workspace.people
    user = people.user(str(sent.get("user") or "U0KIM"))
    container: JsonObject = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": False,
    }
    found = element_of(message.blocks, action_id)
    for number, attachment in enumerate(message.attachments, 1):
        if found is None and (found := element_of(attachment.get("blocks"), action_id)):
            container |= {"type": "message_attachment", "attachment_id": number, "is_app_unfurl": False}
    if found is None:
        raise RefusedError("element_not_found")
    element, block_id = found
    now = workspace.clock()
    action: JsonObject = {
        "type": element["type"],
        "action_id": action_id,
        "block_id": block_id,
        "action_ts": f"{now:.6f}",
    }
    if element["type"] == "button":
        action |= {name: element[name] for name in ("text", "value", "style") if name in element}
    else:
        action |= {
            "selected_option": _option(element, str(sent.get("option"))),
            "placeholder": element.get("placeholder"),
        }
    shown = views.slack_message(message, workspace.replies(message.channel, message.ts))
    return {
        **_payload("block_actions", user.as_json(), people.trigger(user.id)),
        "container": container,
        "channel": {"id": message.channel, "name": message.channel.lower()},
        "message": shown,
        "state": {"values": {}},
        "response_url": request.host_url + people.response_path(message.channel, user.id, message.ts),
        "actions": [action],
    }


def _option(element: JsonObject, wanted: str) -> JsonObject:
    for option in element.get("options") or ():
        if wanted in (option.get("value"), (option.get("text") or {}).get("text")):
            return dict(option)
    raise RefusedError("option_not_found")


def _view_submission(workspace: Workspace, view: View, values: JsonObject) -> JsonObject:
    user = workspace.people.user(view.user)
    return {
        **_payload("view_submission", user.as_json(), workspace.people.trigger(user.id)),
        "view": {**view.content, "id": view.id, "hash": view.hash, "state": {"values": _state(view.content, values)}},
        "response_urls": [],
    }


def _state(content: JsonObject, values: JsonObject) -> JsonObject:
    state: JsonObject = {}
    for block in content.get("blocks") or ():
        if block.get("type") != "input":
            continue
        element = block["element"]
        given: Any = values.get(element["action_id"])
        shown: JsonObject = {"type": element["type"], "value": given or None}
        if element["type"] == "checkboxes":
            chosen = [option for option in element["options"] if option["value"] in (given or ())]
            shown = {"type": "checkboxes", "selected_options": chosen}
        state[block["block_id"]] = {element["action_id"]: shown}
    return state


def _payload(kind: str, user: JsonObject, trigger: str) -> JsonObject:
    return {
        "type": kind,
        "user": user,
        "api_app_id": views.APP_ID,
        "token": "sandbox",
        "trigger_id": trigger,
        "team": {"id": TEAM_ID, "domain": "sandbox"},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _sent() -> JsonObject:
    sent = request.get_json()
    return sent if isinstance(sent, dict) else {}
