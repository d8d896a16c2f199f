"""Much at once: every webhook is taken, and Slack gets as many messages as there are threads, the worst first."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from harness.service import CHANNEL, Service, at_once
from harness.story import GREEN, assert_delivered, delivered, root_of, said, words
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: The storm of section 3 of the promise, at ten times Slack's pace: 40 groups of 25 alerts, 10 messages a second.
_TIMES = 10
_GROUPS, _ALERTS = 40, 25
_RATE, _BURST = 1 * _TIMES, 3
#: What the pace allows may go unused for so long in a storm, in seconds: a pace half as fast would leave 4 s unused.
_UNUSED = 1.5
#: When the test gives up waiting, on top of what the pace allows, in seconds.
_MARGIN = 15.0
#: So soon 300 webhooks at once are answered, in seconds.
_CROWD = 5.0

_SEVERITIES = ("info", "warning", "critical", "error")
_RANK = {"critical": 0, "error": 1, "warning": 2, "info": 3}


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """Slack with its limits, ten times as generous."""
    with SandboxServer(
        port=0, posts_per_second=float(_RATE), post_burst=_BURST + 1, tier3_per_minute=50 * _TIMES
    ) as server:
        yield server


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service at that pace."""
    started = make_service(SLACK_RATE=str(_RATE), SLACK_BURST=str(_BURST), RESPONSE_WAIT="2s")
    started.start()
    return started


def severity_of(group: int) -> str:
    """Each severity has ten of the groups, well mixed."""
    return _SEVERITIES[group % len(_SEVERITIES)]


def notification(group: int, state: str) -> dict[str, object]:
    """What Alertmanager says of a group: all of its alerts fired, or all have resolved."""
    return webhook(f"Storm{group}", {f"host{n}": state for n in range(_ALERTS)}, severity_of(group))


def unused(posts: Sequence[float]) -> float:
    """For how many seconds the budget was full between these posts, with more to tell: nobody gets that time back."""
    full_at, seconds = posts[0], 0.0
    for at in posts:
        seconds += max(at - full_at, 0)
        full_at = max(at, full_at) + 1 / _RATE
    return seconds


def test_a_storm(service: Service, workspace: Workspace) -> None:
    """1,000 alerts make 40 roots at full pace that name each of them, critical ones first, without a 429.

    Their end is a reply and an edit each: 80 posts and 40 edits in all.
    """
    began = time.monotonic()
    answers = at_once([partial(service.send, notification(group, FIRED)) for group in range(_GROUPS)])
    assert all(answer.ok for answer in answers)
    workspace.wait_for(lambda: len(workspace.roots(CHANNEL)) == _GROUPS, _GROUPS / _RATE + _MARGIN)
    # Slack's limit is the test's own floor: were the limit not in force, this would prove nothing.
    assert time.monotonic() - began > (_GROUPS - _BURST - 1) / _RATE
    service.wait_until_delivered()

    posts = workspace.calls.all("chat.postMessage")
    assert len(posts) <= 1.1 * _GROUPS
    assert unused([call.time for call in posts]) < _UNUSED
    ranks = [_RANK[each.key.split("|")[1]] for each in said(workspace, CHANNEL) if each.message.thread_ts is None]
    # Those that were first to come may be delivered before the critical ones are there.
    early = _BURST + 1
    assert ranks[early:] == sorted(ranks[early:]), ranks
    fired = {
        print_of(f"Storm{group}", f"host{n}", severity_of(group)): [FIRED]
        for group in range(_GROUPS)
        for n in range(25)
    }
    assert_delivered(workspace, CHANNEL, fired)
    for group in range(_GROUPS):
        shown = words(root_of(workspace, CHANNEL, key(f"Storm{group}", severity_of(group))))
        # As a whole: host1 is not named by host10.
        assert set(re.findall(r"\bhost\d+\b", shown)) == {f"host{n}" for n in range(_ALERTS)}

    edits = len(workspace.calls.all("chat.update"))
    answers = at_once([partial(service.send, notification(group, RESOLVED)) for group in range(_GROUPS)])
    assert all(answer.ok for answer in answers)
    service.wait_until_delivered(timeout=2 * _GROUPS / _RATE + _MARGIN)
    assert_delivered(workspace, CHANNEL, {fingerprint: [FIRED, RESOLVED] for fingerprint in fired})
    roots = workspace.roots(CHANNEL)
    assert len(roots) == _GROUPS
    assert {root.color for root in roots} == {GREEN}
    assert {len(workspace.replies(CHANNEL, root.ts)) for root in roots} == {1}
    replies = workspace.calls.all("chat.postMessage")[len(posts) :]
    assert len(replies) == _GROUPS
    assert unused([call.time for call in replies]) < _UNUSED
    assert len(workspace.calls.all("chat.update")) - edits == _GROUPS

    assert [call for call in workspace.calls.all() if call.outcome != "ok"] == []
    assert service.health["status"] == "healthy"


def test_the_first_critical_thread_overtakes(service: Service, workspace: Workspace) -> None:
    """A critical alert that comes last, behind everything else, is delivered next."""
    groups = range(0, _GROUPS, len(_SEVERITIES))  # all of them info
    answers = at_once([partial(service.send, notification(group, FIRED)) for group in (*groups, *range(100, 160, 4))])
    assert all(answer.ok for answer in answers)
    before = len(workspace.roots(CHANNEL))
    assert service.send(webhook("Late")).ok
    workspace.wait_for(lambda: print_of("Late") in delivered(workspace, CHANNEL), 5)
    keys = [each.key for each in said(workspace, CHANNEL)]
    # What was under way or allowed to go at once while its webhook came is before it, and nothing more.
    assert keys.index(key("Late")) <= before + _BURST + 2, keys


def test_three_hundred_at_once(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """300 simultaneous webhooks are all taken, long before their sender gives up, and all of them are delivered.

    They are to be answered within 3 s, which ``python -m bench burst300`` shows. Here the test, which sends them, and
    Slack share two processors with the service and with whatever else is tested: 5 s tell a fault from a busy machine.
    """
    workspace.configure(rate_limits=False)
    service = make_service(RESPONSE_WAIT="2s")
    service.start()
    began = time.monotonic()
    answers = at_once([partial(service.send, webhook(f"Crowd{number}")) for number in range(300)])
    took = time.monotonic() - began
    assert {answer.ok for answer in answers} == {True}
    assert took < _CROWD
    service.wait_until_delivered(timeout=60)
    assert_delivered(workspace, CHANNEL, {print_of(f"Crowd{number}"): [FIRED] for number in range(300)})


def test_the_same_from_everybody(service: Service, workspace: Workspace) -> None:
    """The same webhook from 50 senders at once, as from peers and retries, is delivered once, in one thread."""
    answers = at_once([partial(service.send, webhook("Same")) for _ in range(50)])
    assert all(answer.ok for answer in answers)
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("Same"): [FIRED]})
    (root,) = workspace.roots(CHANNEL)
    assert {answer.json["results"][0]["thread_ts"] for answer in answers} <= {root.ts, None}
