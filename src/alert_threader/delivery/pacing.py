"""How fast to send to Slack: which budget each method of its Web API has."""

from alert_threader.store.tokens import Budget

#: Edits and look-ups are Tier 3, "50+ per minute" for each method and workspace
#: (https://docs.slack.dev/apis/web-api/rate-limits). With the burst this makes 50 in any minute.
_TIER_3_RATE = 45 / 60
_TIER_3_BURST = 5

POST, EDIT = "chat.postMessage", "chat.update"
#: By which all look-ups are counted; one may need conversations.replies too.
LOOK_UP = "conversations.history"


class Pacing:
    """The budgets. Posts are limited for each channel, all else for the whole workspace."""

    def __init__(self, rate: float, burst: float) -> None:
        """``rate`` is the posts a second to one channel, ``burst`` the posts at once after a pause.

        Edits and look-ups go up and down with the rate.
        """
        self._posts = Budget(rate, burst)
        self._others = Budget(_TIER_3_RATE * rate, _TIER_3_BURST * rate)
        #: What is left of edits while one token is kept for those that answer a press.
        self._but_one = Budget(self._others.rate, max(self._others.burst - 1, 1))

    def budget(self, method: str, channel: str, *, answers_press: bool = False) -> tuple[str, Budget]:
        """The budget of a method in a channel, and the name that all who share it give it."""
        if method == POST:
            return f"{method}:{channel}", self._posts
        return method, self._but_one if method == EDIT and not answers_press else self._others
