"""Who may press: everyone who sees the message, or the users and user groups in ALLOWED_TO_PRESS."""

import logging
import time
from collections.abc import Callable, Collection, Mapping

from alert_threader.delivery.watch import Watch
from alert_threader.slack.failures import SlackError

log = logging.getLogger(__name__)

#: How often the members of user groups are asked for, in seconds; the same after a failure.
_EVERY = 5 * 60.0
_AGAIN = 30.0
#: How long the last list is valid if Slack does not answer, in seconds. After that, no member may press.
_BELIEVED = 24 * 60 * 60.0


class Access:
    """Knows who may press. ``start`` and ``stop`` it once; a press never waits for Slack."""

    def __init__(
        self,
        allowed: Collection[str],
        members: Callable[[str], frozenset[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``allowed`` are ids of users and user groups, none for everybody; ``members`` raises SlackError."""
        self._users = frozenset(each for each in allowed if not each.startswith("S"))
        self._groups = tuple(each for each in allowed if each.startswith("S"))
        self._members = members
        self._clock = clock
        self._known: Mapping[str, tuple[frozenset[str], float]] = {}
        self._watch = Watch("user groups", self.check, retry_after=_AGAIN)
        #: Why the members of a group are not known, None while they are.
        self.problem: str | None = None

    def start(self) -> None:
        """Ask for the members of user groups, now and every few minutes."""
        if self._groups:
            self._watch.start()

    def stop(self) -> None:
        """Ask no more."""
        self._watch.stop()

    def allows(self, user: str) -> bool:
        """Whether a user may press."""
        if not self._users and not self._groups:
            return True
        now = self._clock()
        known = self._known.values()
        return user in self._users or any(user in who and now - at < _BELIEVED for who, at in known)

    def check(self) -> float:
        """Ask once for the members of all groups; return the seconds until Slack should be asked again."""
        known = dict(self._known)
        self.problem = None
        for group in self._groups:
            try:
                known[group] = (self._members(group), self._clock())
            except SlackError as error:
                self.problem = f"ALLOWED_TO_PRESS: the members of {group} cannot be read: {error}"
                log.warning("%s", self.problem)
        self._known = known
        return _AGAIN if self.problem else _EVERY
