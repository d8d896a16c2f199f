"""What a failed call to Slack means: for the thread that it was made for, and for how fast its channel goes on.

Pure: the time and the chance are arguments; the sender does the waiting.
"""

from typing import NamedTuple, assert_never

import msgspec

from alert_threader.slack.failures import TOO_MANY, FailureKind, SlackError
from alert_threader.threads import (
    MAX_SIMPLE,
    AlertThread,
    Failed,
    NotFound,
    Outcome,
    RootGone,
    Step,
    Unknown,
    Updated,
    Wait,
    shown_now,
)

_FIRST_WAIT = 1.0
#: Where a person has to act first.
_FIRST_SLOW_WAIT = 5.0
_LONGEST_WAIT = 60.0
#: Every failed call of a channel makes its pause longer, and many threads may fail in one outage. Slack is asked again
#: at least this often, in seconds, so that the truth comes soon after the outage ends.
_LONGEST_PAUSE = 15.0

#: After this many failures in a row a code that we do not know is taken for the message's fault.
_PATIENCE = 2

#: The app may post, but not read the channel: without channels:history, or where it posts without being a member. Or
#: there is too much to read.
_BLIND = frozenset({"access_denied", "missing_scope", "no_permission", "not_in_channel", TOO_MANY})
#: A look-up that is refused this often for another reason will not succeed (this takes some minutes).
_LOOK_UPS = 8


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the thread, and how long to hold back, in seconds.

    ``pause`` is for all calls to the channel, ``limit`` only for the method that failed. ``trouble`` says that a person
    should know as long as it lasts, ``blind`` that posts cannot be looked up.
    """

    outcome: Outcome
    pause: float = 0
    limit: float = 0
    trouble: bool = False
    blind: bool = False


def backoff(failures: int, chance: float, *, slow: bool = False) -> float:
    """The wait after this many failures in a row, in seconds: it doubles, up to a minute.

    ``chance`` is a random number in [0, 1): up to half of the wait is taken off, so that senders do not move in step.
    """
    first = _FIRST_SLOW_WAIT if slow else _FIRST_WAIT
    longest = min(first * 2.0 ** min(max(failures - 1, 0), 10), _LONGEST_WAIT)
    return longest * (1 - chance / 2)


def judge(
    error: SlackError,
    thread: AlertThread,
    step: Step,
    *,
    now: float,
    chance: float,
    failures: int,
    call_timeout: float,
) -> Verdict:
    """Judge a failure.

    ``now`` is in seconds since the epoch, ``chance`` a random number in [0, 1), ``failures`` how many calls to the
    channel failed in a row with this one, ``call_timeout`` how many seconds Slack may still be at work on a call whose
    answer was lost.
    """
    if step is Step.LOOK_UP and _is_blind(error, thread):
        # A duplicate beats a loss.
        return Verdict(outcome=NotFound(), blind=True)
    again = _Again(error, step, now, call_timeout)
    wait = backoff(thread.failures + 1, chance)
    match error.kind:
        case FailureKind.RATE_LIMITED:
            return Verdict(outcome=again.after(0), limit=error.retry_after)
        case FailureKind.TRANSIENT:
            return Verdict(
                outcome=again.after(wait), pause=min(backoff(failures, chance), _LONGEST_PAUSE), trouble=True
            )
        case FailureKind.AUTH | FailureKind.DESTINATION:
            return Verdict(outcome=again.after(0), pause=backoff(failures, chance, slow=True), trouble=True)
        case FailureKind.PAYLOAD:
            return Verdict(outcome=again.after(_wait_for_simpler(thread, chance), simpler=True), trouble=True)
        case FailureKind.GONE | FailureKind.UNEDITABLE | FailureKind.UNKNOWN_CODE:
            settled = _settled(error.kind, thread, step)
            simpler = thread.failures >= _PATIENCE
            return settled or Verdict(outcome=again.after(wait, simpler=simpler), trouble=True)
        case _:
            assert_never(error.kind)


def judge_fault(error: Exception, thread: AlertThread, *, now: float, chance: float) -> Verdict:
    """Judge a fault of ours in making a message: an alert must not be lost to it, so the next one is simpler."""
    wait = _wait_for_simpler(thread, chance)
    return Verdict(outcome=Failed(error=repr(error)[:200], retry=Wait(now + wait, wait), simpler=True))


class _Again(NamedTuple):
    """A call that is to be made again."""

    error: SlackError
    step: Step
    now: float
    call_timeout: float

    def after(self, wait: float, *, simpler: bool = False) -> Outcome:
        """The outcome that says so, after ``wait`` seconds.

        One that Slack may still be at work on is repeated when it has surely ended that, not before; a post that it may
        have taken is looked up instead.
        """
        text = str(self.error)
        if self.step is Step.LOOK_UP:
            return Unknown(error=text, retry=Wait(self.now + wait, wait))
        if self.error.outcome_unknown:
            wait = max(wait, self.call_timeout)
            return Unknown(error=text, retry=Wait(self.now + wait, wait))
        return Failed(error=text, retry=Wait(self.now + wait, wait), simpler=simpler)


def _settled(kind: FailureKind, thread: AlertThread, step: Step) -> Verdict | None:
    """What a refusal settles for good: the root is gone, or may not be edited any more."""
    if kind is FailureKind.GONE and step in (Step.POST_REPLY, Step.UPDATE_ROOT):
        return Verdict(outcome=RootGone(ts=thread.ts))
    if kind is FailureKind.UNEDITABLE and step is Step.UPDATE_ROOT:
        return Verdict(outcome=Updated(ts=thread.ts, shown=shown_now(thread)))
    return None


def _is_blind(error: SlackError, thread: AlertThread) -> bool:
    refused = error.kind in (FailureKind.PAYLOAD, FailureKind.GONE, FailureKind.UNEDITABLE, FailureKind.UNKNOWN_CODE)
    return error.code in _BLIND or (refused and thread.failures >= _LOOK_UPS)


def _wait_for_simpler(thread: AlertThread, chance: float) -> float:
    """A simpler message goes out at once. Where there is none, only what failed since counts for the wait."""
    if thread.simple < MAX_SIMPLE:
        return 0
    return backoff(thread.failures - MAX_SIMPLE + 1, chance, slow=True)
