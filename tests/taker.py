"""A Slack that takes everything, for tests of what stands before it."""

from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.pacing import Pacing
from alert_threader.delivery.retry import Verdict
from alert_threader.delivery.slack_calls import KIND, METHODS, OUTCOMES
from alert_threader.store import Threads
from alert_threader.store.tokens import Budget
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import AlertThread, Posted, Reason, Step, Updated, shown_now


class Taker:
    """Takes every call, and keeps what it was asked for: the thread's key and the step."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.steps: list[tuple[str, Step]] = []
        self._pacing = Pacing(100, 100)

    def method(self, step: Step) -> str:
        """The call that a step needs."""
        return METHODS[step]

    def budget(self, step: Step, lane: str, *, answers_press: bool = False) -> tuple[str, Budget]:  # noqa: ARG002
        """The budget of a step's call."""
        return self._pacing.budget(METHODS[step], lane)

    def is_unchanged(self, thread: AlertThread) -> bool:  # noqa: ARG002 - as the protocol has it
        """No root is rendered."""
        return False

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Take it."""
        self.steps.append((thread.key, step))
        if step is Step.UPDATE_ROOT:
            return Verdict(outcome=Updated(ts=thread.ts, shown=shown_now(thread)))
        return Verdict(outcome=Posted(ts=f"{len(self.steps)}.0", threaded=step is Step.POST_REPLY))


def delivery(verbs: Threads, taker: Taker) -> Deliverer:
    """Delivery to it."""
    return Deliverer(verbs, {KIND: taker}, Metrics(Reason, set(METHODS.values()), OUTCOMES), burst=100)
