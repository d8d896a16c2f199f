"""What a channel tells, read as a person on call would need it to be: each change once, in order, in one thread.

Every message that the service posts names in its metadata the attempt that made it, the thread's key, and what it tells
of which alert.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from slack_sandbox.messages import Message
from slack_sandbox.workspace import Workspace

GREEN, RED = "#2EB67D", "#E01E5A"


class Said(NamedTuple):
    """One message of the service: in which thread it stands, and what it tells."""

    message: Message
    key: str
    attempt: str
    delivered: list[tuple[str, str]]


def said(workspace: Workspace, channel: str) -> list[Said]:
    """The messages of a channel, oldest first; those under a deleted root too."""
    return [_read(message) for message in sorted(workspace.messages(channel), key=lambda message: message.ts)]


def delivered(workspace: Workspace, channel: str) -> dict[str, list[str]]:
    """What a channel tells of each alert, by fingerprint, in the order of the messages."""
    return story_of(said(workspace, channel))


def story_of(messages: Iterable[Said]) -> dict[str, list[str]]:
    """What messages tell of each alert, by fingerprint, in their order."""
    story: dict[str, list[str]] = {}
    for each in messages:
        for what, fingerprint in each.delivered:
            story.setdefault(fingerprint, []).append(what)
    return story


def assert_delivered(
    workspace: Workspace, channel: str, sent: Mapping[str, Sequence[str]], *, folded: bool = False
) -> None:
    """Fail unless a channel tells exactly what was sent of each alert, once, in order, each thread with one root.

    With ``folded`` changes that followed each other while Slack was away may be delivered as the last one (rule 8).
    """
    story = delivered(workspace, channel)
    assert set(story) == set(sent), "alerts that were sent and alerts that are delivered differ"
    for fingerprint, wanted in sent.items():
        fits = is_fold(story[fingerprint], wanted) if folded else story[fingerprint] == list(wanted)
        assert fits, (
            f"{fingerprint}: sent {list(wanted)}, delivered {story[fingerprint]}:\n{listing(workspace, channel)}"
        )
    assert_threads(workspace, channel)


def is_fold(story: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a story tells the ends of stretches of what was sent, all of it up to its end, and nothing more."""
    if not story or not wanted or story[-1] != wanted[-1]:
        return False
    rest = iter(wanted[:-1])
    return all(what in rest for what in story[:-1])


def assert_threads(workspace: Workspace, channel: str) -> None:
    """Fail unless each key has one root, each reply stands under its own, and no attempt was posted twice."""
    messages = said(workspace, channel)
    attempts = [each.attempt for each in messages]
    assert len(set(attempts)) == len(attempts), f"an attempt was posted twice:\n{listing(workspace, channel)}"
    roots = {each.key: each.message.ts for each in messages if each.message.thread_ts is None}
    count = sum(each.message.thread_ts is None for each in messages)
    assert count == len(roots), f"a thread has two roots:\n{listing(workspace, channel)}"
    for each in messages:
        if each.message.thread_ts is not None:
            assert each.message.thread_ts == roots.get(each.key), f"a reply stands in another thread: {each}"


def root_of(workspace: Workspace, channel: str, key: str) -> Message:
    """The only root of a key."""
    roots = [each.message for each in said(workspace, channel) if each.key == key and each.message.thread_ts is None]
    assert len(roots) == 1, f"{key} has {len(roots)} roots:\n{listing(workspace, channel)}"
    return roots[0]


def listing(workspace: Workspace, channel: str) -> str:
    """A channel as lines, for the text of a failure."""
    return "\n".join(
        f"{message.ts} {'  ↳ ' if message.thread_ts else ''}{message.color} {message.text} {message.metadata}"
        for message in workspace.messages(channel)
    )


def words(message: Message) -> str:
    """All text of a message that a person can read."""
    return "\n".join(_texts([message.text, *message.blocks, *message.attachments]))


def header(message: Message) -> str:
    """The header of a message."""
    return next(str(block["text"]["text"]) for block in message.blocks if block["type"] == "header")


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    if isinstance(node, Mapping):
        node = [value for name, value in node.items() if name not in ("type", "color")]
    return [text for part in node for text in _texts(part)] if isinstance(node, list) else []


def _read(message: Message) -> Said:
    assert message.metadata is not None, f"a message without metadata: {message}"
    assert message.metadata["event_type"] == "alert_threader"
    payload = message.metadata["event_payload"]
    events = [_event(text) for text in payload["told"].split()]
    assert len(events) == payload["told_count"], f"the metadata leaves something out: {payload}"
    return Said(message, payload["key"], payload["attempt"], events)


def _event(text: str) -> tuple[str, str]:
    what, _, fingerprint = text.partition(":")
    return what, fingerprint
