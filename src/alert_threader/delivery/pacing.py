"""How fast to send to Slack: which budget each method of its Web API has."""

from alert_threader.store.tokens import Budget

#: Edits and look-ups are Tier 3, "50+ per minute" for each method and workspace
#: (https://docs.slack.dev/apis/web-api/rate-limits). With the burst this makes 50 in any minute.
_TIER_3_RATE = 45 / 60
_TIER_3_BURST = 5

POST = "chat.postMessage"
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

    def budget(self, method: str, channel: str) -> tuple[str, Budget]:
        """The budget of a method in a channel, and the name that all who share it give it."""
        return (f"{method}:{channel}", self._posts) if method == POST else (method, self._others)
