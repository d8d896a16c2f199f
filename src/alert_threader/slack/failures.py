"""How a call to Slack fails: every code and every lost answer as one SlackError, which says what the caller can do."""

import http.client
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from slack_sdk.web import SlackResponse

from alert_threader.errors import AlertThreaderError

#: A longer Retry-After is not believed, in seconds.
_LONGEST_RETRY_AFTER = 60 * 60

#: The code of a look-up that gave up.
TOO_MANY = "too_many_messages"


class FailureKind(StrEnum):
    """What a failure asks of the caller."""

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

    ``outcome_unknown`` says that Slack may have done it all the same, or still be at it.
    ``retry_after`` is in seconds. The text is for a person and names the remedy; it never holds the token.
    """

    def __init__(
        self,
        kind: FailureKind,
        code: str,
        text: str,
        *,
        outcome_unknown: bool = False,
        retry_after: float = 0,
    ) -> None:
        """Describe a failure; ``code`` is Slack's own, or a word like ``http_503`` where it gave none."""
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after


#: Codes of https://docs.slack.dev/reference/methods for the methods that are called, each with what to do about it.
#: Those about arguments that are never sent are left out.
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
    "access_denied": "the workspace does not let the app in: ask a workspace admin",
    "team_access_not_granted": "the app is not granted access to this workspace: ask a workspace admin",
    "accesslimited": "the workspace does not let the app in from this network: ask a workspace admin",
    "app_access_restricted": "the workspace restricts the app: ask a workspace admin to approve it",
    "enterprise_is_restricted": "the organisation does not allow this call: ask an admin of the organisation",
    "is_bot": "SLACK_BOT_TOKEN is of a legacy bot: use the token of a Slack app",
    "two_factor_setup_required": "the workspace asks for two-factor authentication: ask a workspace admin",
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
    "posting_to_channel_denied": "the bot may not post in this channel: ask a workspace admin, or use another",
    "ekm_access_denied": "the workspace's admins have suspended posting in this channel: ask them, or use another",
    "channel_is_limited_access": "the bot has no access to the channel: let it in, or use another",
    "method_not_supported_for_channel_type": "a conversation of this type cannot be used: send to a channel",
    "user_is_restricted": "the bot may not post in this channel: ask a workspace admin, or use another",
    "team_not_found": "the channel's workspace is not found: check the channel's ID, install the app in its workspace",
    "message_limit_exceeded": "the workspace has reached its limit of messages: ask a workspace admin",
    "messages_tab_disabled": "the app's messages tab is disabled: send to a channel",
}
_PAYLOAD = frozenset(
    {
        "as_user_not_supported",
        "attachment_payload_limit_exceeded",
        "block_mismatch",
        "blocked_file_type",
        "cant_broadcast_message",
        "file_deleted",
        "file_is_deleted",
        "file_not_found",
        "file_share_limit_reached",
        "invalid_arg_name",
        "invalid_arguments",
        "invalid_array_arg",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_charset",
        "invalid_cursor",
        "invalid_form_data",
        "invalid_json",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "invalid_post_type",
        "invalid_ts_latest",
        "invalid_ts_oldest",
        "json_not_object",
        "markdown_text_conflict",
        "max_file_sharing_exceeded",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "missing_file_data",
        "missing_post_type",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_dual_broadcast_content_update",
        "no_text",
        "slack_connect_blocked_file_type",
        "slack_connect_canvas_sharing_blocked",
        "slack_connect_clip_sharing_blocked",
        "slack_connect_file_link_sharing_blocked",
        "slack_connect_file_upload_sharing_blocked",
        "slack_connect_lists_sharing_blocked",
        "too_many_attachments",
        "too_many_contact_cards",
        "unable_to_share_files",
    }
)
_WHERE_TO_LOOK = "check SLACK_API_URL and what stands between here and Slack"
NOT_SLACK = f"the answer is not Slack's: {_WHERE_TO_LOOK}"
#: A thread that takes no replies is as good as gone: the problem goes on in a new one.
_GONE = {
    "message_not_found": "the message was deleted in Slack",
    "thread_not_found": "the message was deleted in Slack",
    "cannot_reply_to_message": "Slack takes no replies to this message: the thread goes on in a new one",
    "restricted_action_thread_locked": "an admin has locked the thread: it goes on in a new one",
}
_UNEDITABLE = frozenset({"cant_delete_message", "cant_update_message", "edit_window_closed"})
#: The call may have had an effect all the same: "it's possible some aspect of the operation succeeded".
_OUTCOME_UNKNOWN = frozenset({"fatal_error", "internal_error", "service_unavailable", "update_failed"})
_TRANSIENT = frozenset(
    {
        "external_channel_migrating",
        "list_record_comment_fetch_failed",
        "request_timeout",
        "streaming_state_conflict",
        "team_added_to_org",
    }
)
#: Slack has taken the method out of service, or something else answers for it.
_NO_METHOD = frozenset({"deprecated_endpoint", "method_deprecated", "unknown_method"})
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})


def archived() -> SlackError:
    """The failure of a channel that is archived, which some answers say without failing."""
    return _by_code("is_archived", {})


def refused(response: SlackResponse | dict[str, Any]) -> SlackError:
    """What an answer means that is not ``ok``."""
    status = getattr(response, "status_code", 200)
    answer = getattr(response, "data", response)
    data: dict[str, Any] = answer if isinstance(answer, dict) else {}
    code = str(data.get("error", ""))
    if status == http.client.TOO_MANY_REQUESTS or code in _RATE_LIMITED:
        wait = _retry_after(getattr(response, "headers", {}))
        return SlackError(
            FailureKind.RATE_LIMITED, "ratelimited", f"Slack asks to wait {wait:g} s (rate limit)", retry_after=wait
        )
    if status >= http.client.INTERNAL_SERVER_ERROR:
        return SlackError(
            FailureKind.TRANSIENT, f"http_{status}", f"Slack answers {status}: wait for Slack", outcome_unknown=True
        )
    # The SDK puts a text of its own in the place of the code where the answer is no JSON.
    if not code.replace("_", "").isalnum():
        if status >= http.client.BAD_REQUEST:
            # A filter in between: Slack's own answers are JSON, and such a status says that the call was not taken.
            return SlackError(
                FailureKind.TRANSIENT, f"http_{status}", f"Slack's address answers {status}: {_WHERE_TO_LOOK}"
            )
        return SlackError(FailureKind.TRANSIENT, "not_json", NOT_SLACK, outcome_unknown=True)
    return _by_code(code, data)


def _by_code(code: str, data: Mapping[str, Any]) -> SlackError:
    if code in _AUTH:
        needed = f" (needed: {data['needed']})" if data.get("needed") else ""
        return SlackError(FailureKind.AUTH, code, f"{code}: {_AUTH[code]}{needed}")
    if code in _DESTINATION:
        return SlackError(FailureKind.DESTINATION, code, f"{code}: {_DESTINATION[code]}")
    if code in _PAYLOAD:
        details = "; ".join(map(str, (data.get("response_metadata") or {}).get("messages") or ()))[:300]
        return SlackError(
            FailureKind.PAYLOAD, code, f"{code}: Slack refuses the message's form. {details}".rstrip(". ") + "."
        )
    if code in _GONE:
        return SlackError(FailureKind.GONE, code, f"{code}: {_GONE[code]}")
    if code in _UNEDITABLE:
        text = "the workspace lets nobody edit messages (its settings, Message editing): ends are told in the channel"
        return SlackError(FailureKind.UNEDITABLE, code, f"{code}: {text}")
    if code in _NO_METHOD:
        text = f"{code}: Slack does not offer this call any more: upgrade Alert Threader, check SLACK_API_URL"
        return SlackError(FailureKind.AUTH, code, text)
    if code in _OUTCOME_UNKNOWN or code in _TRANSIENT:
        return SlackError(
            FailureKind.TRANSIENT, code, f"{code}: wait for Slack", outcome_unknown=code in _OUTCOME_UNKNOWN
        )
    return SlackError(FailureKind.UNKNOWN_CODE, code, f"{code}: look it up in the documentation of Slack's Web API")


def unanswered(error: Exception) -> SlackError:
    """What it means that a call was sent and no answer came: Slack may have done it all the same."""
    if isinstance(error, TimeoutError):
        text = "Slack did not answer in time: wait for Slack, or check proxy and firewall"
        return SlackError(FailureKind.TRANSIENT, "timeout", text, outcome_unknown=True)
    text = f"the connection to Slack broke off ({type(error).__name__}): wait for Slack, or check the network"
    return SlackError(FailureKind.TRANSIENT, "connection", text, outcome_unknown=True)


def _retry_after(headers: Mapping[str, Any]) -> float:
    """The seconds that Slack asks for; its documentation knows whole seconds only. 1 where there is no such header."""
    value = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    try:
        return min(max(float(value), 1.0), _LONGEST_RETRY_AFTER)
    except (TypeError, ValueError):
        return 1.0
