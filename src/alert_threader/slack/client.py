"""Slack's Web API, as far as it is needed. Only here is ``WebClient`` known; its errors become SlackError."""

import http.client
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast
from urllib.request import Request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from alert_threader.slack.failures import NOT_SLACK, TOO_MANY, FailureKind, SlackError, archived, refused, unanswered
from alert_threader.slack.transport import Transport

#: Messages asked for at a time; more than this is not recommended
#: (https://docs.slack.dev/reference/methods/conversations.history).
_PAGE = 200
#: How many pages of a channel a message is looked for in, newest first.
_MAX_PAGES = 10
#: A message is looked for so long before and after its attempt, in seconds: this machine's clock need not be Slack's.
_CLOCK_MARGIN = 2 * 60 * 60
#: The same where that would be too much.
_BUSY_MARGIN = 5 * 60


# The SDK reports each failed call itself, at ERROR and with the answer's text. Here every failure is an exception.
_sdk_log = logging.getLogger("alert_threader.slack.sdk")
_sdk_log.setLevel(logging.CRITICAL)


class Sent(NamedTuple):
    """A message that Slack has. ``threaded`` is false for one that stands in the channel itself."""

    ts: str
    threaded: bool


class BotIdentity(NamedTuple):
    """Whom a token belongs to, and what it may do."""

    team: str
    user: str
    scopes: tuple[str, ...]


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

    def __init__(self, token: str, base_url: str, timeout: float) -> None:
        """Take the token, the API's address with its final slash, and the time that one call may take, in seconds."""
        self._client = _Client(token, base_url, Transport(timeout))

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:
        """Post a message, into a thread where ``thread_ts`` is given. Raises SlackError.

        Under a deleted root Slack posts a reply into the channel and says so only by the lack of ``thread_ts``.
        """
        answer = _call(self._client.chat_postMessage, channel=channel, thread_ts=thread_ts, **message)
        if not answer.get("ts"):
            raise SlackError(FailureKind.TRANSIENT, "not_json", NOT_SLACK, outcome_unknown=True)
        return Sent(str(answer["ts"]), bool((answer.get("message") or {}).get("thread_ts")))

    def update(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:
        """Edit a message. Raises SlackError."""
        # What an edit leaves out stays as it was, so a simpler message must say that it has no blocks.
        parts = {"blocks": [], "attachments": [], **message}
        for unknown_to_edits in ("unfurl_links", "unfurl_media", "metadata"):
            parts.pop(unknown_to_edits, None)
        _call(self._client.chat_update, channel=channel, ts=ts, **parts)

    def find(self, channel: str, attempt_id: str, since: float, thread_ts: str | None) -> Sent | None:
        """Look a posted message up by the attempt id in its metadata; None if Slack does not have it.

        ``since`` is when it was sent, in seconds since the epoch; ``thread_ts`` names the thread that it was sent to.
        Raises SlackError, also where there are too many messages to say.
        """
        if thread_ts is not None:
            found = self._find_reply(channel, thread_ts, attempt_id, since - _CLOCK_MARGIN)
            if found is not None:
                return found
        # In the channel: a root, or a reply that lost its root.
        try:
            return self._find_in_channel(channel, attempt_id, since, _CLOCK_MARGIN)
        except SlackError as error:
            if error.code != TOO_MANY:
                raise
        return self._find_in_channel(channel, attempt_id, since, _BUSY_MARGIN)

    def find_last(self, channel: str, key: str, since: float, thread_ts: str | None) -> Sent | None:
        """Look the last message of a thread up by the key in its metadata; None if Slack has had none since then.

        ``since`` is in seconds since the epoch; ``thread_ts`` names the thread whose replies are searched, None looks
        for a root. Raises SlackError, also where there are too many messages to say.
        """
        oldest = since - _BUSY_MARGIN  # further back are former threads of the same key
        if thread_ts is not None:
            replies = list(self._replies(channel, thread_ts, oldest))
            last = next((m["ts"] for m in reversed(replies) if _payload_of(m).get("key") == key), None)
            return None if last is None else Sent(last, threaded=True)
        for message in self._pages(self._client.conversations_history, channel=channel, oldest=f"{oldest:.6f}"):
            # A reply that was sent to the channel too has the root's ts.
            is_root = message.get("thread_ts") in (None, message["ts"])
            if is_root and _payload_of(message).get("key") == key:
                return Sent(message["ts"], threaded=False)
        return None

    def identify(self) -> BotIdentity:
        """Check the token. Raises SlackError."""
        answer = _call(self._client.auth_test)
        scopes = {name.lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes", "")
        return BotIdentity(
            answer.get("team") or "", answer.get("user") or "", tuple(filter(None, scopes.replace(" ", "").split(",")))
        )

    def channel_name(self, channel: str) -> str:
        """The name of a channel. Raises SlackError, also where the app lacks the scope to ask (channels:read)."""
        answer = _call(self._client.conversations_info, channel=channel)
        info = answer.get("channel") or {}
        if info.get("is_archived"):
            raise archived()
        return str(info.get("name") or channel)

    def read(self, channel: str) -> None:
        """Read a channel's last message, as a look-up would read more. Raises SlackError where the app may not."""
        _call(self._client.conversations_history, channel=channel, limit=1, include_all_metadata=True)

    def _find_in_channel(self, channel: str, attempt_id: str, since: float, margin: float) -> Sent | None:
        latest = f"{since + margin:.6f}"
        for message in self._pages(self._client.conversations_history, channel=channel, latest=latest):
            if float(message["ts"]) < since - margin:
                return None
            if _attempt_of(message) == attempt_id:
                return Sent(message["ts"], threaded=False)
        return None

    def _find_reply(self, channel: str, thread_ts: str, attempt_id: str, oldest: float) -> Sent | None:
        messages = self._replies(channel, thread_ts, oldest)
        return next((Sent(m["ts"], threaded=True) for m in messages if _attempt_of(m) == attempt_id), None)

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

    @staticmethod
    def _pages(method: Callable[..., SlackResponse], **arguments: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            answer = _call(method, limit=_PAGE, cursor=cursor, include_all_metadata=True, **arguments)
            yield from answer.get("messages") or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
        text = f"{TOO_MANY}: past {_PAGE * _MAX_PAGES} of them the message is not looked for any further"
        raise SlackError(FailureKind.UNKNOWN_CODE, TOO_MANY, text)


def _attempt_of(message: Mapping[str, Any]) -> str | None:
    return _payload_of(message).get("attempt")


def _payload_of(message: Mapping[str, Any]) -> dict[str, Any]:
    payload = (message.get("metadata") or {}).get("event_payload")
    return payload if isinstance(payload, dict) else {}


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
