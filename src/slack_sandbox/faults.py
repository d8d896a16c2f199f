"""Trouble on request: what can go wrong between a client and Slack, as rules that a test or a person sets.

The first rule that fits a call decides it. A rule ends when its count is used up, its time is over, or it is
cleared.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What happens to a call that a rule fits."""

    RATELIMITED = "ratelimited"  #: 429 with Retry-After
    HTTP = "http"  #: an HTTP status, the message is not accepted
    HTTP_AFTER = "http_after"  #: an HTTP status although the message was accepted
    REDIRECT = "redirect"  #: a redirection to another address, as a captive portal answers
    GARBAGE = "garbage"  #: 200 with a page of HTML, as a proxy in between might answer, or any other body
    GARBAGE_AFTER = "garbage_after"  #: the same although the message was accepted
    ERROR = "error"  #: any of Slack's error codes
    DROP_BEFORE = "drop_before"  #: the connection closes, the message is not accepted
    DROP_AFTER = "drop_after"  #: the connection closes although the message was accepted
    HANG = "hang"  #: nothing for some seconds, then as usual
    SLOW = "slow"  #: the same under the name that fits a short wait
    HANG_AFTER = "hang_after"  #: accepted at once, answered after some seconds
    HTTP_LATE = "http_late"  #: an HTTP status at once, and the message is accepted some seconds later
    LAG = "lag"  #: a history that does not show what was posted in the last seconds


#: Where a proxy that wants to be logged in to might lead, and what it might answer.
LOGIN = "https://login.example.com/"
PAGE = "<!doctype html><title>Proxy</title><p>Please sign in."

#: Kinds that let the call reach Slack.
ACCEPTING = frozenset(
    {Kind.HTTP_AFTER, Kind.GARBAGE_AFTER, Kind.DROP_AFTER, Kind.HANG, Kind.SLOW, Kind.HANG_AFTER, Kind.LAG}
)


@dataclass(slots=True)
class Rule:
    """One kind of trouble, and which calls it meets."""

    kind: Kind
    method: str = "*"
    channel: str | None = None
    containing: str | None = None  #: only calls whose message's text has this in it
    count: int | None = None  #: how many calls are left to meet it; None: until cleared
    probability: float = 1.0
    status: int = 503  #: for http, http_after and http_late; for redirect any but 3xx is 302
    location: str = LOGIN  #: for redirect
    body: str = PAGE  #: for garbage and garbage_after
    error: str = "internal_error"  #: for error
    retry_after: int = 1  #: for ratelimited, in seconds
    seconds: float = 1.0  #: for hang, slow, hang_after, http_late and lag
    until: float | None = None  #: the time at which the rule ends

    def fits(self, method: str, channel: str, now: float, text: str = "") -> bool:
        """Say whether the call is one of those this rule is for."""
        return (
            self.count != 0
            and self.method in {"*", method}
            and self.channel in {None, channel}
            and (self.containing is None or self.containing in text)
            and (self.until is None or now < self.until)
        )


class Faults:
    """The rules in force."""

    def __init__(self, clock: Callable[[], float], seed: int = 0) -> None:
        """Take the clock, in seconds, and the seed that makes probabilities repeatable."""
        self._clock = clock
        self._random = random.Random(seed)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(  # noqa: PLR0913 - one keyword for each property of a rule
        self,
        kind: Kind | str,
        *,
        method: str = "*",
        channel: str | None = None,
        containing: str | None = None,
        count: int | None = None,
        probability: float = 1.0,
        status: int = 503,
        location: str = LOGIN,
        body: str = PAGE,
        error: str = "internal_error",
        retry_after: int = 1,
        seconds: float = 1.0,
        lasting: float | None = None,
    ) -> Rule:
        """Add a rule after those in force; `lasting` is how long it applies, in seconds.

        Raises ValueError for a kind that does not exist.
        """
        until = None if lasting is None else self._clock() + lasting
        rule = Rule(
            *(Kind(kind), method, channel, containing, count, probability, status),
            *(location, body, error, retry_after, seconds, until),
        )
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """End all rules."""
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[Rule]:
        """Return the rules that still can meet a call."""
        now = self._clock()
        with self._lock:
            return [
                rule for rule in self._rules if rule.fits(rule.method, rule.channel or "", now, rule.containing or "")
            ]

    def meet(self, method: str, channel: str, text: str = "") -> Rule | None:
        """Return the rule that decides this call, and count it."""
        now = self._clock()
        with self._lock:
            for rule in self._rules:
                if rule.fits(method, channel, now, text) and self._random.random() < rule.probability:
                    if rule.count is not None:
                        rule.count -= 1
                    return rule
        return None
