"""What a group of alerts goes through by chance, the trouble that Slack makes meanwhile, and when to cut it off."""

import random
import time
from collections.abc import Callable
from itertools import pairwise

from harness.service import Service
from harness.webhooks import FIRED, RESOLVED, print_of, webhook
from slack_sandbox.workspace import Workspace

#: A group's name, and what happened to each of its instances.
Step = tuple[str, dict[str, str]]


def script(name: str, chance: random.Random, length: int) -> list[Step]:
    """A group's notifications, about so many: alerts join, some resolve, some of those fire again."""
    states: dict[str, str] = {}
    steps: list[Step] = []
    for number in range(chance.randint(length, length + 3)):
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
    stories: dict[str, list[str]] = {}
    for name, states in steps:
        for instance, state in states.items():
            story = stories.setdefault(print_of(name, instance), [])
            if story[-1:] != [state]:
                story.append(state)
    assert all(a != b for story in stories.values() for a, b in pairwise(story))
    return stories


def send_all(service: Service, steps: list[Step], pause: float) -> None:
    """Send a script as Alertmanager would: one notification after the other, each until it is taken."""
    for name, states in steps:
        service.send_until_taken(webhook(name, states))
        time.sleep(pause)


def make_trouble(workspace: Workspace) -> None:
    """Let Slack be slow, fail, and drop connections before and after it accepted."""
    add = workspace.faults.add
    add("drop_after", probability=0.08)
    add("http_after", probability=0.04)
    add("drop_before", probability=0.05)
    add("http", probability=0.05)
    add("slow", probability=0.4, seconds=0.2)
    # Long enough that an edit is carried out when its sender has been killed and started again, and edits anew.
    add("hang", method="chat.update", probability=0.15, seconds=0.8)


def wait_for_a_moment(service: Service, workspace: Workspace, chance: random.Random) -> None:
    """Wait a while, then for one of the moments at which a kill could do harm; give up soon if it does not come."""
    time.sleep(chance.uniform(0.05, 0.4))
    calls, version, commit = len(workspace.calls.all()), workspace.version, service.commit
    moments: list[Callable[[], bool]] = [
        lambda: True,
        lambda: len(workspace.calls.all()) > calls,
        lambda: workspace.version > version,
        lambda: service.commit != commit,
    ]
    happens = chance.choice(moments)
    until = time.monotonic() + 0.5
    while not happens() and time.monotonic() < until:
        time.sleep(0.0005)
    time.sleep(chance.choice([0, 0, 0.002, 0.01]))
