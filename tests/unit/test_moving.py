"""A thread follows the default channel, and none that somebody chose for it."""

import pytest

from alert_threader.threads import Failed, Step, Unknown, Wait, following
from tests.build import CHANNEL, KEY, NOW, alert
from tests.life import Life

OTHER_CHANNEL = "C0000002"


def test_what_is_not_posted_follows(life: Life) -> None:
    """All that waits for its first message is delivered in the channel that is the default now."""
    life.notify(alert("a"), alert("b"))
    life.call(Failed(error="ratelimited", retry=Wait(NOW + 60, 60)))
    life.thread = following(life.thread, OTHER_CHANNEL)
    assert life.thread.channel == OTHER_CHANNEL
    assert life.due is Step.POST_ROOT
    assert life.call() == ["a fired", "b fired"]


def test_posted_stays(delivered: Life) -> None:
    """Its first message is there, and people look at it."""
    delivered.notify(alert("b"))
    assert following(delivered.thread, OTHER_CHANNEL) is delivered.thread


@pytest.mark.parametrize("code", ["is_archived", "channel_not_found", "is_inactive"])
def test_posted_follows_where_the_channel_is_gone(delivered: Life, code: str) -> None:
    """Nobody sees it there any more: it gets a root in its present state."""
    delivered.notify(alert("a", "resolved"))
    delivered.call(Failed(error=f"{code}: words", retry=Wait()))
    delivered.thread = following(delivered.thread, OTHER_CHANNEL)
    assert (delivered.thread.channel, delivered.thread.ts) == (OTHER_CHANNEL, None)
    assert delivered.call() == ["a resolved"]
    assert delivered.thread.shown.status == "resolved"


def test_call_under_way_stays(life: Life) -> None:
    """It may have been posted: it is looked up first, where it would be."""
    life.notify(alert("a"))
    life.call(Unknown(error="timeout", retry=Wait(NOW, 0)))
    assert following(life.thread, OTHER_CHANNEL) is life.thread
    life.call(Unknown(error="channel_not_found: words", retry=Wait(NOW, 0)))
    assert following(life.thread, OTHER_CHANNEL).attempt is None


def test_delivered_stays(delivered: Life) -> None:
    """Nothing waits."""
    assert following(delivered.thread, OTHER_CHANNEL) is delivered.thread


@pytest.mark.parametrize(
    "fields",
    [
        {"key": f"{KEY}@{CHANNEL}"},
        {"home": OTHER_CHANNEL},
        {"route": "database"},
    ],
    ids=["path", "moved", "route"],
)
def test_chosen_stays(life: Life, fields: dict[str, str]) -> None:
    """The channel was named in the path, or chosen in another way than by SLACK_CHANNEL."""
    life.notify(alert("a"))
    for name, value in fields.items():
        setattr(life.thread, name, value)
    assert following(life.thread, OTHER_CHANNEL) is life.thread


def test_default_stays(life: Life) -> None:
    """It waits where it should."""
    life.notify(alert("a"))
    assert following(life.thread, CHANNEL) is life.thread
