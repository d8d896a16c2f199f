"""Kill -9 between a press and the silence that it asks for, while answers of Slack and of Alertmanager get lost."""

import random
import time
from contextlib import ExitStack
from functools import partial

import requests

from alert_threader.alertmanager.api import Alertmanager as Api
from alert_threader.alertmanager.model import Login
from chaos.plan import Plan
from chaos.stage import Stage, stage, wait_until_delivered
from chaos.verdict import Verdict, merged
from harness.alertmanager import Alertmanager, notifying
from harness.lossy import LossyWay
from harness.scripts import make_trouble
from harness.servers import HOST
from harness.service import CHANNEL, at_once, wait_for
from harness.story import root_of, words
from harness.webhooks import FIRED, key

_SECRET = "signing-secret-never-to-be-seen"
#: So many kills for each installation; most of a restart is waiting.
_SHARE, _SHARE_QUICK = 40, 4
#: Within so many seconds of a press the process is killed: storing, asking Alertmanager, recording, telling.
_MOMENTS = 0.25
#: The part of Alertmanager's answers that gets lost.
_LOSING = 0.2


def press(plan: Plan) -> Verdict:
    """Kill -9 at every point between a press and its silence: exactly one silence and one note for each press."""
    kills = plan.killing(200, 8)
    count = max(round(kills / (_SHARE_QUICK if plan.quick else _SHARE)), 1)
    with ExitStack() as closing:
        works = []
        for number in range(count):
            here = closing.enter_context(stage(plan, f"service{number}", WEBHOOK_TOKEN="token-never-to-be-seen"))
            url = f"http://{HOST}:{here.service.port}"
            alertmanager = Alertmanager(plan.folder / f"am{number}", notifying(url, "token-never-to-be-seen"))
            closing.callback(alertmanager.stop)
            way = closing.enter_context(LossyWay(alertmanager.url, _LOSING, plan.seed + number))
            here.service.settings |= {"ALERTMANAGER_URL": way.url, "SLACK_SIGNING_SECRET": _SECRET}
            here.service.restart()
            share = kills // count + (number < kills % count)
            works.append(partial(_under_fire, here, alertmanager, way, share, plan, number))
        return merged(at_once(works, timeout=180 + 12 * kills))


def _under_fire(here: Stage, alertmanager: Alertmanager, way: LossyWay, kills: int, plan: Plan, number: int) -> Verdict:
    """Press on one thread after the other, each followed by a kill and a start."""
    chance = random.Random(plan.seed + number)
    names = [f"Pressed{each}" for each in range(kills)]
    here.workspace.configure(
        interactivity_url=f"http://{HOST}:{here.service.port}/slack/interactive", signing_secret=_SECRET
    )
    for name in names:
        alertmanager.push(name, {"db01": FIRED})
    here.workspace.wait_for(lambda: all(_offers(here, name) for name in names), 90)
    if not plan.sound:
        make_trouble(here.workspace)
    answered = {}
    for name in names:
        answered[name] = _press(here, name)
        time.sleep(chance.uniform(0, _MOMENTS))
        here.service.kill()
        here.service.start()
    here.workspace.faults.clear()
    way.losing = 0
    verdict = Verdict(pending=wait_until_delivered([here.service]))
    _judge(verdict, here, alertmanager, answered)
    verdict.figures = {"kills": kills, "answered": sum(answered.values()), "answers lost": way.lost}
    return verdict


def _offers(here: Stage, name: str) -> bool:
    """Whether a thread stands in Slack, and can be silenced."""
    try:
        return '"silence"' in str(root_of(here.workspace, CHANNEL, key(name)).attachments).replace("'", '"')
    except (AssertionError, StopIteration, ValueError):
        return False


def _press(here: Stage, name: str) -> bool:
    """Silence a thread as a person does; whether the service said that it has it."""
    root = root_of(here.workspace, CHANNEL, key(name))
    sent = {"channel": CHANNEL, "ts": root.ts, "action_id": "silence", "option": "1h"}
    answer: bool = requests.post(f"{here.slack.url}sandbox/press", json=sent, timeout=10).json()["ok"]
    return answer


def _judge(verdict: Verdict, here: Stage, alertmanager: Alertmanager, answered: dict[str, bool]) -> None:
    """One silence and one note for each press that was answered; of the others, one of each or none."""
    held = [each for each in Api([alertmanager.url], Login()).silences().values() if each.holds]
    verdict.sent = len(answered)
    for name, is_answered in answered.items():
        silences = [each for each in held if any((m.name, m.value) == ("alertname", name) for m in each.matchers)]
        root = root_of(here.workspace, CHANNEL, key(name))

        def notes(ts: str = root.ts) -> int:
            return sum("Silenced by" in words(reply) for reply in here.workspace.replies(CHANNEL, ts))

        # A copy of a reply that arrived late is removed some seconds later.
        wait_for(lambda: notes() <= 1, 15)
        verdict.delivered += len(silences)
        if len(silences) > 1:
            verdict.twice.append(f"{name}: {len(silences)} silences")
        if is_answered and not silences:
            verdict.lost.append(f"{name}: the press was answered, and there is no silence")
        if notes() != len(silences):
            verdict.wrong.append(f"{name}: {len(silences)} silences, and {notes()} notes")
        if ("SILENCED" in words(root)) != bool(silences):
            verdict.wrong.append(f"{name}: {len(silences)} silences, and the first message says {words(root)[:60]}")
