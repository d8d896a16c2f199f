"""Three replicas with two workers each share a Redis behind a balancer, and are killed one after the other.

Two real Alertmanagers in one cluster notify them of alerts that fire and resolve by chance. Alertmanager gathers
changes, so what Slack has to tell is not what was pushed. Three accounts are compared: what the balancer saw (which
webhook was answered how, and when), what Redis did (each commit of a record, from MONITOR), and what Slack shows (each
message names in its metadata what it tells).
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import redis

from alert_threader.alertmanager.webhook import fingerprint
from chaos.alertmanagers import Alert, Alertmanagers
from chaos.balancer import Balancer, Handed
from chaos.history import History
from chaos.plan import CannotRunError, Plan
from chaos.stage import settled, wait_until_delivered
from chaos.verdict import Verdict, judge_messages, judge_webhooks
from harness import first_release
from harness.replicas import Replica, start_all
from harness.replicas import replicas as making
from harness.servers import RedisServer
from harness.story import said
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: Senders of several channels, each with a lease of its own, so that a kill hits more than one.
CHANNELS = ("C0ALERTS1", "C0CHAOS02", "C0CHAOS03")
#: Alerts change this often, so many of them each time, by chance.
_TICK, _CHANGES = 0.25, 5
_ALERTS_OF_A_THREAD = 5
#: How long what was pushed may take to arrive after the last kill (Alertmanager waits longer after each failure), in
#: seconds.
_ARRIVING = 90.0
#: Alertmanager sends again every second what it could not send: if nothing comes for so long, in seconds, it will not.
_SILENT = 20.0
_ALERTS, _REPLICAS, _WORKERS = 200, 3, 2
#: Which part of the answers to Alertmanager is lost.
_LOSING = 0.05


@dataclass
class Crowd:
    """The alerts, by fingerprint, as they are in truth."""

    chance: random.Random
    alerts: dict[str, Alert] = field(default_factory=dict)

    def fill(self, count: int) -> None:
        """Begin with so many alerts, none of which fires yet."""
        now = datetime.now(UTC)
        for number in range(count):
            thread, member = divmod(number, _ALERTS_OF_A_THREAD)
            labels = {
                "alertname": f"Chaos{thread}",
                "severity": ("critical", "error", "warning", "info")[thread % 4],
                "service": "chaos",
                "cluster": "production",
                "instance": f"db{member:02}",
                "channel": CHANNELS[thread % len(CHANNELS)],
            }
            self.alerts[fingerprint(labels)] = Alert(labels, firing=False, since=now)

    def change(self, count: int) -> list[Alert]:
        """Let so many of them, by chance, fire or stop."""
        now = datetime.now(UTC)
        changed = []
        for name in self.chance.sample(sorted(self.alerts), count):
            alert = self.alerts[name]
            firing = not alert.firing
            self.alerts[name] = Alert(alert.labels, firing, now if firing else alert.since)
            changed.append(self.alerts[name])
        return changed

    def all_fire(self) -> list[Alert]:
        """Let those fire that do not."""
        now = datetime.now(UTC)
        started = {name: Alert(alert.labels, True, now) for name, alert in self.alerts.items() if not alert.firing}
        self.alerts |= started
        return list(started.values())


@dataclass
class Scene:
    """What such a fault is played with."""

    plan: Plan
    services: Sequence[Replica]
    crowd: Crowd
    alertmanagers: Alertmanagers
    kills: int = 0

    def let_it_happen(self, services: Sequence[Replica], seconds: float, kills: int) -> None:
        """All alerts fire within a few seconds, then come and go, while these are killed and started again."""
        chance = random.Random(self.plan.seed + 1 + self.kills)
        self.kills += kills
        began = time.monotonic()
        moments = [began + seconds * (number + 0.5) / kills for number in range(kills)]
        self.alertmanagers.push(self.crowd.all_fire())
        while (now := time.monotonic()) < began + seconds:
            self.alertmanagers.push(self.crowd.change(_CHANGES))
            if moments and now >= moments[0]:
                del moments[0]
                victim = chance.choice(services)
                victim.kill()
                self.plan.say(f"{now - began:5.1f} s: killed {victim.folder.name}")
                victim.launch()
            time.sleep(max(_TICK - (time.monotonic() - now), 0))


def replicas(plan: Plan) -> Verdict:
    """Replicas on Redis behind two real Alertmanagers, kill -9 at random."""

    def play(scene: Scene) -> None:
        scene.let_it_happen(scene.services, plan.lasting(120, 15), plan.killing(12, 3))

    return judged(plan, play, [f"replica{number}" for number in range(_REPLICAS)])


def judged(plan: Plan, play: Callable[[Scene], None], names: Sequence[str], former: Sequence[str] = ()) -> Verdict:
    """Play with replicas of these names, and compare the accounts in the end.

    ``former`` are those of the first release: where there are any, only they run when it begins.
    """
    with ExitStack() as closing:
        slack = closing.enter_context(SandboxServer(port=0, rate_limits=False, seed=plan.seed))
        server = closing.enter_context(RedisServer(plan.folder / "redis", appendfsync="everysec"))
        make = closing.enter_context(making(plan.folder, slack.api_url))
        services = [make(name, server.url, WEB_CONCURRENCY=_WORKERS, SLACK_TIMEOUT="3s") for name in (*former, *names)]
        for service in services[: len(former)]:
            run_first_release(service)
        history = closing.enter_context(History(server.port))
        balancer = closing.enter_context(Balancer([each.port for each in services], plan.seed, _LOSING))
        start_all(services[: len(former)] or services)
        alertmanagers = closing.enter_context(Alertmanagers(plan.folder / "alertmanager", balancer.url, CHANNELS))
        plan.say("the replicas and two Alertmanagers are up")

        crowd = Crowd(random.Random(plan.seed))
        crowd.fill(_ALERTS)
        if not (plan.sound or plan.quick):
            add_faults(slack.workspace)
        scene = Scene(plan, services, crowd, alertmanagers)
        play(scene)
        slack.workspace.faults.clear()
        left = wait_until_stored(server, crowd, balancer)
        outdated = [name for name in left if is_left_by_alertmanager(name, crowd, balancer.handed)]
        verdict = Verdict(lost=[f"{name}: its last state did not arrive" for name in left if name not in outdated])
        verdict.pending = wait_until_delivered([each for each in services if each.is_running])
        history.end()

        def delivered() -> Verdict:
            messages = [each for channel in CHANNELS for each in said(slack.workspace, channel)]
            found = Verdict(lost=list(verdict.lost), pending=verdict.pending)
            judge_messages(found, messages, history.transitions, history.attempts)
            return found

        verdict = settled(delivered)
        judge_webhooks(verdict, balancer.handed, history.transitions)
        verdict.figures = {
            "kills": scene.kills,
            "threads": sum(len(slack.workspace.roots(channel)) for channel in CHANNELS),
            "webhooks taken": sum(each.accepted for each in balancer.handed),
            "refused or cut off": sum(not each.accepted for each in balancer.handed),
            "left in an old state by Alertmanager": len(outdated),
        }
        return verdict


def run_first_release(service: Replica) -> None:
    """Let a replica that does not run yet run the first release."""
    try:
        folder = first_release.extracted()
    except pytest.skip.Exception as error:
        raise CannotRunError(str(error)) from error
    service.source, service.config = folder / "src", folder / "gunicorn.conf.py"


def missing(server: RedisServer, alerts: Mapping[str, Alert]) -> list[str]:
    """The alerts whose state is not the one that is stored."""
    stored: dict[str, str] = {}
    with redis.Redis.from_url(server.url) as client:
        for name in client.scan_iter(match="*-record:*", count=500):
            record = json.loads(next(filter(None, client.hmget(name, "thread", "data")), "{}"))
            stored |= {each: alert["status"] for each, alert in record.get("alerts", {}).items()}
    return [name for name, alert in alerts.items() if (stored.get(name) == "firing") != alert.firing]


def wait_until_stored(server: RedisServer, crowd: Crowd, balancer: Balancer) -> list[str]:
    """Wait until every alert is stored as it is in truth; return those that are not if nothing comes any more."""
    until = time.monotonic() + _ARRIVING
    while (names := missing(server, crowd.alerts)) and time.monotonic() < until:
        if time.time() > balancer.handed[-1].ended + _SILENT:
            break
        time.sleep(0.1)
    return names


def is_left_by_alertmanager(name: str, crowd: Crowd, handed: Sequence[Handed]) -> bool:
    """Whether the last webhook that named an alert said its old state, and was accepted.

    Of two Alertmanagers the slower one can send what it noted before the faster one's last word, and then neither
    sends that word again. No receiver can tell such a firing from a new one (rule 3 of ``alert_threader.threads``).
    """
    wanted = "firing" if crowd.alerts[name].firing else "resolved"
    words = [(each, dict(each.alerts)[name]) for each in handed if name in dict(each.alerts)]
    last, word = max(words, key=lambda item: item[0].began)
    return last.accepted and word != wanted


def add_faults(workspace: Workspace) -> None:
    """Let Slack be slow now and then, fail, and lose answers."""
    workspace.faults.add("slow", probability=0.1, seconds=0.1)
    workspace.faults.add("http", probability=0.01)
    workspace.faults.add("drop_after", probability=0.01)
