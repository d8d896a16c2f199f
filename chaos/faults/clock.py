"""The clock is set, forward and back: by a person, by NTP after a long sleep, by a virtual machine that went on."""

import time
from datetime import datetime

from chaos.plan import Plan
from chaos.stage import conclude, go_on, stage
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from harness.scripts import make_trouble
from harness.service import Service
from harness.shifted_clock import ShiftedClock

#: Something is under way when the clock jumps: it begins so long before, in seconds.
_BEFORE = 0.5
_HOUR = 3600
#: Where the clock stands one after the other, in seconds from the true time.
_SHIFTS = (_HOUR, 0, -_HOUR, 0, _HOUR, -_HOUR, 0)


def clock(plan: Plan) -> Verdict:
    """The clock jumps by an hour, forward and back, while Slack is slow and drops answers."""
    shifted = ShiftedClock(plan.folder)
    pause = plan.lasting(60, 7) / len(_SHIFTS)
    unheeded: list[str] = []
    with stage(plan, **shifted.settings) as here:
        if not plan.sound:
            make_trouble(here.workspace)
        with Traffic(here.service, seed=plan.seed) as traffic:
            for seconds in _SHIFTS:
                # Messages whose answer is lost are looked for by their time: within one hour, and across a jump.
                for part in (pause - _BEFORE, _BEFORE):
                    here.workspace.faults.add("drop_after", method="chat.postMessage", count=1)
                    go_on(traffic, part)
                shifted.shift(seconds)
                unheeded += [] if _is_shifted(here.service, seconds) else [f"the clock did not jump by {seconds} s"]
            go_on(traffic, 1)
        verdict = conclude(traffic, here.workspace, here.service)
        verdict.wrong += [f"/health still complains: {problem}" for problem in here.service.health["problems"]]
    verdict.wrong += unheeded
    verdict.figures = {"jumps": len(_SHIFTS), **verdict.figures}
    return verdict


def _is_shifted(service: Service, seconds: int) -> bool:
    now = datetime.fromisoformat(service.health["timestamp"]).timestamp()
    return abs(now - time.time() - seconds) < 5
