"""The Web API's methods, one function each: arguments in; out comes Slack's answer, or `RefusedError`.

Each function's page is https://docs.slack.dev/reference/methods/<its Slack name>.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from slack_sandbox import views
from slack_sandbox.arguments import Arguments
from slack_sandbox.checks import MAX_UPDATE_TEXT, check_message, check_view
from slack_sandbox.errors import RefusedError
from slack_sandbox.messages import Content, JsonObject, Message, Standing
from slack_sandbox.people import TEAM_ID
from slack_sandbox.workspace import Workspace

#: conversations.history returns 100 messages unless `limit` says otherwise, and never 1,000 or more.
DEFAULT_LIMIT = 100
#: conversations.replies returns up to 1,000 without a `limit`.
DEFAULT_REPLIES_LIMIT = 1000
MAX_LIMIT = 999

_TS = re.compile(r"\d{1,12}(\.\d{1,6})?\Z")


@dataclass(frozen=True, slots=True)
class Request:
    """What a method works on."""

    workspace: Workspace
    arguments: Arguments
    origin: str  #: the sandbox's own address, "http://127.0.0.1:8055/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answers, and the message it made or changed, if any."""

    body: JsonObject
    changed: Message | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what it does and the scopes of which it needs one (none: any token will do)."""

    run: Callable[[Request], Answer]
    scopes: tuple[str, ...] = ()
    of_app: bool = False  #: whether it needs an app-level token


def _auth_test(request: Request) -> Answer:
    return Answer(
        {
            "url": request.origin,
            "team": "Sandbox",
            "user": "alert_threader",
            "team_id": TEAM_ID,
            "user_id": views.USER_ID,
            "bot_id": views.BOT_ID,
            "is_enterprise_install": False,
        }
    )


def _post_message(request: Request) -> Answer:
    arguments, workspace = request.arguments, request.workspace
    channel = _writable_channel(request)
    content = _content(arguments, Content())
    check_message(content)
    thread_ts, broadcast = arguments.text("thread_ts") or None, arguments.flag("reply_broadcast")
    message = workspace.post(channel, content, thread_ts, broadcast=broadcast)
    shown = views.slack_message(message, with_metadata=True)
    return Answer({"channel": channel, "ts": message.ts, "message": shown}, message)


def _update(request: Request) -> Answer:
    arguments, workspace = request.arguments, request.workspace
    channel = _writable_channel(request, archived="is_inactive")
    message = workspace.find(channel, arguments.required("ts"))
    # What is left out stays as it is, an empty list or object removes it: the method's page on each argument.
    if not any(name in arguments for name in ("text", "blocks", "attachments")):
        raise RefusedError("no_text")
    content = _content(arguments, message.content)
    check_message(content, MAX_UPDATE_TEXT)
    message = workspace.edit(channel, message.ts, content)
    shown = views.slack_message(message, workspace.replies(channel, message.ts), with_metadata=True)
    return Answer({"channel": channel, "ts": message.ts, "text": message.text, "message": shown}, message)


def _delete(request: Request) -> Answer:
    channel = _writable_channel(request, archived="cant_delete_message")
    message = request.workspace.delete(channel, request.arguments.required("ts"))
    return Answer({"channel": channel, "ts": message.ts}, message)


def _get_permalink(request: Request) -> Answer:
    channel, ts = request.arguments.text("channel"), request.arguments.required("message_ts")
    request.workspace.visit(channel)
    message = request.workspace.find(channel, ts)
    link = f"{request.origin}archives/{channel}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel}"
    return Answer({"channel": channel, "permalink": link})


def _history(request: Request) -> Answer:
    arguments, workspace = request.arguments, request.workspace
    channel = _readable_channel(request)
    oldest, latest = _time_range(arguments)
    found = workspace.history(channel, oldest, latest, inclusive=arguments.flag("inclusive"))
    body = _page(arguments, found, DEFAULT_LIMIT)
    body["messages"] = [
        views.slack_message(
            message,
            workspace.replies(channel, message.ts),
            with_metadata=arguments.flag("include_all_metadata"),
        )
        for message in body["messages"]
    ]
    return Answer(body | {"pin_count": 0})


def _replies(request: Request) -> Answer:
    arguments, workspace = request.arguments, request.workspace
    channel = _readable_channel(request)
    thread = workspace.thread(channel, arguments.required("ts"))
    if not thread:
        raise RefusedError("thread_not_found")
    parent, *replies = thread
    oldest, latest = _time_range(arguments)
    inclusive = arguments.flag("inclusive")
    within = [m for m in replies if _is_within(m.ts, oldest, latest, inclusive=inclusive)]
    with_metadata = arguments.flag("include_all_metadata")
    body = _page(arguments, [parent, *within], DEFAULT_REPLIES_LIMIT)
    body["messages"] = [
        views.slack_message(m, replies if m is parent else (), with_metadata=with_metadata) for m in body["messages"]
    ]
    return Answer(body)


def _info(request: Request) -> Answer:
    channel = request.arguments.text("channel")
    standing = request.workspace.visit(channel)
    return Answer(
        {
            "channel": {
                "id": channel,
                "name": channel.lower(),
                "is_channel": True,
                "is_private": channel.startswith("G"),
                "is_archived": standing is Standing.ARCHIVED,
                "is_member": standing is Standing.EXISTS,
            }
        }
    )


def _react(request: Request) -> Answer:
    name = request.arguments.required("name").strip(":")
    channel = _writable_channel(request)
    return Answer({}, request.workspace.react(channel, request.arguments.required("timestamp"), name))


def _post_ephemeral(request: Request) -> Answer:
    arguments = request.arguments
    channel, user = _writable_channel(request), arguments.required("user")
    content = _content(arguments, Content())
    check_message(content)
    made = request.workspace.whisper(channel, user, content.text, arguments.text("thread_ts") or None)
    return Answer({"message_ts": made.ts})


def _open_view(request: Request) -> Answer:
    arguments = request.arguments
    content = arguments.mapping("view", "invalid_arguments") or {}
    check_view(content)
    view = request.workspace.people.open_view(arguments.text("trigger_id"), content)
    return Answer({"view": {**view.content, "id": view.id, "hash": view.hash}})


def _update_view(request: Request) -> Answer:
    arguments = request.arguments
    content = arguments.mapping("view", "invalid_arguments") or {}
    check_view(content)
    people = request.workspace.people
    view = people.update_view(arguments.required("view_id"), content, arguments.text("hash"))
    return Answer({"view": {**view.content, "id": view.id, "hash": view.hash}})


def _open_connection(request: Request) -> Answer:
    return Answer({"url": request.workspace.sockets.address()})


def _group_members(request: Request) -> Answer:
    group = request.arguments.required("usergroup")
    groups = request.workspace.people.groups
    if group not in groups:
        raise RefusedError("no_such_subteam")
    return Answer({"users": list(groups[group])})


def _writable_channel(request: Request, archived: str = "is_archived") -> str:
    channel = request.arguments.text("channel")
    match request.workspace.visit(channel):
        case Standing.ARCHIVED:
            raise RefusedError(archived)
        case Standing.NOT_IN_CHANNEL:
            raise RefusedError("not_in_channel")
    return channel


def _readable_channel(request: Request) -> str:
    channel = request.arguments.text("channel")
    if request.workspace.visit(channel) is Standing.NOT_IN_CHANNEL:
        raise RefusedError("not_in_channel")
    return channel


def _content(arguments: Arguments, before: Content) -> Content:
    content = before
    if "text" in arguments:
        content = replace(content, text=arguments.text("text"))
    if "blocks" in arguments:
        content = replace(content, blocks=arguments.objects("blocks", "invalid_blocks_format"))
    if "attachments" in arguments:
        content = replace(content, attachments=arguments.objects("attachments", "invalid_attachments"))
    if "metadata" in arguments:
        metadata = arguments.mapping("metadata", "invalid_metadata_format")
        content = replace(content, metadata=metadata or None)
    return content


def _time_range(arguments: Arguments) -> tuple[str, str | None]:
    oldest, latest = arguments.text("oldest"), arguments.text("latest")
    if oldest and not _TS.match(oldest):
        raise RefusedError("invalid_ts_oldest")
    if latest and not _TS.match(latest):
        raise RefusedError("invalid_ts_latest")
    return _sortable(oldest), _sortable(latest) or None


def _sortable(ts: str) -> str:
    # A ts has ten digits before the point until the year 2286; "0" and "1700000000" are allowed here.
    seconds, _, fraction = ts.partition(".")
    return f"{seconds.zfill(10)}.{fraction.ljust(6, '0')}" if ts else ""


def _is_within(ts: str, oldest: str, latest: str | None, *, inclusive: bool) -> bool:
    if inclusive and ts in {oldest, latest}:
        return True
    return oldest < ts and (latest is None or ts < latest)


def _page(arguments: Arguments, found: list[Message], default: int) -> JsonObject:
    """Return the page that `cursor` and `limit` ask for: https://docs.slack.dev/apis/web-api/pagination."""
    limit = arguments.number("limit", default)
    limit = min(limit, MAX_LIMIT) if limit > 0 else default
    start = 0
    if cursor := arguments.text("cursor"):
        start = next((n for n, m in enumerate(found) if _cursor_to(m) == cursor), -1)
        if start < 0:
            raise RefusedError("invalid_cursor")
    rest = found[start + limit :]
    page: JsonObject = {"messages": found[start : start + limit], "has_more": bool(rest)}
    if rest:
        page["response_metadata"] = {"next_cursor": _cursor_to(rest[0])}
    return page


def _cursor_to(message: Message) -> str:
    return base64.b64encode(f"next_ts:{message.ts.replace('.', '')}".encode()).decode()


_HISTORY_SCOPES = ("channels:history", "groups:history", "mpim:history", "im:history")

METHODS = {
    "auth.test": Method(_auth_test),
    "chat.postMessage": Method(_post_message, ("chat:write",)),
    "chat.update": Method(_update, ("chat:write",)),
    "chat.postEphemeral": Method(_post_ephemeral, ("chat:write",)),
    "views.open": Method(_open_view),
    "views.update": Method(_update_view),
    "apps.connections.open": Method(_open_connection, of_app=True),
    "usergroups.users.list": Method(_group_members, ("usergroups:read",)),
    "chat.delete": Method(_delete, ("chat:write",)),
    "chat.getPermalink": Method(_get_permalink),
    "conversations.history": Method(_history, _HISTORY_SCOPES),
    "conversations.replies": Method(_replies, _HISTORY_SCOPES),
    "conversations.info": Method(_info, ("channels:read", "groups:read", "mpim:read", "im:read")),
    "reactions.add": Method(_react, ("reactions:write",)),
}
