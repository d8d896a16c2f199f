"""Alertmanagers that die, begin anew with nothing, or talk nonsense must never let a thread close that still burns."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise

from chaos.plan import Plan
from chaos.quiet import QuietTraffic
from chaos.stage import Stage, conclude, stage
from chaos.verdict import Verdict
from chaos.watch import ColourWatch
from harness.scripts import make_trouble
from harness.service import CHANNEL, wait_for
from harness.stand_in_cluster import Cluster, Fault, Member
from harness.story import GREEN, Said, said, story_of, words
from harness.webhooks import RESOLVED, key, labels

#: How long an alert must be missing, in seconds: the least that GONE_AFTER may be.
_GONE_AFTER = 10.0
_EVERY = 1.0
#: A siege lasts so long, in seconds: whoever takes it for the truth closes threads within it.
_SIEGE = _GONE_AFTER + 4
#: Before the first one, so that there are threads that could close, in seconds.
_BEFORE = 6.0
#: How long small faults last after each siege, all of them together, and each at most, in seconds.
_SKIRMISHES, _SKIRMISHES_QUICK, _LONGEST = 6.0, 3.0, 1.5
#: Without faults after that, so that something can close between two sieges, in seconds.
_CALM = 4.0
#: One siege and what follows it, in seconds.
_ROUND = 30.0
#: Alertmanager counts as young for so long, in seconds.
_YOUNG = 600.0
#: Within how many seconds a thread must be green when its alerts were missing long enough: a few polls and an edit.
_POLLS = 5 * _EVERY + 5
_PAUSE = 0.4
_NONSENSE = (
    Fault.HANGING,
    Fault.SHORT,
    Fault.TRUNCATED,
    Fault.CUT,
    Fault.UNAUTHORIZED,
    Fault.FAILING,
    Fault.HTML,
    Fault.HUGE,
)
_SMALL = (*_NONSENSE, Fault.SLOW, Fault.SETTLING, Fault.HALF_LIST, Fault.FOREIGN_PEER)

Siege = Callable[[Sequence[Member], random.Random], None]


def alertmanager(plan: Plan) -> Verdict:
    """Alertmanagers die, restart empty, hang, talk nonsense, and have half lists; alerts end without a webhook."""
    with Cluster(3) as cluster, stage(plan, **_settings(cluster)) as here:
        # What is for another receiver opens no thread. Nor is the list ever empty because nothing fires.
        cluster.truth.fire(labels("Elsewhere"), receivers=("pager",))
        traffic = QuietTraffic(here.service, cluster.truth, seed=plan.seed, pause=_PAUSE)
        with ColourWatch(here.workspace, traffic.fired_throughout) as watch:
            with traffic:
                kills = _besiege(plan, here, cluster, traffic)
            traffic.finish()
            seconds, late = _until_closed(cluster, here, traffic)
            verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += watch.closed_wrongly + late
        _judge_notes(verdict, here, traffic)
        _judge_health(verdict, here)
        verdict.figures["lines logged about Alertmanager"] = here.service.log.count("Alertmanager")
        courses = {f"× {name}": float(number) for name, number in sorted(traffic.courses.items())}
        verdict.figures = {"kills": kills, **verdict.figures, "s until all was told": round(seconds, 1), **courses}
        return verdict


def _settings(cluster: Cluster) -> dict[str, str]:
    return {
        "ALERTMANAGER_URL": cluster.url,
        "RECONCILE_EVERY": f"{_EVERY:.0f}s",
        "GONE_AFTER": f"{_GONE_AFTER:.0f}s",
    }


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def _besiege(plan: Plan, here: Stage, cluster: Cluster, traffic: QuietTraffic) -> int:
    """One siege after the other, each followed by skirmishes and calm; return how often the service was killed."""
    chance = random.Random(plan.seed)
    rounds = max(round(plan.lasting(len(_SIEGES) * _ROUND, 2 * _ROUND) / _ROUND), 1)
    kills = plan.killing(rounds, rounds)
    traffic.go_on(_BEFORE)
    for number, siege in zip(range(rounds), cycle(_SIEGES), strict=False):
        plan.say(siege.__name__.strip("_"))
        # In every other round, so that there are also threads that are told at once.
        if number % 2 and not plan.sound:
            make_trouble(here.workspace)
        siege(cluster.members, chance)
        share = kills // rounds + (number < kills % rounds)
        moments = sorted(chance.uniform(0, _SIEGE) for _ in range(share))
        for before, moment in pairwise([0.0, *moments]):
            traffic.go_on(moment - before)
            here.service.kill()
            here.service.start()
        traffic.go_on(_SIEGE - max(moments, default=0.0))
        _heal(cluster)
        _skirmish(cluster, traffic, chance, _SKIRMISHES_QUICK if plan.quick else _SKIRMISHES)
        here.workspace.faults.clear()
        traffic.go_on(_CALM)
    return kills


def _skirmish(cluster: Cluster, traffic: QuietTraffic, chance: random.Random, seconds: float) -> None:
    """Let one thing after the other go wrong with some members, for a moment each."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not traffic.is_over:
        for member in chance.sample(cluster.members, chance.randint(1, len(cluster.members))):
            _trouble(member, chance)
        traffic.go_on(chance.uniform(0, _LONGEST))
        _heal(cluster)
        traffic.go_on(chance.uniform(0, _LONGEST))


def _trouble(member: Member, chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            member.kill()
        case 1:
            _restart(member, chance.uniform(0, 1))
        case _:
            member.delay = chance.uniform(0, _LONGEST)
            member.faults.add(chance.choice(_SMALL))


def _heal(cluster: Cluster) -> None:
    for member in cluster.members:
        member.heal()


def _restart(member: Member, empty_for: float) -> None:
    """Restart a member with nothing. It is young for a second longer than it is empty."""
    member.restart_empty(empty_for=empty_for, speed=_YOUNG / (empty_for + 1))


def _all_restarted(members: Sequence[Member], _chance: random.Random) -> None:
    """All of them list nothing, and everything burns."""
    for member in members:
        _restart(member, _SIEGE)


def _one_part_left(members: Sequence[Member], chance: random.Random) -> None:
    """One has a part of the alerts; the rest of them died with the others."""
    chance.choice(members).faults.add(Fault.HALF_LIST)
    for member in members:
        if not member.faults:
            member.kill()


def _one_restarted(members: Sequence[Member], chance: random.Random) -> None:
    """One lists nothing yet, and the others never had its part."""
    young = chance.choice(members)
    for member in members:
        if member is young:
            _restart(member, _SIEGE)
        else:
            member.faults.add(Fault.HALF_LIST)


def _nonsense(members: Sequence[Member], chance: random.Random) -> None:
    """One has a part of the alerts, and the others talk nonsense."""
    sound = chance.choice(members)
    sound.faults.add(Fault.HALF_LIST)
    for member, fault in zip(members, chance.sample(_NONSENSE, len(members)), strict=True):
        if member is not sound:
            member.faults.add(fault)


def _all_forgot(members: Sequence[Member], _chance: random.Random) -> None:
    """All of them list nothing, although none was restarted: Prometheus was away for longer than alerts last."""
    for member in members:
        member.faults.add(Fault.EMPTY)


def _foreign_peer(members: Sequence[Member], _chance: random.Random) -> None:
    """A member that the service does not know of has a part of the alerts."""
    for member in members:
        member.faults |= {Fault.HALF_LIST, Fault.FOREIGN_PEER}


def _settling(members: Sequence[Member], chance: random.Random) -> None:
    """They have not found each other yet, and one has its part alone."""
    for member in members:
        member.faults |= {Fault.SETTLING, Fault.EMPTY}
    chance.choice(members).faults.symmetric_difference_update({Fault.EMPTY, Fault.HALF_LIST})


#: The short version comes as far as the second.
_SIEGES: tuple[Siege, ...] = (
    _one_restarted,
    _one_part_left,
    _all_restarted,
    _nonsense,
    _all_forgot,
    _foreign_peer,
    _settling,
)


# -- what must come of it ----------------------------------------------------------------------------------------------


def _until_closed(cluster: Cluster, here: Stage, traffic: QuietTraffic) -> tuple[float, list[str]]:
    """Wait until all that is over is told; return how many seconds it took, and what is not told, a line each."""
    _heal(cluster)
    wait_for(lambda: not any(time.time() - member.uptime.timestamp() < _YOUNG for member in cluster.members), 30)
    began = time.monotonic()
    # Whatever ends, three polls must miss it; a silence shows with the first.
    time.sleep(3 * _EVERY)
    while (open_ := _still_open(here, traffic)) and time.monotonic() - began < _GONE_AFTER + _POLLS:
        time.sleep(0.1)
    late = f"{_GONE_AFTER + _POLLS:g} s later"
    return time.monotonic() - began, [f"{name} is over, and {late} Slack does not say so" for name in open_]


def _still_open(here: Stage, traffic: QuietTraffic) -> list[str]:
    """What is over in truth, and is not told: threads whose first message is not green, by key, and alerts."""
    messages = said(here.workspace, CHANNEL)
    roots = {each.key: each.message.color for each in messages if each.message.thread_ts is None}
    story = story_of(messages)
    threads = [name for name, is_firing in traffic.firing.items() if not is_firing and roots.get(name, GREEN) != GREEN]
    over = [name for name, changes in traffic.changes.items() if changes[-1] == RESOLVED]
    return threads + [name for name in over if story.get(name, [RESOLVED])[-1] != RESOLVED]


def _judge_notes(verdict: Verdict, here: Stage, traffic: QuietTraffic) -> None:
    """Each silence is told once, no note twice, and what is silenced in the end says so."""
    messages = said(here.workspace, CHANNEL)
    roots = {each.key: each.message for each in messages if each.message.thread_ts is None}
    notes = _notes(messages)
    verdict.figures["notes"] = notes.total()
    verdict.twice += [f"{name}: {number} × {text}" for (name, text), number in notes.items() if number > 1]
    replies = [(each.key, words(each.message)) for each in messages if each.message.thread_ts is not None]
    for group, comment in traffic.comments.items():
        # Where Slack was slow, one reply tells this and what the alerts did.
        told = sum(name == key(group) and comment in text for name, text in replies)
        if told > 1:
            verdict.twice.append(f"{key(group)}: {told} replies tell of one silence")
        # A root that is posted after that tells of it itself.
        if not told and float(roots[key(group)].ts) < traffic.kept_silent.get(group, 0):
            verdict.lost.append(f"{key(group)}: no reply tells of its silence")
    for group in traffic.kept_silent:
        text = words(roots[key(group)])
        if "SILENCED" not in text or traffic.comments[group] not in text:
            verdict.wrong.append(f"{key(group)} is silenced, and its root says {text[:60]!r}")


def _notes(messages: Sequence[Said]) -> Counter[tuple[str, str]]:
    """The replies that tell no alert's change, by thread and text."""
    replies = [each for each in messages if each.message.thread_ts is not None and not each.delivered]
    return Counter((each.key, " ".join(words(each.message).split())) for each in replies)


def _judge_health(verdict: Verdict, here: Stage) -> None:
    """When everything is over, nothing is left to complain about."""
    until = time.monotonic() + _POLLS
    while (health := here.service.health)["status"] != "healthy" and time.monotonic() < until:
        time.sleep(0.1)
    if health["status"] != "healthy":
        verdict.wrong.append(f"/health says {health.get('problems')} when all is over")
