"""What people do in the workspace, and what only one of them sees: presses, forms, ephemeral messages.

A press goes to the app as Slack sends it, signed, and must be answered within 3 s:
https://docs.slack.dev/interactivity/handling-user-interaction
"""

import hashlib
import hmac
import itertools
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import requests

from slack_sandbox.errors import RefusedError
from slack_sandbox.messages import JsonObject

TEAM_ID, OTHER_TEAM_ID = "T0SANDBOX", "T0OTHER"
#: How long Slack waits for the app's answer, and how long a trigger opens a form, in seconds.
ANSWER_WAIT = 3.0
TRIGGER_LASTS = 3.0
#: How often, and for how long (in seconds), an answer may be sent to a press's response_url.
RESPONSES, RESPONSES_LAST = 5, 30 * 60.0


@dataclass(frozen=True, slots=True)
class User:
    """A person, and the workspace that the person belongs to."""

    id: str
    name: str
    team: str = TEAM_ID

    def as_json(self) -> JsonObject:
        """The person as an interaction payload names it."""
        return {"id": self.id, "username": self.name.lower(), "name": self.name.lower(), "team_id": self.team}


#: Who is there: two colleagues, and a guest of another workspace.
USERS = {user.id: user for user in (User("U0KIM", "Kim"), User("U0LEE", "Lee"), User("U0EVE", "Eve", OTHER_TEAM_ID))}


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message that only one person sees."""

    number: int
    channel: str
    user: str
    text: str
    ts: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A form that is open for one person."""

    id: str
    user: str
    content: JsonObject
    hash: str
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the app answered; status 0 where it did not."""

    status: int
    body: bytes = b""

    @property
    def is_ok(self) -> bool:
        """Whether Slack is content with it."""
        return 200 <= self.status < 300

    @property
    def content(self) -> JsonObject:
        """The JSON object in it, empty where there is none."""
        try:
            found = json.loads(self.body) if self.body else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class People:
    """Who has which form open, and what only one person sees. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float], touch: Callable[[], int]) -> None:
        """``touch`` is called when something has changed."""
        self._clock = clock
        self._touch = touch
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.groups: dict[str, tuple[str, ...]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all but the user groups."""
        self._ephemerals: list[Ephemeral] = []
        self._views: dict[str, View] = {}
        self._triggers: dict[str, tuple[str, float]] = {}
        self._responses: dict[str, tuple[str, str, str, float, int]] = {}

    def user(self, user_id: str) -> User:
        """A person; whoever is not known is a colleague."""
        return USERS.get(user_id) or User(user_id, user_id)

    @property
    def ephemerals(self) -> list[Ephemeral]:
        """What only one person sees, oldest first."""
        return list(self._ephemerals)

    @property
    def views(self) -> list[View]:
        """The forms that are open."""
        return list(self._views.values())

    def whisper(self, channel: str, user: str, text: str, ts: str, thread_ts: str | None) -> Ephemeral:
        """Show a message to one person."""
        made = Ephemeral(next(self._numbers), channel, user, text, ts, thread_ts)
        self._ephemerals.append(made)
        self._touch()
        return made

    # -- triggers and answers ------------------------------------------------------------------------------------

    def trigger(self, user: str) -> str:
        """A trigger of a press by this person."""
        made = f"{next(self._numbers)}.{secrets.token_hex(8)}"
        self._triggers[made] = (user, self._clock() + TRIGGER_LASTS)
        return made

    def response_path(self, channel: str, user: str, ts: str) -> str:
        """Where a press can be answered, as a path."""
        token = secrets.token_hex(12)
        self._responses[token] = (channel, user, ts, self._clock() + RESPONSES_LAST, RESPONSES)
        return f"actions/{TEAM_ID}/{token}"

    def response(self, token: str) -> tuple[str, str, str]:
        """Use an address once: the press's channel, person and message. Raises RefusedError where it has expired."""
        with self._lock:
            channel, user, ts, until, left = self._responses.get(token, ("", "", "", 0.0, 0))
            if left < 1 or until < self._clock():
                raise RefusedError("used_url" if channel else "invalid_url")
            self._responses[token] = (channel, user, ts, until, left - 1)
        return channel, user, ts

    # -- forms ---------------------------------------------------------------------------------------------------

    def open_view(self, trigger: str, content: JsonObject) -> View:
        """Open a form for whoever has pressed. Raises RefusedError."""
        user, until = self._triggers.pop(trigger, ("", 0.0))
        if not user:
            raise RefusedError("invalid_trigger_id" if not trigger else "exchanged_trigger_id")
        if until < self._clock():
            raise RefusedError("expired_trigger_id")
        view = View(f"V{next(self._numbers):08}", user, content, secrets.token_hex(8))
        return self._keep(view)

    def update_view(self, view_id: str, content: JsonObject, expected: str = "") -> View:
        """Show something else in a form. Raises RefusedError."""
        view = self.view(view_id)
        if expected and expected != view.hash:
            raise RefusedError("hash_conflict")
        return self._keep(replace(view, content=content, hash=secrets.token_hex(8), errors={}))

    def view(self, view_id: str) -> View:
        """A form that is open. Raises RefusedError."""
        if view_id not in self._views:
            raise RefusedError("not_found")
        return self._views[view_id]

    def close_view(self, view_id: str) -> None:
        """Close a form."""
        self._views.pop(view_id, None)
        self._touch()

    def show_errors(self, view_id: str, errors: dict[str, str]) -> None:
        """Show what is wrong with what was filled in."""
        self._keep(replace(self.view(view_id), errors=errors))

    def _keep(self, view: View) -> View:
        self._views[view.id] = view
        self._touch()
        return view


def send(url: str, secret: str, payload: JsonObject, now: float) -> Answered:
    """Send an interaction as Slack does over HTTP; what the app answered within 3 s."""
    body = urlencode({"payload": json.dumps(payload, ensure_ascii=False)}).encode()
    timestamp = str(int(now))
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={signed}",
    }
    with requests.Session() as session:
        # The proxies of this machine are not Slack's.
        session.trust_env = False
        try:
            answer = session.post(url, body, headers=headers, timeout=ANSWER_WAIT, allow_redirects=False)
        except requests.RequestException:
            return Answered(0)
        return Answered(answer.status_code, answer.content)


def element_of(blocks: Any, action_id: str) -> tuple[JsonObject, str] | None:
    """A button or a menu in some blocks, with its block's id; None where there is none."""
    for number, block in enumerate(blocks or ()):
        elements = [*(block.get("elements") or ()), block.get("accessory")]
        for element in elements:
            if isinstance(element, dict) and element.get("action_id") == action_id:
                return element, str(block.get("block_id") or f"b{number}")
    return None
