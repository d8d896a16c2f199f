"""Slack's Web API, as far as it is needed. Only here is ``WebClient`` known; its errors become SlackError."""

import http.client
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, NamedTuple, cast
from urllib.request import Request

import msgspec
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from alert_threader.slack.clocks import Clocks
from alert_threader.slack.failures import NOT_SLACK, TOO_MANY, FailureKind, SlackError, archived, refused, unanswered
from alert_threader.slack.search import MAX_PAGES, PAGE, Search, Sent, payload_of, too_many
from alert_threader.slack.transport import Transport

#: What was posted since a restore is looked for so long before it, in seconds: further back are former threads.
_BUSY_MARGIN = 5 * 60
#: How many searches that a failure has stopped are remembered, to go on with.
_MAX_SEARCHES = 100


# The SDK reports each failed call itself, at ERROR and with the answer's text. Here every failure is an exception.
_sdk_log = logging.getLogger("alert_threader.slack.sdk")
_sdk_log.setLevel(logging.CRITICAL)


#: What to do about an app-level token that is wrong.
_NOT_ACCEPTED = (
    "Slack does not accept SLACK_APP_TOKEN: make an app-level token with the scope connections:write "
    'on the Slack app\'s page "Basic Information", and turn on Socket Mode'
)


class BotIdentity(NamedTuple):
    """Whom a token belongs to, what it may do, and the id and the URL of its workspace."""

    team: str
    user: str
    scopes: tuple[str, ...]
    team_id: str = ""
    url: str = ""

    def permalink(self, channel: str, ts: str) -> str:
        """The address of a message, as ``chat.getPermalink`` would answer; empty where the URL is not known."""
        return f"{self.url.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}" if self.url else ""


class _Client(WebClient):
    """The SDK's client on a road of our own: the SDK's follows redirects, and waits for each step anew."""

    def __init__(self, token: str, base_url: str, transport: Transport) -> None:
        # The SDK's own handlers post again when an answer is lost.
        super().__init__(token, base_url, retry_handlers=[], logger=_sdk_log)
        self._transport = transport

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        # The one place in which the SDK opens a connection.
        return self._transport.post(url, cast("bytes", req.data or b""), dict(req.header_items()))._asdict()


class Slack:
    """One workspace, by one bot token. Safe to use from several threads."""

    def __init__(self, token: str, base_url: str, timeout: float, clock: Callable[[], float] = time.time) -> None:
        """Take the token, the API's address with its final slash, and the time that one call may take, in seconds.

        ``clock`` is the time of day, from which the times of attempts are read.
        """
        self._clocks = Clocks(clock)
        self._searches: dict[tuple[str | None, ...], Search] = {}
        self._transport = Transport(timeout)
        self._client = _Client(token, base_url, self._transport)

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:
        """Post a message, into a thread where ``thread_ts`` is given. Raises SlackError.

        Under a deleted root Slack posts a reply into the channel and says so only by the lack of ``thread_ts``.
        """
        answer = self._call(self._client.chat_postMessage, channel=channel, thread_ts=thread_ts, **message)
        if not answer.get("ts"):
            raise SlackError(FailureKind.TRANSIENT, "not_json", NOT_SLACK, outcome_unknown=True)
        return Sent(str(answer["ts"]), bool((answer.get("message") or {}).get("thread_ts")))

    def update(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:
        """Edit a message. Raises SlackError."""
        # What an edit leaves out stays as it was, so a simpler message must say that it has no blocks.
        parts = {"blocks": [], "attachments": [], **message}
        for unknown_to_edits in ("unfurl_links", "unfurl_media", "metadata"):
            parts.pop(unknown_to_edits, None)
        self._call(self._client.chat_update, channel=channel, ts=ts, **parts)

    def delete(self, channel: str, ts: str) -> None:
        """Delete a message of ours. Raises SlackError."""
        self._call(self._client.chat_delete, channel=channel, ts=ts)

    def link(self, channel: str, ts: str) -> str:
        """The address of a message. Raises SlackError."""
        return str(self._call(self._client.chat_getPermalink, channel=channel, message_ts=ts).get("permalink") or "")

    def respond(self, url: str, text: str) -> None:
        """Answer a press with a line that only its presser sees, at the address that it came with. Raises SlackError.

        https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
        """
        if not url.startswith(("https://", "http://")):
            raise SlackError(FailureKind.PAYLOAD, "invalid_url", "the answer's address is not one of Slack's")
        # Without `replace_original` the line would take the message's place.
        body = {"response_type": "ephemeral", "replace_original": False, "text": text}
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            answer = self._transport.post(url, msgspec.json.encode(body), headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unanswered(error) from error
        if answer.status != http.client.OK:
            text = f"Slack answers {answer.status} to an answer to a press"
            raise SlackError(FailureKind.TRANSIENT, f"http_{answer.status}", text)

    def whisper(self, channel: str, user: str, text: str) -> None:
        """Post a line that only one person sees. Raises SlackError."""
        self._call(self._client.chat_postEphemeral, channel=channel, user=user, text=text)

    def open_view(self, trigger: str, view: Mapping[str, Any]) -> str:
        """Open a form for whoever pressed, at most 3 s ago; return its id. Raises SlackError."""
        answer = self._call(self._client.views_open, trigger_id=trigger, view=dict(view))
        return str((answer.get("view") or {}).get("id") or "")

    def update_view(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Show something else in a form that is open. Raises SlackError."""
        self._call(self._client.views_update, view_id=view_id, view=dict(view))

    def members(self, group: str) -> frozenset[str]:
        """The users of a user group. Raises SlackError, also where the app lacks the scope (usergroups:read)."""
        answer = self._call(self._client.usergroups_users_list, usergroup=group)
        return frozenset(map(str, answer.get("users") or ()))

    def find(self, channel: str, attempt_ids: Collection[str], since: float, thread_ts: str | None) -> dict[str, Sent]:
        """Look posted messages up by the attempts' ids in their metadata; those that Slack has, by id.

        ``since`` is when the first was sent, in seconds since the epoch; ``thread_ts`` names the thread that they were
        sent to. Raises SlackError, also where there are too many messages to say. After a failure the same call goes on
        where it was.
        """
        name = (channel, thread_ts, *sorted(attempt_ids))
        search = self._searches.pop(name, None) or Search(
            partial(self._call, self._client.conversations_history),
            partial(self._call, self._client.conversations_replies),
            channel=channel,
            thread_ts=thread_ts,
            attempt_ids=attempt_ids,
            since=since,
            ahead=self._clocks.ahead(),
        )
        try:
            return search.run()
        except SlackError as error:
            if error.code != TOO_MANY:
                self._searches[name] = search
            for former in list(self._searches)[:-_MAX_SEARCHES]:
                self._searches.pop(former, None)
            raise

    def find_last(self, channel: str, key: str, since: float, thread_ts: str | None) -> Sent | None:
        """Look the last message of a thread up by the key in its metadata; None if Slack has had none since then.

        ``since`` is in seconds since the epoch; ``thread_ts`` names the thread whose replies are searched, None looks
        for a root. Raises SlackError, also where there are too many messages to say.
        """
        oldest = since - _BUSY_MARGIN
        if thread_ts is not None:
            replies = list(self._replies(channel, thread_ts, oldest))
            last = next((m["ts"] for m in reversed(replies) if payload_of(m).get("key") == key), None)
            return None if last is None else Sent(last, threaded=True)
        for message in self._pages(self._client.conversations_history, channel=channel, oldest=f"{oldest:.6f}"):
            # A reply that was sent to the channel too has the root's ts.
            is_root = message.get("thread_ts") in (None, message["ts"])
            if is_root and payload_of(message).get("key") == key:
                return Sent(message["ts"], threaded=False)
        return None

    def identify(self) -> BotIdentity:
        """Check the token. Raises SlackError."""
        answer = self._call(self._client.auth_test)
        scopes = {name.lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes", "")
        team, user, team_id, url = (str(answer.get(name) or "") for name in ("team", "user", "team_id", "url"))
        return BotIdentity(team, user, tuple(filter(None, scopes.replace(" ", "").split(","))), team_id, url)

    def channel_name(self, channel: str) -> str:
        """The name of a channel. Raises SlackError, also where the app lacks the scope to ask (channels:read)."""
        answer = self._call(self._client.conversations_info, channel=channel)
        info = answer.get("channel") or {}
        if info.get("is_archived"):
            raise archived()
        return str(info.get("name") or channel)

    def read(self, channel: str) -> None:
        """Read a channel's last message, as a look-up would read more. Raises SlackError where the app may not."""
        self._call(self._client.conversations_history, channel=channel, limit=1, include_all_metadata=True)

    def _replies(self, channel: str, thread_ts: str, oldest: float) -> Iterator[dict[str, Any]]:
        """A thread's replies, oldest first; none where its root is gone."""
        try:
            method = self._client.conversations_replies
            for message in self._pages(method, channel=channel, ts=thread_ts, oldest=f"{oldest:.6f}"):
                if message["ts"] != thread_ts:
                    yield message
        except SlackError as error:
            if error.kind is not FailureKind.GONE:
                raise

    def _pages(self, method: Callable[..., SlackResponse], **arguments: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            answer = self._call(method, limit=PAGE, cursor=cursor, include_all_metadata=True, **arguments)
            yield from answer.get("messages") or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
        raise too_many()

    def _call(self, method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
        answer = _call(method, **arguments)
        date = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
        with suppress(ValueError):
            self._clocks.heard(parsedate_to_datetime(date).timestamp())
        return answer


class AppClient:
    """What an app-level token is for: connections of Socket Mode."""

    def __init__(self, client: WebClient) -> None:
        self._client = client

    def open_connection(self) -> str:
        """An address at which one connection may be opened, once and soon. Raises SlackError."""
        try:
            answer = _call(self._client.apps_connections_open, app_token=str(self._client.token))
        except SlackError as error:
            if error.kind is FailureKind.AUTH:
                text = f"{error.code}: {_NOT_ACCEPTED}"
                raise SlackError(FailureKind.AUTH, error.code, text) from error
            raise
        return str(answer.get("url") or "")


def app_client(app_token: str, base_url: str, timeout: float) -> AppClient:
    """The client for an app-level token; each call may take ``timeout`` seconds."""
    return AppClient(_Client(app_token, base_url, Transport(timeout)))


def _call(method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
    try:
        return method(**arguments)
    except SlackApiError as error:
        raise refused(error.response) from error
    except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
        raise unanswered(error) from error
    except (AttributeError, TypeError) as error:
        # The SDK takes every JSON for an object.
        raise SlackError(FailureKind.TRANSIENT, "not_json", NOT_SLACK, outcome_unknown=True) from error
