"""Messages, channels and threads as Slack keeps them.

Rules, all held in this file:

* A message is known by its channel and `ts`. `ts` never changes, also when it is edited.
  https://docs.slack.dev/messaging/modifying-messages
* A thread is a parent and the messages whose `thread_ts` is the parent's `ts`. Threads do not nest.
  https://docs.slack.dev/messaging/#threading
* A deleted message is gone. A parent that still has replies leaves a tombstone, which holds the thread.
* A reply to a parent that is deleted or unknown is not refused: it is posted at channel level.
* The last reply of a tombstone takes the tombstone with it.

Nothing here knows HTTP, the clock or other threads; whoever changes a channel holds the workspace's lock.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from slack_sandbox.errors import RefusedError
from slack_sandbox.mentions import mentions_of

JsonObject = dict[str, Any]


class Standing(Enum):
    """What the bot may do in a channel."""

    EXISTS = "exists"
    ARCHIVED = "archived"
    NOT_IN_CHANNEL = "not_in_channel"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Content:
    """What a sender decides about a message."""

    text: str = ""
    blocks: tuple[JsonObject, ...] = ()
    attachments: tuple[JsonObject, ...] = ()
    metadata: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is now; a change makes a new value, so one that was read earlier can be compared."""

    channel: str
    ts: str
    content: Content
    version: int  #: the workspace's version at the last change of this message or of its thread
    thread_ts: str | None = None  #: the parent's ts; only replies have it
    edited_ts: str | None = None
    deleted: bool = False
    reactions: tuple[str, ...] = ()
    broadcast: bool = False  #: whether a reply stands in the channel too

    @property
    def text(self) -> str:
        """The text that a notification shows."""
        return self.content.text

    @property
    def blocks(self) -> tuple[JsonObject, ...]:
        """The blocks as they were sent."""
        return self.content.blocks

    @property
    def attachments(self) -> tuple[JsonObject, ...]:
        """The attachments as they were sent."""
        return self.content.attachments

    @property
    def metadata(self) -> JsonObject | None:
        """The metadata as it was sent, or None."""
        return self.content.metadata

    @property
    def color(self) -> str | None:
        """The colour of the first attachment, which is the bar that a reader sees first."""
        return next((a["color"] for a in self.attachments if isinstance(a.get("color"), str)), None)

    @property
    def mentions(self) -> tuple[str, ...]:
        """Whom the message notifies: `channel`, `here`, `everyone`, user ids, `subteam:ID`."""
        return mentions_of(self.text, self.blocks, self.attachments)


@dataclass(slots=True)
class Channel:
    """One channel's messages, in the order of their `ts`."""

    id: str
    standing: Standing = Standing.EXISTS
    messages: dict[str, Message] = field(default_factory=dict)  #: all, the deleted ones too
    roots: list[str] = field(default_factory=list)  #: what the channel shows, tombstones too; oldest first
    threads: dict[str, list[str]] = field(default_factory=dict)  #: parent's ts -> its replies, oldest first

    def find(self, ts: str) -> Message | None:
        """Return the message, or None if there never was one or it is deleted."""
        message = self.messages.get(ts)
        return None if message is None or message.deleted else message

    def parent(self, thread_ts: str | None) -> Message | None:
        """Return the message under which a reply to `thread_ts` appears, or None for the channel itself."""
        message = self.find(thread_ts) if thread_ts else None
        if message is not None and message.thread_ts is not None:
            return self.find(message.thread_ts)
        return message

    def post(
        self, ts: str, content: Content, thread_ts: str | None, version: int, *, broadcast: bool = False
    ) -> Message:
        """Add a message; `ts` must be newer than all that are here. With `broadcast` a reply is in the channel too."""
        parent = self.parent(thread_ts)
        message = Message(
            self.id,
            ts,
            content,
            version,
            thread_ts=parent.ts if parent else None,
            broadcast=broadcast and parent is not None,
        )
        self.messages[ts] = message
        if parent is None or broadcast:
            self.roots.append(ts)
        if parent is not None:
            self.threads.setdefault(parent.ts, []).append(ts)
            self.messages[parent.ts] = replace(parent, version=version)
        return message

    def change(self, ts: str, version: int, **changes: Any) -> Message:
        """Change fields of a message. Raises `RefusedError` (message_not_found) if it is not there."""
        message = self.find(ts)
        if message is None:
            raise RefusedError("message_not_found")
        self.messages[ts] = replace(message, version=version, **changes)
        return self.messages[ts]

    def delete(self, ts: str, version: int) -> Message:
        """Delete a message. Raises `RefusedError` (message_not_found) if it is not there."""
        message = self.change(ts, version, deleted=True)
        if message.broadcast:
            self.roots.remove(ts)
        if message.thread_ts is not None:
            self._leave_thread(ts, message.thread_ts, version)
        elif not self.threads.get(ts):
            self.roots.remove(ts)
        return message

    def _leave_thread(self, ts: str, parent_ts: str, version: int) -> None:
        replies = self.threads[parent_ts]
        replies.remove(ts)
        parent = self.messages[parent_ts]
        self.messages[parent_ts] = replace(parent, version=version)
        if parent.deleted and not replies:
            self.roots.remove(parent_ts)

    def thread(self, ts: str) -> list[Message]:
        """Return a parent (or its tombstone) and its replies, oldest first; empty if nothing is there."""
        message = self.messages.get(ts)
        if message is None or (message.deleted and not self.threads.get(ts)):
            return []
        if message.thread_ts is not None:
            return self.thread(message.thread_ts)
        return [message, *(self.messages[reply] for reply in self.threads.get(ts, ()))]

    def history(self, oldest: str, latest: str | None, *, inclusive: bool) -> list[Message]:
        """Return what the channel shows between two times, newest first; replies are in their threads."""
        first = (bisect_left if inclusive else bisect_right)(self.roots, oldest)
        last = len(self.roots)
        if latest is not None:
            last = (bisect_right if inclusive else bisect_left)(self.roots, latest)
        return [self.messages[ts] for ts in reversed(self.roots[first:last])]
