"""How long and how hard, and what a fault says that cannot happen here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class CannotRunError(Exception):
    """What a fault needs is not there: a right that this process has not, say."""


@dataclass(frozen=True)
class Plan:
    """How much happens; all chance comes from one seed."""

    #: Where the files of the services go.
    folder: Path
    #: A short version, to see that all of it runs.
    quick: bool = False
    #: How long, and how many kills, whatever the fault's own measure is.
    seconds: float | None = None
    kills: int | None = None
    seed: int = 0
    #: Let Slack be without faults where they are not the subject.
    sound: bool = False
    say: Callable[[str], None] = lambda _: None

    def lasting(self, full: float, quick: float) -> float:
        """For how many seconds."""
        return self.seconds or (quick if self.quick else full)

    def killing(self, full: int, quick: int) -> int:
        """How many kills."""
        return self.kills or (quick if self.quick else full)

    def times(self, full: int, quick: int) -> int:
        """How often something happens that is no kill."""
        return quick if self.quick else full
