"""When Slack is asked about the token, and what its answers and failures mean."""

import threading

import pytest

from alert_threader.delivery import token_health
from alert_threader.delivery.token_health import TokenHealth
from alert_threader.slack.client import BotIdentity
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.telemetry.metrics import Metrics

GOOD = BotIdentity("Example", "threader", ("chat:write", "channels:history"))
REVOKED = SlackError(FailureKind.AUTH, "token_revoked", "token_revoked: install the app again")
LIMITED = SlackError(FailureKind.RATE_LIMITED, "ratelimited", "Slack asks to wait 90 s (rate limit)", retry_after=90)
DOWN = SlackError(FailureKind.TRANSIENT, "http_503", "Slack answers 503: wait for Slack", outcome_unknown=True)


class Slack:
    """Answers as it was told to, and lets a test wait for a number of questions."""

    def __init__(self, *answers: BotIdentity | Exception) -> None:
        """The last answer is given again and again."""
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)

    def identify(self) -> BotIdentity:
        """Give the next answer."""
        self.asked.release()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def health(*answers: BotIdentity | Exception) -> TokenHealth:
    """A token of which Slack says this."""
    return TokenHealth(Slack(*answers).identify, Metrics().slack, lambda: 1000.0)


@pytest.mark.parametrize(
    ("answer", "wait"), [(GOOD, 300), (REVOKED, 30), (DOWN, 30), (LIMITED, 90)], ids=["good", "revoked", "down", "429"]
)
def test_next_question(answer: BotIdentity | Exception, wait: float) -> None:
    """Every few minutes, sooner after a failure, never before Retry-After."""
    assert health(answer).check() == wait


@pytest.mark.parametrize("failure", [DOWN, LIMITED])
def test_failure_that_is_not_the_tokens(failure: SlackError) -> None:
    """What is known of the token stays; a limit means that Slack is well."""
    token = health(GOOD, *[failure] * 3)
    token.check()
    known = token.state
    token.check()
    assert token.state == known
    token.check()
    assert (token.state.identity, token.state.checked_at, token.state.problems) == (GOOD, 1000.0, ())
    assert token.state.unreached == (str(DOWN) if failure is DOWN else None)


def test_failure_does_not_make_a_revoked_token_good() -> None:
    """Only Slack's word does."""
    token = health(REVOKED, DOWN, DOWN, GOOD)
    token.check()
    for _ in range(2):
        token.check()
        assert token.state.problems == (str(REVOKED),)
    token.check()
    assert (token.state.problems, token.state.unreached) == ((), None)


def test_asks_at_start_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes, a fault of ours too; and it ends when it is told to, also while Slack is silent."""
    monkeypatch.setattr(token_health, "_AGAIN", 0.001)
    slack = Slack(ValueError("ours"), DOWN, REVOKED, LIMITED)
    token = TokenHealth(slack.identify, Metrics().slack)
    token.start()
    try:
        assert all(slack.asked.acquire(timeout=10) for _ in range(4))
    finally:
        token.stop()
    assert token.state.problems == (str(REVOKED),)
