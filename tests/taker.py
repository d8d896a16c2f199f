"""A Slack that takes everything, for tests of what stands before it."""

from alert_threader.delivery.retry import Verdict
from alert_threader.threads import Action, AlertThread, Posted, Step, Updated


class Taker:
    """Takes every call, and keeps what it was asked for: the thread's key and the step."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.steps: list[tuple[str, Step]] = []

    def call(self, thread: AlertThread, action: Action) -> Verdict:
        """Take it."""
        self.steps.append((thread.key, action.step))
        if action.step is Step.UPDATE_ROOT:
            return Verdict(outcome=Updated(ts=thread.ts, shown=action.shown))
        return Verdict(outcome=Posted(ts=f"{len(self.steps)}.0", threaded=action.step is Step.POST_REPLY))
