"""A thread that is taken through inputs by the rules alone: no store, no sender, and a clock that stands still."""

from typing import Any

from alert_threader.alertmanager.webhook import Alert
from alert_threader.formatter import message_hash, render
from alert_threader.threads import (
    Action,
    AlertThread,
    Applied,
    Batch,
    Outcome,
    Policy,
    Posted,
    Step,
    Updated,
    age,
    apply,
    plan,
    record_outcome,
    record_unchanged,
    shown_now,
    start_attempt,
)
from tests.build import NOW, change


def message(thread: AlertThread) -> dict[str, Any]:
    """The root as it would be sent now."""
    return render(thread, Step.UPDATE_ROOT, Batch(), environment="test", simple=thread.simple)


def rendered(thread: AlertThread) -> str:
    """The hash of the root as it would be sent now."""
    return message_hash(message(thread))


class Life:
    """A thread and its clock. ``root`` is the hash of what its root shows in Slack, if the calls went well."""

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 - an immutable value
        """Begin without a thread."""
        self.policy = policy
        self.now = NOW
        self.root = ""
        self._thread: AlertThread | None = None
        self._calls = 0

    @property
    def thread(self) -> AlertThread:
        """The thread, which must exist."""
        assert self._thread is not None
        return self._thread

    @thread.setter
    def thread(self, thread: AlertThread | None) -> None:
        self._thread = thread

    def notify(self, *alerts: Alert, **fields: Any) -> Applied:
        """A notification comes."""
        applied = apply(self._thread, change(*alerts, **fields), self.now, self.policy)
        self._thread = applied.thread
        return applied

    def age(self) -> AlertThread | None:
        """Time passes: what it makes of the thread, which is kept where there still is one."""
        aged = age(self.thread, self.now, self.policy)
        self._thread = aged or self._thread
        return aged

    @property
    def action(self) -> Action | None:
        """What the thread needs, due or not."""
        return next(iter(plan(self.thread, self.policy).actions.values()), None)

    @property
    def due(self) -> Step | None:
        """What is due now."""
        action = self.action
        return action.step if action is not None and action.is_due(self.now) else None

    @property
    def wait(self) -> float:
        """How many seconds it is until the next action is due, as a sender finds out; 0 where it is due."""
        self.thread, step = start_attempt(self.thread, "asked", self.now, self.policy)
        assert step is None, "the action was due, and is started now"
        assert self.action is not None
        return self.action.at - self.now

    def start(self, attempt_id: str = "") -> Step:
        """Start the call that is due."""
        self._calls += 1
        self.thread, step = start_attempt(self.thread, attempt_id or f"id{self._calls}", self.now, self.policy)
        assert step is not None
        return step

    def call(self, outcome: Outcome | None = None) -> list[str]:
        """Make the call that is due, by default with the best of outcomes; return what it delivers."""
        step = self.start()
        attempt = self.thread.attempt
        events = attempt.batch.events if attempt else {}
        if outcome is None:
            outcome = self.succeed(step)
        self.end(outcome)
        return [f"{name} {event.kind}" for name, event in events.items()]

    def end(self, outcome: Outcome) -> None:
        """The call that is under way ends so."""
        self.thread = record_outcome(self.thread, self.thread.under_way, outcome, self.now, self.policy)

    def succeed(self, step: Step) -> Outcome:
        """Slack does what is asked of it."""
        if step is Step.UPDATE_ROOT:
            self.root = rendered(self.thread)
            return Updated(ts=self.thread.ts, shown=shown_now(self.thread, self.root))
        if step is Step.POST_ROOT:
            self.root = rendered(self.thread)
        return Posted(ts=f"{self._calls}.0", threaded=step is Step.POST_REPLY, hash=self.root)

    def deliver(self) -> list[Step]:
        """Make every call that is due; return the steps. An edit that would change nothing is not made."""
        steps = []
        while (step := self.due) is not None:
            unchanged = record_unchanged(self.thread, self.thread.revision)
            if unchanged is not self.thread and self.thread.shown.hash == rendered(self.thread):
                self.thread = unchanged
            else:
                self.call()
                steps.append(step)
        return steps
