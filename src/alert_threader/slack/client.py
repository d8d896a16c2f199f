"""Slack's Web API, as far as it is needed. Only here is ``WebClient`` known; its errors become SlackError."""

import http.client
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import HTTPSHandler, build_opener, install_opener

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from alert_threader.errors import AlertThreaderError

#: Messages asked for at a time; more than this is not recommended
#: (https://docs.slack.dev/reference/methods/conversations.history).
_PAGE = 200
#: How many pages of a channel a message is looked for in, newest first.
_MAX_PAGES = 10
#: A message is looked for so long before and after its attempt, in seconds: this machine's clock need not be Slack's.
_CLOCK_MARGIN = 2 * 60 * 60
#: The same in a channel that is too busy for that.
_BUSY_MARGIN = 5 * 60

#: A longer Retry-After is not believed, in seconds.
_LONGEST_RETRY_AFTER = 60 * 60

#: The code of a look-up that gave up.
TOO_MANY = "too_many_messages"

# The SDK reports each failed call itself, at ERROR and with the answer's text. Here every failure is an exception.
_sdk_log = logging.getLogger("alert_threader.slack.sdk")
_sdk_log.setLevel(logging.CRITICAL)


class Kind(StrEnum):
    """What a failure asks of the caller (DESIGN: kinds of failure)."""

    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    AUTH = "auth"
    DESTINATION = "destination"
    PAYLOAD = "payload"
    GONE = "gone"
    UNEDITABLE = "uneditable"
    UNKNOWN_CODE = "unknown_code"


class SlackError(AlertThreaderError):
    """A call that Slack did not answer with ok.

    ``doubtful`` says that Slack may have done it all the same, or still be at it.
    ``retry_after`` is in seconds. The text is for a person and names the remedy; it never holds the token.
    """

    def __init__(
        self,
        kind: Kind,
        code: str,
        text: str,
        *,
        doubtful: bool = False,
        retry_after: float = 0,
    ) -> None:
        """Describe a failure; ``code`` is Slack's own, or a word like ``http_503`` where it gave none."""
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.doubtful = doubtful
        self.retry_after = retry_after


class Sent(NamedTuple):
    """A message that Slack has. ``threaded`` is false for one that stands in the channel itself."""

    ts: str
    threaded: bool


class Identity(NamedTuple):
    """Whom a token belongs to, and what it may do."""

    team: str
    user: str
    scopes: tuple[str, ...]


#: Codes of https://docs.slack.dev/reference/methods/chat.postMessage and chat.update, each with what to do about it.
_AUTH = {
    "invalid_auth": "Slack does not accept the bot token: put the app's Bot User OAuth Token into SLACK_BOT_TOKEN",
    "not_authed": "no bot token was sent: set SLACK_BOT_TOKEN",
    "account_inactive": "the bot token belongs to a removed app or user: install the app again and set SLACK_BOT_TOKEN",
    "token_revoked": "the bot token was revoked: install the app again and set SLACK_BOT_TOKEN",
    "token_expired": "the bot token has expired: turn off token rotation for the app, or set a new SLACK_BOT_TOKEN",
    "not_allowed_token_type": "SLACK_BOT_TOKEN is not a bot token: use the one that starts with xoxb-",
    "missing_scope": "the Slack app lacks a scope: add chat:write, install the app again",
    "no_permission": "the Slack app may not do this: ask a workspace admin to approve it",
    "org_login_required": "the workspace is being moved into an organisation: wait, or ask a workspace admin",
    "ekm_access_denied": "the workspace's admins have suspended posting: ask them",
    "access_denied": "the workspace does not let the app in: ask a workspace admin",
    "team_access_not_granted": "the app is not granted access to this workspace: ask a workspace admin",
}
_DESTINATION = {
    "channel_not_found": "no such channel, or a private one without the bot: check its ID, invite the bot",
    "is_archived": "the channel is archived: unarchive it, or send to another",
    "is_inactive": "the channel is archived: unarchive it, or send to another",
    "not_in_channel": "the bot is not in the channel: invite it with /invite",
    "restricted_action": "the workspace does not let the bot post in this channel: ask a workspace admin",
    "restricted_action_read_only_channel": "the channel is read-only: let the bot post in it",
    "restricted_action_thread_only_channel": "the channel allows threads only: let the bot post in it",
    "restricted_action_non_threadable_channel": "the channel allows no threads: use another",
    "message_limit_exceeded": "the workspace has reached its limit of messages: ask a workspace admin",
    "messages_tab_disabled": "the app's messages tab is disabled: send to a channel",
}
_PAYLOAD = frozenset(
    {
        "attachment_payload_limit_exceeded",
        "invalid_arg_name",
        "invalid_arguments",
        "invalid_array_arg",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_charset",
        "invalid_form_data",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "json_not_object",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
_NOT_SLACK = "the answer is not Slack's: check SLACK_API_URL and what stands between here and Slack"
_GONE = frozenset({"message_not_found", "thread_not_found"})
_UNEDITABLE = frozenset({"cant_update_message", "edit_window_closed"})
#: The call may have had an effect all the same: "it's possible some aspect of the operation succeeded".
_DOUBTFUL = frozenset({"fatal_error", "internal_error", "service_unavailable"})
_TRANSIENT = frozenset({"request_timeout", "team_added_to_org"})
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})


class Slack:
    """One workspace, by one bot token. Safe to use from several threads.

    To make one sets how all of this process opens an address by urllib, which nothing else here does.
    """

    def __init__(self, token: str, base_url: str, timeout: float) -> None:
        """Take the token, the API's address with its final slash, and the time that one call may take, in seconds."""
        # One for all calls: making one costs 28 ms.
        context = ssl.create_default_context()
        self._client = WebClient(
            token=token,
            base_url=base_url,
            timeout=timeout,  # type: ignore[arg-type]  # it is handed to urlopen, which takes fractions too
            ssl=context,
            # The SDK's own handlers post again when an answer is lost.
            retry_handlers=[],
            logger=_sdk_log,
        )
        if self._client.proxy is None:
            # For each call that names a context urlopen would make a new opener, for 0.2 ms. A proxy's the SDK makes.
            install_opener(build_opener(HTTPSHandler(context=context)))
            self._client.ssl = None

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:
        """Post a message, into a thread where ``thread_ts`` is given. Raises SlackError.

        Under a deleted root Slack posts a reply into the channel and says so only by the lack of ``thread_ts``.
        """
        answer = _call(self._client.chat_postMessage, channel=channel, thread_ts=thread_ts, **message)
        if not answer.get("ts"):
            raise SlackError(Kind.TRANSIENT, "not_json", _NOT_SLACK, doubtful=True)
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

    def identify(self) -> Identity:
        """Check the token. Raises SlackError."""
        answer = _call(self._client.auth_test)
        scopes = {name.lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes", "")
        return Identity(
            answer.get("team") or "", answer.get("user") or "", tuple(filter(None, scopes.replace(" ", "").split(",")))
        )

    def channel_name(self, channel: str) -> str:
        """The name of a channel. Raises SlackError, also where the app lacks the scope to ask (channels:read)."""
        answer = _call(self._client.conversations_info, channel=channel)
        info = answer.get("channel") or {}
        if info.get("is_archived"):
            raise SlackError(Kind.DESTINATION, "is_archived", f"is_archived: {_DESTINATION['is_archived']}")
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
        try:
            messages = self._pages(
                self._client.conversations_replies, channel=channel, ts=thread_ts, oldest=f"{oldest:.6f}"
            )
            return next((Sent(m["ts"], threaded=True) for m in messages if _attempt_of(m) == attempt_id), None)
        except SlackError as error:
            if error.kind is Kind.GONE:
                return None
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
        raise SlackError(Kind.UNKNOWN_CODE, TOO_MANY, text)


def _attempt_of(message: Mapping[str, Any]) -> str | None:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return payload.get("attempt") if isinstance(payload, dict) else None


def _call(method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
    try:
        return method(**arguments)
    except SlackApiError as error:
        raise _refused(error.response) from error
    except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
        raise _unanswered(error) from error
    except (AttributeError, TypeError) as error:
        # The SDK takes every JSON for an object.
        raise SlackError(Kind.TRANSIENT, "not_json", _NOT_SLACK, doubtful=True) from error


def _refused(response: SlackResponse | dict[str, Any]) -> SlackError:
    status = getattr(response, "status_code", 200)
    answer = getattr(response, "data", response)
    data: dict[str, Any] = answer if isinstance(answer, dict) else {}
    code = str(data.get("error", ""))
    if status == http.client.TOO_MANY_REQUESTS or code in _RATE_LIMITED:
        wait = _retry_after(getattr(response, "headers", {}))
        return SlackError(
            Kind.RATE_LIMITED, "ratelimited", f"Slack asks to wait {wait:g} s (rate limit)", retry_after=wait
        )
    if status >= http.client.INTERNAL_SERVER_ERROR:
        return SlackError(Kind.TRANSIENT, f"http_{status}", f"Slack answers {status}: wait for Slack", doubtful=True)
    # The SDK puts a text of its own in the place of the code where the answer is no JSON.
    if not code.replace("_", "").isalnum():
        return SlackError(Kind.TRANSIENT, "not_json", _NOT_SLACK, doubtful=True)
    return _by_code(code, data)


def _by_code(code: str, data: Mapping[str, Any]) -> SlackError:
    if code in _AUTH:
        needed = f" (needed: {data['needed']})" if data.get("needed") else ""
        return SlackError(Kind.AUTH, code, f"{code}: {_AUTH[code]}{needed}")
    if code in _DESTINATION:
        return SlackError(Kind.DESTINATION, code, f"{code}: {_DESTINATION[code]}")
    if code in _PAYLOAD:
        details = "; ".join(map(str, (data.get("response_metadata") or {}).get("messages") or ()))[:300]
        return SlackError(Kind.PAYLOAD, code, f"{code}: Slack refuses the message's form. {details}".rstrip(". ") + ".")
    if code in _GONE:
        return SlackError(Kind.GONE, code, f"{code}: the message was deleted in Slack")
    if code in _UNEDITABLE:
        return SlackError(Kind.UNEDITABLE, code, f"{code}: the workspace does not let the bot edit this message")
    if code in _DOUBTFUL or code in _TRANSIENT:
        return SlackError(Kind.TRANSIENT, code, f"{code}: wait for Slack", doubtful=code in _DOUBTFUL)
    return SlackError(Kind.UNKNOWN_CODE, code, f"{code}: look it up in the documentation of Slack's Web API")


def _unanswered(error: Exception) -> SlackError:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"Slack's certificate is not trusted ({cause.verify_message}): check the CA certificates and any proxy"
        return SlackError(Kind.TRANSIENT, "certificate", text)
    if isinstance(cause, socket.gaierror):
        return SlackError(Kind.TRANSIENT, "dns", "Slack's host name is not found: check DNS and SLACK_API_URL")
    if isinstance(cause, ConnectionRefusedError):
        return SlackError(
            Kind.TRANSIENT, "refused", "the connection to Slack is refused: check SLACK_API_URL, proxy, firewall"
        )
    if isinstance(cause, TimeoutError):
        text = "Slack did not answer in time: wait for Slack, or check proxy and firewall"
        return SlackError(Kind.TRANSIENT, "timeout", text, doubtful=True)
    text = f"the connection to Slack broke off ({type(cause).__name__}): wait for Slack, or check the network"
    return SlackError(Kind.TRANSIENT, "connection", text, doubtful=True)


def _retry_after(headers: Mapping[str, Any]) -> float:
    """The seconds that Slack asks for; its documentation knows whole seconds only. 1 where there is no such header."""
    value = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    try:
        return min(max(float(value), 1.0), _LONGEST_RETRY_AFTER)
    except (TypeError, ValueError):
        return 1.0
