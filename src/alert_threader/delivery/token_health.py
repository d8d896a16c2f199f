"""Asks Slack now and then whether the bot token is good, so that it is known before an alert needs it."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from alert_threader.delivery.watch import Watch
from alert_threader.slack import scopes
from alert_threader.slack.client import BotIdentity
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.telemetry.metrics import SlackMetrics

log = logging.getLogger(__name__)

#: How often Slack is asked, in seconds.
_EVERY = 5 * 60.0
#: The same after a failure.
_AGAIN = 30.0


class TokenState(NamedTuple):
    """What is known of the token: whom it belongs to, when Slack last judged it, and what is wrong with it."""

    identity: BotIdentity | None = None
    #: In seconds since the epoch; None for never.
    checked_at: float | None = None
    #: What is wrong with the token or its scopes, a line each with what to do.
    problems: tuple[str, ...] = ()
    #: Whether Slack does not accept it: then any call that succeeds proves that this is over.
    refused: bool = False
    #: Why Slack was not reached, several times in a row and last at ``failed_at``: no fault of the token.
    unreached: str | None = None
    failed_at: float = 0.0


class TokenHealth:
    """Knows how the token is, as long as it runs. ``start`` and ``stop`` it once."""

    def __init__(
        self, ask: Callable[[], BotIdentity], metrics: SlackMetrics, clock: Callable[[], float] = time.time
    ) -> None:
        """``ask`` checks the token and raises SlackError; ``clock`` is the time of day in seconds."""
        self._ask = ask
        self._metrics = metrics
        self._clock = clock
        self._failures = 0
        self._watch = Watch("token", self.check, retry_after=_AGAIN)
        #: What is known at this moment.
        self.state = TokenState()

    def start(self) -> None:
        """Ask for the first time, and from then on every few minutes; nobody waits for it."""
        self._watch.start()

    def stop(self) -> None:
        """Ask no more. A call under way is left alone: nothing depends on its answer."""
        self._watch.stop()

    def check(self) -> float:
        """Ask once; return the seconds until Slack should be asked again."""
        try:
            identity = self._ask()
        except SlackError as error:
            if error.kind is FailureKind.AUTH:
                self._judged(None, (str(error),))
            else:
                self._unanswered(error)
            return max(_AGAIN, error.retry_after)
        self._judged(identity, tuple(scopes.missing(identity.scopes)))
        return _EVERY

    def _judged(self, identity: BotIdentity | None, problems: tuple[str, ...]) -> None:
        former, at = self.state, self._clock()
        self._failures = 0
        self.state = TokenState(identity or former.identity, at, problems, refused=identity is None)
        self._metrics.token_checked(at, valid=identity is not None)
        if problems != former.problems:
            log.warning("the bot token: %s", "; ".join(problems) or "all is well again")

    def _unanswered(self, error: SlackError) -> None:
        log.info("the bot token could not be checked: %s", error)
        if error.kind is FailureKind.RATE_LIMITED:
            return
        self._failures += 1
        if self._failures > 1:
            # The first one may be over when it is asked again.
            self.state = self.state._replace(unreached=str(error), failed_at=self._clock())
