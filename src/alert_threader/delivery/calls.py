"""What a sender needs to know of the world behind its lane: one Calls for each kind of lane."""

from typing import Protocol

from alert_threader.delivery.retry import Verdict
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Step


class Calls(Protocol):
    """Makes the calls of one kind of lane. Safe to use from several threads."""

    def method(self, step: Step) -> str:
        """The call that a step needs, by which it is limited."""

    def budget(self, step: Step, lane: str, *, answers_press: bool = False) -> tuple[str, Budget]:
        """The budget that a step's call takes a token from, and its name.

        Of one that ``answers_press`` the last token may be taken, which is kept for such calls.
        """

    def is_unchanged(self, thread: AlertThread) -> bool:
        """Whether an edit of the root would send what was sent last, so that no call is needed."""

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Make the call; whatever happens, the verdict says how to go on. Never raises."""
