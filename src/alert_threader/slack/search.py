"""Messages looked up by the attempt's id in their metadata: of posts whose outcome is not known.

One search is a few calls, a page each. It goes on where a failure stopped it: with a limit of one page a minute
(https://docs.slack.dev/changelog/2025/05/29/rate-limit-changes-for-non-marketplace-apps) it would never end otherwise.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from slack_sdk.web import SlackResponse

from alert_threader.slack.failures import TOO_MANY, FailureKind, SlackError

#: Messages asked for at a time; more than this is not recommended
#: (https://docs.slack.dev/reference/methods/conversations.history).
PAGE = 200
#: How many pages are looked through at most.
MAX_PAGES = 10
#: A message is looked for so long before and after its attempt, in seconds: this machine's clock may be set meanwhile.
_MARGIN = 15 * 60.0
#: The same where it is not known what time it is for Slack.
_CLOCK_MARGIN = 2 * 60 * 60.0

#: Calls a method of Slack's Web API; raises SlackError.
Call = Callable[..., SlackResponse]


class Sent(NamedTuple):
    """A message that Slack has.

    ``threaded`` is false for one that stands in the channel itself; ``is_answered`` says that people have replied or
    reacted to it.
    """

    ts: str
    threaded: bool
    is_answered: bool = False


class Search:
    """A search in one channel, in a thread first where one is given."""

    def __init__(
        self,
        history: Call,
        replies: Call,
        *,
        channel: str,
        thread_ts: str | None,
        attempt_ids: Collection[str],
        since: float,
        ahead: Sequence[float],
    ) -> None:
        """``history`` and ``replies`` call the methods of that name.

        ``since`` is when the first attempt was made, in seconds since the epoch; ``ahead`` is by how many seconds
        Slack's clock is ahead of the one that said so: several where that was set lately, none where it is not known.
        """
        self._history = history
        self._replies = replies
        self._channel = channel
        #: None once the thread is looked through.
        self._thread_ts = thread_ts
        self._ids = frozenset(attempt_ids)
        margin = _MARGIN if ahead else _CLOCK_MARGIN
        self._oldest = since + min(ahead, default=0) - margin
        self._latest = since + max(ahead, default=0) + margin
        self._cursor: str | None = None
        self._pages = 0
        self._has_root = False
        self._found: dict[str, Sent] = {}

    def run(self) -> dict[str, Sent]:
        """The messages that Slack has of these attempts, by id. Raises SlackError; called again, it goes on.

        Also raised where there are too many messages to say.
        """
        if self._thread_ts is not None:
            self._search_thread(self._thread_ts)
            if self._has_root or self._is_complete:
                return self._found  # under a root that stands, a reply is in its thread
            self._thread_ts, self._cursor, self._pages = None, None, 0
        self._search_channel()
        return self._found

    @property
    def _is_complete(self) -> bool:
        return len(self._found) == len(self._ids)

    def _search_thread(self, thread_ts: str) -> None:
        # The parent comes with every first page, whatever its time: without it, or as a tombstone, it was deleted.
        oldest = f"{self._oldest:.6f}"
        while not self._is_complete:
            try:
                answer = self._page(self._replies, ts=thread_ts, oldest=oldest)
            except SlackError as error:
                if error.kind is FailureKind.GONE:
                    return
                raise
            for message in answer.get("messages") or []:
                if message["ts"] == thread_ts:
                    self._has_root |= message.get("subtype") != "tombstone"
                else:
                    self._note(message, threaded=True)
            if not self._cursor:
                return

    def _search_channel(self) -> None:
        latest = f"{self._latest:.6f}"
        while not self._is_complete:
            answer = self._page(self._history, latest=latest)
            for message in answer.get("messages") or []:
                if float(message["ts"]) < self._oldest:
                    return
                self._note(message, threaded=False)
            if not self._cursor:
                return

    def _page(self, method: Call, **arguments: str) -> SlackResponse:
        if self._pages == MAX_PAGES:
            raise too_many()
        answer = method(channel=self._channel, limit=PAGE, cursor=self._cursor, include_all_metadata=True, **arguments)
        self._pages += 1
        self._cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
        return answer

    def _note(self, message: Mapping[str, Any], *, threaded: bool) -> None:
        attempt = payload_of(message).get("attempt")
        if attempt in self._ids:
            is_answered = bool(message.get("reply_count") or message.get("reactions"))
            self._found[attempt] = Sent(message["ts"], threaded, is_answered)


def payload_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """What we have written into a message's metadata; nothing where it is not ours."""
    payload = (message.get("metadata") or {}).get("event_payload")
    return payload if isinstance(payload, dict) else {}


def too_many() -> SlackError:
    """The failure of a search that gave up."""
    text = f"{TOO_MANY}: past {PAGE * MAX_PAGES} of them the message is not looked for any further"
    return SlackError(FailureKind.UNKNOWN_CODE, TOO_MANY, text)
