"""The workspace: everything the stand-in knows, behind one lock.

Whoever changes something raises `version`; whoever waits for a change is woken by it.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from slack_sandbox.calls import CallLog
from slack_sandbox.errors import RefusedError
from slack_sandbox.faults import Faults
from slack_sandbox.limits import Limits
from slack_sandbox.messages import Channel, Content, Message, Standing
from slack_sandbox.people import Ephemeral, People
from slack_sandbox.sockets import Sockets

T = TypeVar("T")

#: Public and private channels: https://docs.slack.dev/apis/web-api/using-the-conversations-api
_CHANNEL_ID = re.compile(r"[CG][A-Z0-9]+\Z")
#: Conditions that depend on more than the workspace are looked at this often, in seconds.
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """How the workspace treats its app; may be changed while it runs."""

    rate_limits: bool = True
    posts_per_second: float = 1.0
    post_burst: int = 4
    tier3_per_minute: int = 50
    scopes: tuple[str, ...] = ("chat:write", "channels:history", "channels:read")
    token_valid: bool = True
    seed: int = 0  #: of the faults that come by chance
    interactivity_url: str = ""  #: where presses go, as the app's page "Interactivity & Shortcuts" has it
    signing_secret: str = "sandbox-signing-secret"  # noqa: S105 - not a secret


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the workspace held at one moment."""

    version: int
    epoch: int
    channels: dict[str, Standing]
    messages: list[Message]  #: the deleted ones too; channel by channel, oldest first


class Workspace:
    """Channels and their messages, the calls so far, the faults and the limits in force."""

    def __init__(self, settings: Settings | None = None, clock: Callable[[], float] = time.time) -> None:
        """Start empty: a channel appears when it is first used."""
        self.settings = settings or Settings()
        self.clock = clock
        self.version = 1
        #: Another one after a reset or a restart, when what a page has shown so far is void.
        self.epoch = int(clock() * 1000)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._changes = 0
        self._closing = threading.Event()
        self._last_ts = 0
        self._channels: dict[str, Channel] = {}
        self.calls = CallLog(clock, self._wake)
        self.faults = Faults(clock, self.settings.seed)
        self.limits = self._new_limits()
        self.people = People(clock, self._touch_alone)
        self.sockets = Sockets("A0SANDBOX", self._touch_alone)

    # Reading. What is returned does not change any more.

    def messages(self, channel: str) -> list[Message]:
        """Return a channel's messages, replies among them, without the deleted ones; oldest first."""
        with self._lock:
            known = self._channels.get(channel)
            return [] if known is None else [m for m in known.messages.values() if not m.deleted]

    def roots(self, channel: str) -> list[Message]:
        """Return the messages that stand in the channel itself, without the deleted ones; oldest first."""
        return [message for message in self.messages(channel) if message.thread_ts is None]

    def replies(self, channel: str, ts: str) -> list[Message]:
        """Return the replies in a thread, of a deleted parent too, without the parent; oldest first."""
        return self.thread(channel, ts)[1:]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """Return a parent and its replies, oldest first; empty if there is nothing."""
        with self._lock:
            known = self._channels.get(channel)
            return [] if known is None else known.thread(ts)

    def history(
        self, channel: str, oldest: str = "", latest: str | None = None, *, inclusive: bool = False
    ) -> list[Message]:
        """Return what stands in the channel itself, tombstones too; newest first."""
        with self._lock:
            known = self._channels.get(channel)
            return [] if known is None else known.history(oldest, latest, inclusive=inclusive)

    def channels(self) -> dict[str, Standing]:
        """Return the channels that were used or set, in that order."""
        with self._lock:
            return {channel.id: channel.standing for channel in self._channels.values()}

    def snapshot(self, since: int = 0) -> Snapshot:
        """Return what changed after a version, all of one moment; without one, everything."""
        with self._lock:
            changed = [
                message
                for channel in self._channels.values()
                for message in channel.messages.values()
                if message.version > since
            ]
            return Snapshot(self.version, self.epoch, self.channels(), changed)

    # Changing.

    def visit(self, channel: str) -> Standing:
        """Return how a channel stands; a well-formed one that was never used begins to exist.

        Raises `RefusedError` (channel_not_found) for one that is ill-formed or marked as missing.
        """
        with self._lock:
            known = self._channels.get(channel)
            if known is None and _CHANNEL_ID.match(channel):
                known = self._channels[channel] = Channel(channel)
                self._touch()
            if known is None or known.standing is Standing.MISSING:
                raise RefusedError("channel_not_found")
            return known.standing

    def post(self, channel: str, content: Content, thread_ts: str | None = None, *, broadcast: bool = False) -> Message:
        """Add a message to a channel, in its thread if that still has its parent."""
        with self._lock:
            known = self._channels.setdefault(channel, Channel(channel))  # a reset may have come between
            return known.post(self._next_ts(), content, thread_ts, self._touch(), broadcast=broadcast)

    def edit(self, channel: str, ts: str, content: Content) -> Message:
        """Put other content into a message. Raises `RefusedError` (message_not_found)."""
        with self._lock:
            known = self._known(channel)
            return known.change(ts, self._touch(), content=content, edited_ts=self._next_ts())

    def find(self, channel: str, ts: str) -> Message:
        """Return a message that is not deleted. Raises `RefusedError` (message_not_found)."""
        with self._lock:
            message = self._known(channel).find(ts)
            if message is None:
                raise RefusedError("message_not_found")
            return message

    def react(self, channel: str, ts: str, name: str) -> Message:
        """Add an emoji to a message. Raises `RefusedError` (message_not_found, already_reacted)."""
        with self._lock:
            message = self.find(channel, ts)
            if name in message.reactions:
                raise RefusedError("already_reacted")
            return self._known(channel).change(ts, self._touch(), reactions=(*message.reactions, name))

    def delete(self, channel: str, ts: str) -> Message:
        """Delete a message. Raises `RefusedError` (message_not_found)."""
        with self._lock:
            return self._known(channel).delete(ts, self._touch())

    def whisper(self, channel: str, user: str, text: str, thread_ts: str | None = None) -> Ephemeral:
        """Show a message to one person."""
        with self._lock:
            ts = self._next_ts()
        return self.people.whisper(channel, user, text, ts, thread_ts)

    def set_channel(self, channel: str, standing: Standing | str) -> None:
        """Mark a channel as exists, archived, not_in_channel or missing.

        Raises ValueError for any other word, and for an invalid channel ID.
        """
        with self._lock:
            if not _CHANNEL_ID.match(channel):
                raise ValueError(f"not a channel id: {channel!r}")
            self._channels.setdefault(channel, Channel(channel)).standing = Standing(standing)
            self._touch()

    def configure(self, **changes: object) -> Settings:
        """Change settings by name; raises TypeError for a name that does not exist."""
        with self._lock:
            self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
            self.limits = self._new_limits()
            self._touch()
            return self.settings

    def reset(self) -> None:
        """Forget messages, channels, calls, faults and counts; the settings stay and time goes on."""
        with self._lock:
            self._channels.clear()
            self.limits.forget()
            self.epoch += 1
            self._touch()
        self.faults.clear()
        self.calls.clear()
        self.people.clear()

    def take(self, method: str, channel: str) -> int:
        """Count a call against the limits: 0, or the seconds to wait before it may be repeated."""
        with self._lock:
            if not self.settings.rate_limits:
                return 0
            return self.limits.take(method, channel, self.clock())

    # Waiting.

    def wait_for(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until a condition is true and return its value; raises TimeoutError after `timeout` seconds.

        The condition is called without the lock, so it may also call the Web API.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                seen = self._changes
            if value := condition():
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the sandbox did not get there within {timeout} s")
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._changes != seen, min(left, _LOOK_AGAIN))  # type: ignore[misc]

    def wait_for_version(self, version: int, timeout: float) -> None:
        """Wait until something other than `version` is current, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != version or self._closing.is_set(), timeout)

    def pause(self, seconds: float) -> None:
        """Do nothing for some seconds, or until the sandbox closes."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """Wake everyone who waits: the server is going to stop."""
        self._closing.set()
        self.sockets.close()
        self._wake()

    def _known(self, channel: str) -> Channel:
        known = self._channels.get(channel)
        if known is None:
            raise RefusedError("channel_not_found")
        return known

    def _new_limits(self) -> Limits:
        settings = self.settings
        return Limits(settings.posts_per_second, settings.post_burst, settings.tier3_per_minute)

    def _next_ts(self) -> str:
        # Slack's form: seconds, a point, six digits that make it unique in the channel.
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        seconds, fraction = divmod(self._last_ts, 1_000_000)
        return f"{seconds}.{fraction:06d}"

    def _touch(self) -> int:
        self.version += 1
        self._wake()
        return self.version

    def _touch_alone(self) -> int:
        with self._lock:
            return self._touch()

    def _wake(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()
