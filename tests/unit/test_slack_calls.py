"""One call to Slack for a thread: what is known of the root afterwards, and faults of ours in making a message."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest

from alert_threader.delivery import slack_calls
from alert_threader.delivery.pacing import Pacing
from alert_threader.delivery.slack_calls import SlackCalls
from alert_threader.slack.search import Sent
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import (
    AlertThread,
    Failed,
    Outcome,
    Policy,
    Posted,
    Step,
    Updated,
    apply,
    record_outcome,
    start_attempt,
)
from tests.build import NOW, alert, change

POLICY = Policy()


class Chat:
    """Takes everything, has every message that is looked up, and counts the calls."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.calls = 0

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:  # noqa: ARG002
        """Take a message."""
        self.calls += 1
        return Sent("1.0", threaded=thread_ts is not None)

    def update(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take an edit."""
        self.calls += 1

    def find(
        self,
        channel: str,  # noqa: ARG002
        attempt_ids: Collection[str],
        since: float,  # noqa: ARG002
        thread_ts: str | None,
    ) -> dict[str, Sent]:
        """Have them."""
        self.calls += 1
        return dict.fromkeys(attempt_ids, Sent("1.0", threaded=thread_ts is not None))

    def find_last(self, channel: str, key: str, since: float, thread_ts: str | None) -> Sent | None:
        """The same, by key."""
        return self.find(channel, [key], since, thread_ts)[key]

    def delete(self, channel: str, ts: str) -> None:  # noqa: ARG002
        """Delete it."""
        self.calls += 1

    def link(self, channel: str, ts: str) -> str:
        """Where it is."""
        return f"https://example.slack.com/archives/{channel}/{ts}"


@pytest.fixture
def chat() -> Chat:
    """Where everything goes."""
    return Chat()


@pytest.fixture
def calls(chat: Chat) -> SlackCalls:
    """The calls, to that chat."""
    return SlackCalls(chat, POLICY, Pacing(1, 3), Metrics(), environment="production", clock=lambda: NOW)


def started(thread: AlertThread, now: float = NOW, step: Step = Step.POST_ROOT) -> AlertThread:
    """The thread as it is stored for its next call, which is this one."""
    begun, next_step = start_attempt(thread, "id", now, POLICY)
    assert next_step is step
    return begun


def opened(**fields: Any) -> AlertThread:
    """A thread whose root is being posted."""
    return started(msgspec.structs.replace(apply(None, change(), NOW, POLICY).thread, **fields))


def shown(thread: AlertThread, outcome: Outcome) -> AlertThread:
    """The thread once this outcome is recorded."""
    return record_outcome(thread, "id", outcome, NOW, POLICY)


def test_root_that_was_posted_need_not_be_edited_to_show_the_same(calls: SlackCalls) -> None:
    """Posted or edited, a root is one message: only the metadata of the post is its own."""
    posting = opened()
    outcome = calls.call(posting, Step.POST_ROOT).outcome
    assert isinstance(outcome, Posted)
    thread = shown(posting, outcome)
    assert calls.is_unchanged(thread)
    another = apply(thread, change(alert("b")), NOW, POLICY).thread
    assert not calls.is_unchanged(another)


def test_edit_is_what_the_root_shows_from_then_on(calls: SlackCalls) -> None:
    """Until something else is to be shown."""
    thread = shown(opened(), Posted(ts="1.0", threaded=False))
    reply = started(apply(thread, change(alert("b")), NOW, POLICY).thread, step=Step.POST_REPLY)
    editing = started(shown(reply, Posted(ts="2.0", threaded=True)), NOW + 10, Step.UPDATE_ROOT)
    outcome = calls.call(editing, Step.UPDATE_ROOT).outcome
    assert isinstance(outcome, Updated)
    thread = shown(editing, outcome)
    assert (thread.shown.revision, calls.is_unchanged(thread)) == (thread.revision, True)
    assert not calls.is_unchanged(apply(thread, change(alert("c")), NOW, POLICY).thread)


@pytest.mark.parametrize("how", ["looked up", "simplified"])
def test_root_of_which_nobody_knows_what_it_shows_is_edited(calls: SlackCalls, how: str) -> None:
    """One that was found in Slack may be of an older version; a simplified one lacks what it left out."""
    thread = opened(simple=int(how == "simplified"))
    step = Step.POST_ROOT if how == "simplified" else Step.LOOK_UP
    thread = shown(thread, calls.call(thread, step).outcome)
    assert (thread.ts, thread.simple) == ("1.0", 0)
    assert not calls.is_unchanged(thread)


@pytest.mark.parametrize("part", ["render", "message_hash"])
def test_fault_in_making_a_message_stops_nobody(
    calls: SlackCalls, chat: Chat, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs its thread the form of the message, never the message or the lane; and there is nothing to look up."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError(part)

    posting = opened()
    delivered = shown(posting, calls.call(posting, Step.POST_ROOT).outcome)
    monkeypatch.setattr(slack_calls, part, broken)
    chat.calls = 0
    assert not calls.is_unchanged(delivered)
    for thread, step in ((posting, Step.POST_ROOT), (delivered, Step.UPDATE_ROOT)):
        outcome = calls.call(thread, step).outcome
        assert isinstance(outcome, Failed)
        assert outcome.simpler
    assert chat.calls == 0
    trouble, *_ = calls.troubles.now()
    assert "a simpler one is tried" in trouble.text
