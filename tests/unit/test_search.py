"""Looking messages up by their attempts, where Slack does not answer every page."""

from typing import Any

import pytest
from slack_sdk.web import SlackResponse

from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.search import Search, Sent

NOW = 1_800_000_000.0
LIMITED = SlackError(FailureKind.RATE_LIMITED, "ratelimited", "wait", retry_after=60)


class Pages:
    """One of Slack's methods that answers pages, newest message first, and fails where it is told to."""

    def __init__(self, *pages: list[dict[str, Any]], fails: tuple[int, ...] = ()) -> None:
        self.cursors: list[str | None] = []
        self._pages = pages
        self._fails = fails

    def __call__(self, *, cursor: str | None, **_: object) -> SlackResponse:
        """Answer a page, or fail."""
        self.cursors.append(cursor)
        if len(self.cursors) in self._fails:
            raise LIMITED
        number = int(cursor or 0)
        following = {"next_cursor": str(number + 1)} if number + 1 < len(self._pages) else {}
        data = {"messages": self._pages[number], "response_metadata": following}
        return SlackResponse(client=None, http_verb="", api_url="", req_args={}, data=data, headers={}, status_code=200)


def message(ts: float, attempt: str, **more: Any) -> dict[str, Any]:
    """A message that carries an attempt."""
    return {"ts": f"{ts:.6f}", "metadata": {"event_payload": {"attempt": attempt}}, **more}


def search(history: Pages, replies: Pages | None = None, thread_ts: str | None = None, *ids: str) -> Search:
    """A search for messages that were sent now."""
    return Search(
        history,
        replies or Pages(),
        channel="C",
        thread_ts=thread_ts,
        attempt_ids=ids or ("mine",),
        since=NOW,
        ahead=[0],
    )


def test_goes_on_at_the_page_where_it_was_stopped() -> None:
    """With one call a minute it would read the first page for ever."""
    pages = Pages([message(NOW + 2, "x")], [message(NOW + 1, "y")], [message(NOW, "mine")], fails=(2, 4))
    looking = search(pages)
    for _ in range(2):
        with pytest.raises(SlackError):
            looking.run()
    assert looking.run() == {"mine": Sent(f"{NOW:.6f}", threaded=False)}
    assert pages.cursors == [None, "1", "1", "2", "2"]


def test_stops_where_nothing_more_can_be() -> None:
    """Older messages are not read."""
    pages = Pages([message(NOW, "x"), message(NOW - 3600, "y")], [message(NOW - 7200, "mine")])
    assert search(pages).run() == {}
    assert len(pages.cursors) == 1


def test_finds_several_in_one_pass_and_stops_with_the_last() -> None:
    """Those that have answers of people are marked."""
    answered = message(NOW + 1, "a", reply_count=1)
    pages = Pages([message(NOW + 2, "x"), answered], [message(NOW, "b", reactions=[{"name": "eyes"}])], [])
    found = search(pages, None, None, "a", "b").run()
    assert {name: sent.is_answered for name, sent in found.items()} == {"a": True, "b": True}
    assert len(pages.cursors) == 2


def test_reply_is_not_looked_for_in_the_channel_while_its_root_stands() -> None:
    """It could not be there."""
    root = f"{NOW - 60:.6f}"
    history = Pages([])
    assert search(history, Pages([{"ts": root}, message(NOW, "other")]), root).run() == {}
    assert history.cursors == []


def test_reply_under_a_deleted_root_is_looked_for_in_the_channel() -> None:
    """What is left of a root that had replies is a tombstone."""
    root = f"{NOW - 60:.6f}"
    history = Pages([message(NOW, "mine")])
    replies = Pages([{"ts": root, "subtype": "tombstone"}, message(NOW - 30, "other")])
    assert search(history, replies, root).run() == {"mine": Sent(f"{NOW:.6f}", threaded=False)}
