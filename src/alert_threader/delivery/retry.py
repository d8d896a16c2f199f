"""What a failed call to Slack means: for the thread that it was made for, and for how fast its channel goes on.

Pure: the time and the chance are arguments; the sender does the waiting.
"""

from typing import NamedTuple, assert_never

import msgspec

from alert_threader.slack.failures import TOO_MANY, FailureKind, SlackError
from alert_threader.threads import (
    GIVE_UP_AFTER,
    LOOK_UP_AFTER,
    MAX_SIMPLE,
    AlertThread,
    CopiesRemoved,
    Failed,
    NotFound,
    Outcome,
    RootGone,
    Step,
    Uneditable,
    Unknown,
    Wait,
)

_FIRST_WAIT = 1.0
#: Where a person has to act first.
_FIRST_SLOW_WAIT = 5.0
_LONGEST_WAIT = 60.0
#: In an outage Slack is asked again at least this often, in seconds: its first good answer is to be used at once.
LONGEST_HOLD = 3.0
#: How long late copies are left when they could not be looked for, in seconds: nothing waits for them.
_COPIES_AGAIN = 20.0

#: After this many failures in a row a code that we do not know is taken for the message's fault.
_PATIENCE = 2

#: The app may post, but not read the channel: without channels:history, or where it posts without being a member. Or
#: there is too much to read.
_BLIND = frozenset({"access_denied", "missing_scope", "no_permission", "not_in_channel", TOO_MANY})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the thread, and how long to hold back, in seconds.

    ``pause`` is for all calls to the channel, and ``is_own`` says that no other channel has to do with its reason.
    ``limit`` is only for the method that failed. So is ``hold``, after which the method is tried with the thread that
    failed, before any other. ``works`` are the methods that have just proved to work. ``trouble`` says that a person
    should know as long as it lasts, ``blind`` that posts cannot be looked up.
    """

    outcome: Outcome
    pause: float = 0
    is_own: bool = False
    limit: float = 0
    hold: float = 0
    works: tuple[str, ...] = ()
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
    is_everyones: bool = False,
) -> Verdict:
    """Judge a failure.

    ``now`` is in seconds since the epoch, ``chance`` a random number in [0, 1), ``failures`` how many calls of the
    method to the channel failed in a row with this one. ``is_everyones`` says that a refusal which we do not know meets
    more than one message, whatever its form.
    """
    if step is Step.REMOVE_COPIES:
        return _judge_copies(error, thread, now)
    if step is Step.LOOK_UP and (_is_blind(error) or _is_given_up(thread, now)):
        # A copy beats a loss, and it is removed when it is found.
        return Verdict(outcome=NotFound(), blind=_is_blind(error), limit=error.retry_after)
    again = _Again(error, step, now)
    match error.kind:
        case FailureKind.RATE_LIMITED:
            return Verdict(outcome=again.after(0), limit=error.retry_after)
        case FailureKind.TRANSIENT:
            hold = _hold(error, step, failures, chance)
            return Verdict(outcome=again.after(hold), hold=hold, trouble=True)
        case FailureKind.AUTH | FailureKind.DESTINATION:
            is_own = error.kind is FailureKind.DESTINATION
            pause = backoff(failures, chance, slow=True)
            return Verdict(outcome=again.after(0), pause=pause, is_own=is_own, trouble=True)
        case FailureKind.PAYLOAD:
            return Verdict(outcome=again.after(_wait_for_simpler(thread, chance), simpler=True), trouble=True)
        case FailureKind.UNKNOWN_CODE if is_everyones:
            # The destination's fault, whatever it is: no message must lose its form for it.
            pause = backoff(failures, chance, slow=True)
            return Verdict(outcome=again.after(0, in_full=True), pause=pause, is_own=True, trouble=True)
        case FailureKind.GONE | FailureKind.UNEDITABLE | FailureKind.UNKNOWN_CODE:
            final = _final(error.kind, thread, step)
            wait = backoff(thread.failures + 1, chance)
            simpler = thread.failures >= _PATIENCE
            return final or Verdict(outcome=again.after(wait, simpler=simpler), trouble=True)
        case _:
            assert_never(error.kind)


def judge_fault(error: Exception, thread: AlertThread, *, now: float, chance: float) -> Verdict:
    """Judge a fault of ours in making a message: an alert must not be lost to it, so the next one is simpler."""
    wait = _wait_for_simpler(thread, chance)
    return Verdict(outcome=Failed(error=repr(error)[:200], retry=Wait(now + wait, wait), simpler=True))


def _hold(error: SlackError, step: Step, failures: int, chance: float) -> float:
    """How long a method is held back after a failure that Slack, or the way to it, is to blame for."""
    if error.outcome_unknown and step.is_post:
        return LOOK_UP_AFTER
    if error.outcome_unknown and step is Step.UPDATE_ROOT and failures == 1:
        return 0
    return min(backoff(failures, chance), LONGEST_HOLD)


def _judge_copies(error: SlackError, thread: AlertThread, now: float) -> Verdict:
    """Late copies are looked for again while that may help; a refusal ends it."""
    later = (FailureKind.RATE_LIMITED, FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.DESTINATION)
    if error.kind in later and not _is_blind(error):
        wait = max(_COPIES_AGAIN, error.retry_after)
        return Verdict(outcome=CopiesRemoved(ids=(), retry=Wait(now + wait, wait)), limit=error.retry_after)
    return Verdict(outcome=CopiesRemoved(ids=tuple(post.id for post in thread.uncertain_posts if post.at <= now)))


class _Again(NamedTuple):
    """A call that is to be made again."""

    error: SlackError
    step: Step
    now: float

    def after(self, wait: float, *, simpler: bool = False, in_full: bool = False) -> Outcome:
        """The outcome that says so, after ``wait`` seconds. A post that Slack may have taken is looked up instead."""
        text, retry = str(self.error), Wait(self.now + wait, wait)
        if self.step is Step.LOOK_UP or self.error.outcome_unknown:
            return Unknown(error=text, retry=retry)
        return Failed(error=text, retry=retry, simpler=simpler, in_full=in_full)


def _final(kind: FailureKind, thread: AlertThread, step: Step) -> Verdict | None:
    """What a refusal says for good: the root is gone, or may not be edited any more."""
    if kind is FailureKind.GONE and step in (Step.POST_REPLY, Step.UPDATE_ROOT):
        return Verdict(outcome=RootGone(ts=thread.ts))
    if kind is FailureKind.UNEDITABLE and step is Step.UPDATE_ROOT:
        return Verdict(outcome=Uneditable(ts=thread.ts), trouble=True)
    return None


def _is_blind(error: SlackError) -> bool:
    """Whether the channel cannot be read, now or later."""
    refused = (FailureKind.PAYLOAD, FailureKind.GONE, FailureKind.UNEDITABLE, FailureKind.UNKNOWN_CODE)
    return error.code in _BLIND or error.kind in refused


def _is_given_up(thread: AlertThread, now: float) -> bool:
    """Whether the attempt was looked up in vain for long enough."""
    unknown_since = thread.attempt.unknown_since if thread.attempt is not None else 0
    return 0 < unknown_since <= now - GIVE_UP_AFTER


def _wait_for_simpler(thread: AlertThread, chance: float) -> float:
    """A simpler message goes out at once. Where there is none, only what failed since counts for the wait."""
    if thread.simple < MAX_SIMPLE:
        return 0
    return backoff(thread.failures - MAX_SIMPLE + 1, chance, slow=True)
