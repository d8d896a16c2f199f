"""Something stands between the service and Slack: a resolver that never answers, a host that redirects."""

import os
from pathlib import Path

import alert_threader
from chaos.faults.slack import play
from chaos.plan import Plan
from chaos.stage import Stage, go_on
from chaos.traffic import Traffic
from chaos.verdict import Verdict
from slack_sandbox import SandboxServer

#: Where the module is that lets a process's resolver stand still.
STALLED = Path(__file__).parents[1] / "stalled"


def resolver(plan: Plan) -> Verdict:
    """The resolver never answers when it is asked for Slack's name."""
    mark = plan.folder / "stalled"
    path = os.pathsep.join(map(str, (STALLED, Path(alert_threader.__file__).parents[1])))

    def fail(_here: Stage, seconds: float, traffic: Traffic) -> None:
        mark.touch()
        go_on(traffic, seconds)

    return play(
        plan,
        fail,
        mend=mark.unlink,
        must_say="the name localhost is not resolved within 1 s",
        slack_host="localhost",
        PYTHONPATH=path,
        CHAOS_STALLED=str(mark),
    )


def redirect(plan: Plan) -> Verdict:
    """Slack's address answers with redirects to another host, which must not get the token."""
    with SandboxServer(port=0) as other:

        def fail(here: Stage, seconds: float, traffic: Traffic) -> None:
            for status in (301, 302, 303, 307, 308):
                here.workspace.faults.clear()
                here.workspace.faults.add("redirect", status=status, location=f"{other.api_url}chat.postMessage")
                go_on(traffic, seconds / 5)

        def look(here: Stage, verdict: Verdict) -> None:
            outcomes = [call.outcome for call in here.workspace.calls.all()]
            verdict.figures["redirected"] = sum(outcome.startswith("http 3") for outcome in outcomes)
            if other.workspace.calls.all():
                verdict.wrong.append("the other host was called")

        return play(plan, fail, look, must_say="which is not followed")
