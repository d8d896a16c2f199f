"""Kill -9 at any moment: after a restart every change is told exactly once, in order, in one thread.

First the moments that matter, each hit on purpose; then many moments by chance. CHAOS_KILLS raises their number,
CHAOS_SEED makes them others.
"""

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

import pytest

from alert_threader.sandbox import SandboxServer
from alert_threader.sandbox.workspace import Workspace
from alert_threader.store.recovery import journals_of
from tests.e2e.harness import CHANNEL, HOST, Background, Service, at_once, wait_for
from tests.e2e.story import GREEN, RED, assert_told, root_of
from tests.e2e.webhooks import FIRED, RESOLVED, key, print_of, webhook

#: How long a call may take: what was cut off is looked for after this time. It has to leave
#: room for what the sandbox takes on a busy machine to accept a call.
_TIMEOUT = "1s"

_SCENARIOS = 5
_KILLS = max(int(os.environ.get("CHAOS_KILLS", "25")) // _SCENARIOS, 1)
_SEED = int(os.environ.get("CHAOS_SEED", "0"))


def test_between_the_stored_attempt_and_slack(make_service: Callable[..., Service]) -> None:
    """An attempt that was stored, but never reached Slack, is told after the restart."""
    with socket.socket() as nobody:
        # It takes connections and nothing that is sent over them, and ends them all when it is closed.
        nobody.bind((HOST, 0))
        nobody.listen(16)
        port = nobody.getsockname()[1]
        service = make_service(SLACK_API_URL=f"http://{HOST}:{port}/api/", SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
        service.start()
        assert service.send(webhook("Mute")).status == 202
        wait_for(lambda: "attempt" in service.stored()[key("Mute")], 5)
        service.kill()
    with SandboxServer(port=port, rate_limits=False) as slack:
        service.start()
        service.wait_told()
        assert_told(slack.workspace, CHANNEL, {print_of("Mute"): [FIRED]})
        service.stop()


@pytest.mark.parametrize("accepted", ["before", "after"])
def test_during_the_call(make_service: Callable[..., Service], workspace: Workspace, accepted: str) -> None:
    """A call that is under way is told once, whether Slack has taken it before the kill or takes it after."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    service.start()
    kind, seconds = ("hang_after", 5.0) if accepted == "before" else ("hang", 0.4)
    workspace.faults.add(kind, method="chat.postMessage", seconds=seconds, count=1)
    service.send_until_taken(webhook("Cut"))
    workspace.wait_for(lambda: workspace.calls.all("chat.postMessage"))
    if accepted == "before":
        workspace.wait_for(lambda: workspace.roots(CHANNEL))
    assert bool(workspace.roots(CHANNEL)) == (accepted == "before")
    service.kill()
    service.start()
    service.wait_told()
    assert_told(workspace, CHANNEL, {print_of("Cut"): [FIRED]})
    assert len(workspace.calls.all("chat.postMessage")) == 1, "it was looked up, not posted again"


def test_after_each_acceptance(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """Root, reply and edit, each accepted by Slack with nobody left to hear of it, are neither lost nor told again."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    service.start()
    for payload in (
        webhook("Deaf"),
        webhook("Deaf", {"db01": FIRED, "db02": FIRED}),
        webhook("Deaf", {"db01": RESOLVED, "db02": RESOLVED}),
    ):
        wait_for(lambda: "attempt" not in service.stored().get(key("Deaf"), {}), 10)
        deafen(workspace, "chat.postMessage", partial(service.send_until_taken, payload))
        service.kill()
        service.start()
    deafen(workspace, "chat.update", lambda: None)
    service.kill()
    service.start()
    service.wait_told()
    expected = {print_of("Deaf"): [FIRED, RESOLVED], print_of("Deaf", "db02"): [FIRED, RESOLVED]}
    assert_told(workspace, CHANNEL, expected)
    assert root_of(workspace, CHANNEL, key("Deaf")).color == GREEN


def test_during_the_commit(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """A webhook that is cut off somewhere between its arrival and its answer is told once, sent again or not."""
    service = make_service(SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="0")
    sent = {}
    for number, delay in enumerate((0.0, 0.001, 0.002, 0.004, 0.007, 0.012)):
        service.start()
        name = f"Commit{number}"
        sender = Background(partial(service.send_until_taken, webhook(name)))
        time.sleep(delay)
        service.kill()
        service.start()
        sender.finish()
        sent[print_of(name)] = [FIRED]
        service.kill()
    service.start()
    service.wait_told()
    assert_told(workspace, CHANNEL, sent)


def test_at_any_moment(make_service: Callable[..., Service]) -> None:
    """Groups fire, grow and resolve while Slack is slow, fails and drops connections, and kills come by chance."""
    with ExitStack() as closing:
        scenarios = [Scenario(seed, make_service, closing) for seed in range(_SEED, _SEED + _SCENARIOS)]
        # Most of it is waiting: side by side they take as long as one.
        at_once([scenario.run for scenario in scenarios], timeout=60 + 10 * _KILLS)


class Scenario:
    """Four groups, a Slack and a service of their own, and some kills, all from one seed."""

    def __init__(self, seed: int, make_service: Callable[..., Service], closing: ExitStack) -> None:
        """Start Slack; it ends with ``closing``."""
        self.chance = random.Random(seed)
        slack = closing.enter_context(SandboxServer(port=0, rate_limits=False, seed=seed))
        self.workspace = slack.workspace
        self.service = make_service(
            f"scenario{seed}", SLACK_API_URL=slack.api_url, SLACK_TIMEOUT=_TIMEOUT, RESPONSE_WAIT="100ms"
        )
        self.scripts = [script(f"Chaos{seed}x{number}", self.chance) for number in range(4)]

    def run(self) -> None:
        """Let it happen, and check what Slack shows in the end."""
        add_faults(self.workspace)
        self.service.start()
        senders = [Background(partial(send_all, self.service, steps, self.chance.random())) for steps in self.scripts]
        for _ in range(_KILLS):
            wait_for_a_moment(self.service, self.workspace, self.chance)
            self.service.kill()
            self.service.start()
        for sender in senders:
            sender.finish(90)
        self.workspace.faults.clear()
        self.service.wait_told(timeout=60)

        sent = {fingerprint: story for steps in self.scripts for fingerprint, story in stories(steps).items()}
        assert_told(self.workspace, CHANNEL, sent, folded=True)
        for steps in self.scripts:
            name, states = steps[-1]
            assert root_of(self.workspace, CHANNEL, key(name)).color == (RED if FIRED in states.values() else GREEN)
        assert self.service.health["problems"] == []
        self.service.stop()


# -- what happens, and when it is cut off -----------------------------------------------------------------------

Step = tuple[str, dict[str, str]]


def script(name: str, chance: random.Random) -> list[Step]:
    """A group's notifications: alerts join, some resolve, some of those fire again, and at the end most are over."""
    states: dict[str, str] = {}
    steps: list[Step] = []
    for number in range(chance.randint(_KILLS, _KILLS + 3)):
        states = {instance: state for instance, state in states.items() if state == FIRED}
        for instance in list(states):
            if chance.random() < 0.4:
                states[instance] = RESOLVED
        states[f"db{number}"] = FIRED
        if number > 2 and chance.random() < 0.5:
            states[f"db{chance.randrange(number)}"] = FIRED
        steps.append((name, dict(states)))
    if chance.random() < 0.7:
        steps.append((name, {i: RESOLVED for i, state in states.items() if state == FIRED}))
    return steps


def stories(steps: list[Step]) -> dict[str, list[str]]:
    """What a script says of each alert, by fingerprint: its changes, in order."""
    told: dict[str, list[str]] = {}
    for name, states in steps:
        for instance, state in states.items():
            story = told.setdefault(print_of(name, instance), [])
            if story[-1:] != [state]:
                story.append(state)
    assert all(a != b for story in told.values() for a, b in pairwise(story))
    return told


def send_all(service: Service, steps: list[Step], pause: float) -> None:
    """Send a script as Alertmanager would: one notification after the other, each until it is taken."""
    for name, states in steps:
        service.send_until_taken(webhook(name, states))
        time.sleep(pause)


def add_faults(workspace: Workspace) -> None:
    """Let Slack be slow, fail, and drop connections before and after it accepted."""
    add = workspace.faults.add
    add("drop_after", probability=0.08)
    add("http_after", probability=0.04)
    add("drop_before", probability=0.05)
    add("http", probability=0.05)
    add("slow", probability=0.4, seconds=0.2)


def wait_for_a_moment(service: Service, workspace: Workspace, chance: random.Random) -> None:
    """Wait a while, then for one of the moments at which a kill could do harm; give up soon if it does not come."""
    time.sleep(chance.uniform(0.05, 0.4))
    calls, version, commit = len(workspace.calls.all()), workspace.version, commit_of(service)
    moments: list[Callable[[], bool]] = [
        lambda: True,
        lambda: len(workspace.calls.all()) > calls,
        lambda: workspace.version > version,
        lambda: commit_of(service) != commit,
    ]
    happens = chance.choice(moments)
    until = time.monotonic() + 0.5
    while not happens() and time.monotonic() < until:
        time.sleep(0.0005)
    time.sleep(chance.choice([0, 0, 0.002, 0.01]))


def commit_of(service: Service) -> tuple[int, int]:
    """The journal has another time after every commit, and is another one after a document was written."""
    journal, _ = journals_of(service.store)
    with contextlib.suppress(FileNotFoundError):
        found = journal.stat()
        return found.st_ino, found.st_mtime_ns
    return 0, 0


def deafen(workspace: Workspace, method: str, act: Callable[[], object]) -> None:
    """Act, and return once Slack has taken the call that follows from it, whose answer will not come."""
    calls = len(workspace.calls.all(method))
    workspace.faults.add("hang_after", method=method, seconds=30)
    act()
    workspace.wait_for(lambda: len(workspace.calls.all(method)) > calls)
    call = workspace.calls.all(method)[-1]
    workspace.wait_for(lambda: any(float(m.edited_ts or m.ts) >= call.time for m in workspace.messages(CHANNEL)))
    workspace.faults.clear()
