"""What a thread needs next, and when: the difference between what is wanted and what is told."""

import hashlib
from enum import StrEnum

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.record import AlertThread, Attempt, Batch, Shown, Step, severity_rank

#: A root is edited at most this often, in seconds, unless it turns green or red: edits are scarce (about 50 a
#: minute for a workspace, https://docs.slack.dev/apis/web-api/rate-limits, Tier 3).
DEBOUNCE = 4.0

#: How many alerts a root may list; what it shows, and so its digest, depends on no more of them.
LISTED = 10

#: A time to try again lies at most this far ahead, in seconds. Further ahead means that the clock was set back.
MAX_WAIT = 10 * 60

_STEP_RANK = {Step.FIND_ATTEMPT: 0, Step.POST_ROOT: 1, Step.POST_REPLY: 2, Step.UPDATE_ROOT: 3}


class RepeatPolicy(StrEnum):
    """What a repeated notification of an unchanged, firing thread does (rule 7)."""

    UPDATE = "update"
    REPLY = "reply"
    IGNORE = "ignore"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the rules depend on. Durations in seconds."""

    reopen_window: float = 60 * 60
    stale_after: float = 7 * 24 * 60 * 60
    repeat: RepeatPolicy = RepeatPolicy.UPDATE
    #: How long Slack may still be at work on a call that nobody waits for any more: the client's own timeout.
    find_after: float = 10


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """The next thing to do for a thread, not before ``at``. ``rank`` sorts the actions of a channel, lowest first."""

    step: Step
    at: float
    rank: tuple[int, int, float]
    shown: Shown

    def is_due(self, now: float) -> bool:
        """Whether the time has come, also on a clock that was set back."""
        return not now < self.at <= now + MAX_WAIT


def plan(thread: AlertThread) -> Action | None:
    """The one next action of a thread, or None where all is told.

    An attempt that stands is looked for first: posting again before its outcome is known could tell twice.
    """
    step = _next_step(thread)
    if step is None:
        return None
    at = thread.next_try
    shown = Shown(digest=root_digest(thread), status=thread.state)
    if step is Step.FIND_ATTEMPT and thread.attempt is not None:
        at = max(at, thread.attempt.find_at)
    elif step is Step.UPDATE_ROOT:
        at = max(at, thread.shown.unsure_until, 0 if is_urgent(thread) else thread.shown.at + DEBOUNCE)
    rank = (severity_rank(thread.severity), _STEP_RANK[step], thread.untold_since)
    return Action(step=step, at=at, rank=rank, shown=shown)


def pending(thread: AlertThread) -> bool:
    """Whether anything of the thread is still to be told."""
    return _next_step(thread) is not None


def is_urgent(thread: AlertThread) -> bool:
    """Whether the root's colour is wrong: a thread that resolves or re-opens must show it at once."""
    return thread.shown.status != thread.state


def begin(thread: AlertThread, attempt_id: str, now: float, policy: Policy) -> tuple[AlertThread, Action] | None:
    """Start the thread's next action, or None where none is due.

    What is returned must be stored before the call. A post takes what is untold with it, as an attempt; what happens to
    the thread during the call becomes untold anew. To edit twice changes nothing, so an edit only leaves a mark.
    ``attempt_id`` names either (``AlertThread.under_way``).
    """
    action = plan(thread)
    if action is None or not action.is_due(now):
        return None
    # Whenever this process ends: the call may take as long, and Slack as long again.
    ends_at = now + 2 * policy.find_after
    if action.step.is_post:
        attempt = Attempt(
            id=attempt_id,
            step=action.step,
            at=now,
            find_at=ends_at,
            batch=thread.untold,
            shown=action.shown,
        )
        thread = msgspec.structs.replace(thread, attempt=attempt, untold=Batch())
    elif action.step is Step.UPDATE_ROOT:
        thread = msgspec.structs.replace(thread, shown=thread.shown.in_doubt(ends_at, attempt_id))
    return thread, action


def root_digest(thread: AlertThread) -> str:
    """A digest of everything the root message says of a thread."""
    listed = [(f, a.status, a.starts_at, a.ends_at) for f, a in thread.alerts.items()]
    listed.sort(key=lambda item: item[1] is Status.RESOLVED)  # as the formatter lists them: firing first
    says = (
        thread.state,
        thread.severity,
        thread.title,
        thread.firing,
        thread.resolved,
        thread.truncated,
        thread.repeats,
        thread.flaps,
        listed[:LISTED],
    )
    return hashlib.blake2b(msgspec.json.encode(says), digest_size=8).hexdigest()


def _next_step(thread: AlertThread) -> Step | None:
    if thread.attempt is not None:
        return Step.FIND_ATTEMPT
    if not thread.alerts:
        return None
    if thread.ts is None:
        return Step.POST_ROOT
    if thread.untold:
        return Step.POST_REPLY
    return Step.UPDATE_ROOT if thread.shown.digest != root_digest(thread) else None
