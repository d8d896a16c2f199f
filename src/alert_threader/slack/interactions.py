"""What Slack sends when somebody presses: from its JSON to typed values, pure. Only here are its keys known.

https://docs.slack.dev/reference/interaction-payloads/block_actions-payload and, for a form that was submitted,
https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from alert_threader.errors import PayloadError

#: A longer text of a person's is cut, in characters; so is a name.
_MAX_TEXT = 1000
_MAX_NAME = 80


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who pressed: a user's id and name, and the workspace that the user belongs to."""

    user: str
    name: str
    team: str


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """A button was pressed, or a menu's option chosen (then ``option`` is its value).

    ``op`` identifies the press. ``channel`` and ``ts`` are of the message that it is on; ``keys`` are the threads that
    the message's buttons name, which is a hint. ``trigger`` opens a form, for 3 s; ``reply_to`` is where to answer.
    ``workspace`` is the one in which it was pressed, empty where Slack does not say.
    """

    op: str
    person: Person
    action: str
    channel: str
    ts: str
    keys: tuple[str, ...] = ()
    option: str = ""
    trigger: str = ""
    reply_to: str = ""
    workspace: str = ""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form was submitted. ``about`` is what it was opened with; ``values`` are by the input's name."""

    op: str
    person: Person
    form: str
    about: str
    values: dict[str, str | tuple[str, ...]]
    workspace: str = ""


Interaction = Button | Form


def parse(payload: object) -> Interaction | None:
    """Read what Slack sends; None for anything but a press on a message and a submitted form.

    Raises PayloadError where a field is missing that such a payload must have.
    """
    if not isinstance(payload, Mapping):
        raise PayloadError("the payload must be a JSON object")
    match payload.get("type"):
        case "block_actions":
            return _button(payload)
        case "view_submission":
            return _form(payload)
        case _:
            return None


def _button(payload: Mapping[str, Any]) -> Button | None:
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    container = _mapping(payload, "container")
    if not isinstance(action, Mapping) or not str(container.get("type")).startswith("message"):
        return None  # in a form, say: nothing is done before it is submitted
    person = _person(payload)
    name = _text(action, "action_id", "actions[0].action_id")
    ts = _text(container, "message_ts", "container.message_ts")
    chosen = action.get("selected_option")
    return Button(
        op=_hashed(ts, name, person.user, str(action.get("action_ts", ""))),
        person=person,
        action=name,
        channel=_text(container, "channel_id", "container.channel_id"),
        ts=ts,
        keys=tuple(dict.fromkeys(_values(payload.get("message"), str(action.get("value") or "")))),
        option=str(chosen.get("value", "")) if isinstance(chosen, Mapping) else "",
        trigger=str(payload.get("trigger_id") or ""),
        reply_to=str(payload.get("response_url") or ""),
        workspace=str(_mapping(payload, "team").get("id") or ""),
    )


def _form(payload: Mapping[str, Any]) -> Form:
    view, person = _mapping(payload, "view"), _person(payload)
    state = _mapping(_mapping(view, "state"), "values")
    values = {}
    for inputs in state.values():
        for name, given in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(given, Mapping):
                values[str(name)] = _given(given)
    return Form(
        op=_hashed(_text(view, "id", "view.id"), str(view.get("hash", "")), person.user),
        person=person,
        form=str(view.get("callback_id", "")),
        about=str(view.get("private_metadata", "")),
        values=values,
        workspace=str(_mapping(payload, "team").get("id") or ""),
    )


def _given(given: Mapping[str, Any]) -> str | tuple[str, ...]:
    """What a person gave in an input: a text, or the values that are ticked."""
    options = given.get("selected_options")
    if isinstance(options, list):
        return tuple(str(option.get("value")) for option in options if isinstance(option, Mapping))
    return str(given.get("value") or "")[:_MAX_TEXT]


def _person(payload: Mapping[str, Any]) -> Person:
    user = _mapping(payload, "user")
    name = str(user.get("name") or user.get("username") or user.get("id"))
    # `team` is null in organisations; a person's own workspace is always there.
    return Person(user=_text(user, "id", "user.id"), name=name[:_MAX_NAME], team=str(user.get("team_id") or ""))


def _values(message: object, own: str) -> Iterator[str]:
    """The values of the pressed button, then of all others on its message."""
    if own:
        yield own
    waiting = [message]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if node.get("type") == "button" and isinstance(node.get("value"), str):
                yield node["value"]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _mapping(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(payload: Mapping[str, Any], name: str, path: str) -> str:
    found = payload.get(name)
    if not isinstance(found, str) or not found:
        raise PayloadError(f"{path}: is missing")
    return found


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
