"""A rolling upgrade: replicas of the first release, beside them those of this one, then these alone; all are killed.

The same traffic, and the same accounts, as ``replicas``.
"""

from chaos.faults.replicas import Scene, judged
from chaos.plan import Plan
from chaos.verdict import Verdict
from harness.replicas import start_all

_OF_EACH = 2
#: Which part of the time, and of the kills, both releases run side by side. The rest is shared by either alone.
_TOGETHER = 0.6


def rolling(plan: Plan) -> Verdict:
    """Replicas of the first release are replaced by this one's under traffic, all killed at random."""
    seconds, kills = plan.lasting(120, 20), plan.killing(15, 5)
    alone, killed_alone = seconds * (1 - _TOGETHER) / 2, round(kills * (1 - _TOGETHER) / 2)

    def play(scene: Scene) -> None:
        former, ours = scene.services[:_OF_EACH], scene.services[_OF_EACH:]
        scene.let_it_happen(former, alone, killed_alone)
        start_all(list(ours))
        scene.let_it_happen(scene.services, seconds * _TOGETHER, kills - 2 * killed_alone)
        for each in former:
            each.kill()
        plan.say("the first release is gone")
        scene.let_it_happen(ours, alone, killed_alone)

    return judged(
        plan,
        play,
        names=[f"replica{number}" for number in range(_OF_EACH)],
        former=[f"former{number}" for number in range(_OF_EACH)],
    )
