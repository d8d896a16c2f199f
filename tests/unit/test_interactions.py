"""What Slack sends when somebody presses, read: the shapes that it has, and those that it must not have."""

from typing import Any

import pytest

from alert_threader.errors import PayloadError
from alert_threader.slack.interactions import Button, Form, parse

USER = {"id": "U0KIM", "username": "kim", "name": "kim", "team_id": "T1"}


def pressed(**fields: Any) -> dict[str, Any]:
    """A press on a button of ours, inside an attachment."""
    return {
        "type": "block_actions",
        "user": USER,
        "team": None,
        "container": {"type": "message_attachment", "channel_id": "C1", "message_ts": "1.5", "attachment_id": 1},
        "message": {
            "attachments": [{"blocks": [{"type": "actions", "elements": [{"type": "button", "value": "key"}]}]}]
        },
        "trigger_id": "t",
        "response_url": "https://hooks.slack.com/actions/1",
        "actions": [{"type": "button", "action_id": "acknowledge", "value": "key", "action_ts": "9.1"}],
        **fields,
    }


def submitted(**fields: Any) -> dict[str, Any]:
    """A form, filled in."""
    values = {
        "duration": {"duration": {"type": "plain_text_input", "value": "2h"}},
        "options": {"options": {"type": "checkboxes", "selected_options": [{"value": "each_alert"}]}},
        "reason": {"reason": {"type": "plain_text_input", "value": None}},
    }
    view = {"id": "V1", "hash": "h", "callback_id": "silence", "private_metadata": "about", "state": {"values": values}}
    return {"type": "view_submission", "user": USER, "team": {"id": "T1"}, "view": view, **fields}


def test_a_button() -> None:
    """Who pressed what, where; in an organisation the team is null, and the person's own is known."""
    button = parse(pressed())
    assert isinstance(button, Button)
    assert (button.person.user, button.person.team, button.workspace) == ("U0KIM", "T1", "")
    assert (button.action, button.channel, button.ts, button.keys) == ("acknowledge", "C1", "1.5", ("key",))


def test_a_menu() -> None:
    """The option that was chosen; the thread is known by the buttons beside it."""
    action = {"type": "static_select", "action_id": "silence", "selected_option": {"value": "1h|ab"}, "action_ts": "9"}
    button = parse(pressed(actions=[action]))
    assert isinstance(button, Button)
    assert (button.option, button.keys) == ("1h|ab", ("key",))


def test_a_form() -> None:
    """What was filled in; an input that was left empty is an empty text."""
    form = parse(submitted())
    assert isinstance(form, Form)
    assert form.values == {"duration": "2h", "options": ("each_alert",), "reason": ""}
    assert (form.form, form.about) == ("silence", "about")


def test_the_same_press_is_known_again() -> None:
    """By message, button, person and time; of a form, by its id and hash."""
    first, again = parse(pressed()), parse(pressed(trigger_id="other"))
    other = parse(pressed(actions=[{"type": "button", "action_id": "acknowledge", "action_ts": "9.2"}]))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.op == again.op != other.op
    assert parse(submitted()) == parse(submitted())


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "shortcut"},
        {},
        pressed(actions=[]),
        pressed(actions="none"),
        pressed(container={"type": "view", "view_id": "V1"}),
    ],
)
def test_what_is_not_ours(payload: dict[str, Any]) -> None:
    """It is passed over."""
    assert parse(payload) is None


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ("text", "the payload must be a JSON object"),
        ([1], "the payload must be a JSON object"),
        (pressed(user={}), "user.id: is missing"),
        (pressed(user=None), "user.id: is missing"),
        (pressed(container={"type": "message", "channel_id": "C1"}), "container.message_ts: is missing"),
        (pressed(actions=[{"type": "button"}]), "actions[0].action_id: is missing"),
        (submitted(view={}), "view.id: is missing"),
    ],
)
def test_what_is_missing(payload: object, path: str) -> None:
    """It is named by its path."""
    with pytest.raises(PayloadError) as caught:
        parse(payload)
    assert str(caught.value) == path
