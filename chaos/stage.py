"""What most faults are played on: a Slack and a service, and how the end is awaited."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from chaos.plan import Plan
from chaos.traffic import Traffic
from chaos.verdict import Verdict, judge_sent
from harness.servers import HOST
from harness.service import CHANNEL, Service, wait_for
from harness.story import said
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: How long delivery may take once the trouble is over, in seconds: a pause for a channel's own fault is up to 60 s.
_DELIVERING = 60.0
#: How long it may take until late copies are gone, in seconds: twice the longest SLACK_TIMEOUT here, and some more.
_SETTLING = 15.0


class Stage(NamedTuple):
    """A Slack and a service that tells it."""

    slack: SandboxServer
    service: Service

    @property
    def workspace(self) -> Workspace:
        """What stands in Slack."""
        return self.slack.workspace


@contextmanager
def stage(
    plan: Plan,
    name: str = "service",
    *,
    wrapper: Sequence[str] = (),
    slack_host: str = HOST,
    **settings: str,
) -> Iterator[Stage]:
    """Start both. At the end they are killed, and nothing that the service wrote may hold a secret or a traceback.

    ``wrapper`` is the command that starts the service, if it is to have less than this process has; ``slack_host`` what
    the service calls the host of Slack.
    """
    with SandboxServer(port=0, rate_limits=False, seed=plan.seed) as slack:
        api_url = slack.api_url.replace(HOST, slack_host)
        defaults = {"SLACK_API_URL": api_url, "SLACK_TIMEOUT": "1s", "RESPONSE_WAIT": "100ms"}
        service = Service(plan.folder / name, **defaults | settings)
        service.wrapper = wrapper
        try:
            service.start()
            yield Stage(slack, service)
            # Not where the fault has failed already: that says more.
            service.close()
        finally:
            if service.is_running:
                service.kill()


def conclude(
    traffic: Traffic, workspace: Workspace, *services: Service, channel: str = CHANNEL, again: Sequence[str] = ()
) -> Verdict:
    """Wait until everything is delivered, and compare what Slack shows with what was sent.

    ``again`` are the keys of threads whose record is known to be destroyed: those may have another root.
    """
    workspace.faults.clear()
    pending = wait_until_delivered(services)

    def judged() -> Verdict:
        verdict = Verdict(pending=pending)
        judge_sent(verdict, said(workspace, channel), traffic.changes, traffic.firing, again)
        return verdict

    verdict = settled(judged)
    answers = traffic.answers
    verdict.figures["webhooks taken"] = sum(n for status, n in answers.items() if 200 <= status < 300)
    verdict.figures["refused with 503"] = answers[503]
    verdict.figures["cut off"] = answers[0]
    others = {status: n for status, n in answers.items() if status >= 500 and status != 503}
    verdict.wrong += [f"{n} webhooks were answered {status}" for status, n in others.items()]
    return verdict


def settled(judge: Callable[[], Verdict]) -> Verdict:
    """Judge until what Slack did late is put right: a copy is removed when it must have arrived, an edit made again."""
    until = time.monotonic() + _SETTLING
    while ((verdict := judge()).twice or verdict.disordered) and time.monotonic() < until:
        time.sleep(0.1)
    return verdict


def wait_until_delivered(services: Sequence[Service]) -> int:
    """Wait until nothing is pending; return how much is if it does not end."""
    for service in services:
        wait_for(service.answers_health, 30, lambda service=service: service.log)  # type: ignore[misc]
    until = time.monotonic() + _DELIVERING
    # Where it cannot store it says nothing of what is pending.
    while (pending := int(services[0].health.get("pending", -1))) and time.monotonic() < until:
        time.sleep(0.02)
    return pending


def go_on(traffic: Traffic, seconds: float) -> None:
    """Let the traffic go on for so long; return early if it failed, which leaving its block will say."""
    until = time.monotonic() + seconds
    while not traffic.is_over and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
