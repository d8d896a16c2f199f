"""What a thread needs next, and when: the difference between what is wanted and what is delivered."""

from enum import StrEnum

import msgspec

from alert_threader.threads.answers import NoteKind, Silence
from alert_threader.threads.confirming import missed_at
from alert_threader.threads.events import Batch
from alert_threader.threads.record import AlertThread, Attempt, Shown, Step, Wait
from alert_threader.threads.room import beyond_one_message, fitting
from alert_threader.threads.schema import root_digest
from alert_threader.threads.severity import Severities, severity_rank

#: A root is edited at most this often, in seconds, unless its state changes: edits are scarce (about 50 a minute for
#: a workspace, https://docs.slack.dev/apis/web-api/rate-limits, Tier 3).
DEBOUNCE = 4.0

#: The same where only texts and values changed, which two Prometheus replicas never agree on.
TEXT_DEBOUNCE = 60.0

#: How long a closed thread is kept at least, in seconds, so that a late duplicate of its resolution finds it.
KEEP_CLOSED = 60 * 60

#: A wait that began this far ahead of now, in seconds, began before the clock was set back. Less is the difference
#: between the clocks of two machines.
CLOCK_TOLERANCE = 1.0

_SLACK, _ALERTMANAGER = "slack:", "alertmanager:"
#: Behind every severity.
_AFTER_ALL = 100
#: In front of every severity.
_AT_ONCE = -1
_STEP_RANK = {
    Step.LOOK_UP: 0,
    Step.POST_ROOT: 1,
    Step.POST_REPLY: 2,
    Step.UPDATE_ROOT: 3,
    Step.REMOVE_COPIES: 4,
    Step.COMMAND: 5,
}

#: What Alertmanager did, and nobody who pressed waits for.
_OF_ALERTMANAGER = frozenset(
    {
        NoteKind.SILENCED_ELSEWHERE,
        NoteKind.SILENCE_ENDED,
        NoteKind.EXPIRED_ELSEWHERE,
        NoteKind.INHIBITED,
        NoteKind.MUTED,
        NoteKind.LOUD_AGAIN,
    }
)

#: How long after a lost answer a post is looked up, in seconds, and how long it is looked up in vain: being late is
#: nearly as bad as a loss, and a copy that arrives later is found and removed.
LOOK_UP_AFTER = 1.0
GIVE_UP_AFTER = 10.0
#: How long Slack's history may lag behind what was posted, in seconds.
HISTORY_LAG = 5.0
#: How many posts of a thread are remembered that may still arrive.
MAX_UNCERTAIN = 20


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
    severities: Severities = Severities()
    #: The labels to name an alert by, before the built-in ones (``threads.names``).
    name_labels: tuple[str, ...] = ()
    #: How long an acknowledgement holds, 0 for ever; how long a silence may be made.
    ack_timeout: float = 0
    silence_max: float = 7 * 24 * 60 * 60
    #: Whether a thread that misses a repeat is marked as not confirmed.
    marks_unconfirmed: bool = False
    #: Whether Alertmanager is polled.
    polls: bool = False
    #: How long one call to Slack may take. Slack may be at work on an abandoned call for as long again.
    call_timeout: float = 10

    def finished(self, made_at: float) -> Wait:
        """The wait after which Slack has surely ended its work on a call, whatever became of its answer."""
        return Wait(made_at + 2 * self.call_timeout, 2 * self.call_timeout)

    def visible(self, made_at: float) -> Wait:
        """The wait after which Slack's history shows what became of a post, if anything did."""
        length = 2 * self.call_timeout + HISTORY_LAG
        return Wait(made_at + length, length)


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """The next call for a thread, not before ``at``; the wait for it began ``since``.

    ``rank`` sorts the actions of a lane, lowest first; its last part is since when something is pending.
    ``is_pending`` is false for what only makes sure that Slack still shows what was delivered. ``give_up_at`` is when
    a look-up that could not be made is given up. ``answers_press`` is true where somebody who pressed waits for it.
    """

    step: Step
    at: float
    since: float
    rank: tuple[int, int, float]
    is_pending: bool = True
    give_up_at: float | None = None
    answers_press: bool = False

    def is_due(self, now: float) -> bool:
        """Whether it is time, or the clock was set back and the wait must be anchored anew (``start_attempt``)."""
        return now >= self.at or self.since > now + CLOCK_TOLERANCE


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a store must know of a record to find it again.

    ``actions`` are what is to be done, at most one for each lane, by the lane's name. ``ages_at`` is when time alone
    will change the record (seconds since the epoch), None for never. ``is_open`` is whether an alert fires in a thread
    that is not closed.
    """

    actions: dict[str, Action]
    ages_at: float | None
    is_open: bool


def plan(thread: AlertThread, policy: Policy) -> Plan:
    """The next action of a thread in each lane, and when it ages."""
    action = _next(thread)
    actions = {} if action is None else {slack_lane(thread.channel): action}
    if thread.commands:
        actions[alertmanager_lane(thread.commands[0].cluster)] = next_command(thread)
    return Plan(
        actions=actions,
        ages_at=ages_at(thread, policy),
        is_open=thread.is_open,
    )


def slack_lane(channel: str) -> str:
    """The name of the lane in which a channel's messages go out."""
    return f"{_SLACK}{channel}"


def is_slack_lane(lane: str) -> bool:
    """Whether a lane leads to Slack."""
    return lane.startswith(_SLACK)


def alertmanager_lane(cluster: str) -> str:
    """The name of the lane in which commands to an Alertmanager cluster go out."""
    return f"{_ALERTMANAGER}{cluster}"


def lanes_of(thread: AlertThread) -> set[str]:
    """The lanes in which something of a thread may be due."""
    return {slack_lane(thread.channel), *(alertmanager_lane(command.cluster) for command in thread.commands[:1])}


def lease_name(lane: str) -> str:
    """What the lease on a lane is called where senders of the first release share it: they lease a channel's name."""
    return lane.removeprefix(_SLACK)


def next_step(thread: AlertThread) -> Step | None:
    """The one next call to Slack, or None where all is delivered.

    A post whose outcome is unknown is looked up first: to post again before that could deliver twice.
    """
    if thread.attempt is not None:
        return Step.LOOK_UP
    if not thread.alerts:
        return None
    if thread.ts is None:
        return Step.POST_ROOT
    # Not before what an alert did: edits are scarce, and may be held back.
    if _answers_press(thread) and not thread.failures and not thread.pending.events:
        return Step.UPDATE_ROOT
    if thread.pending:
        return Step.POST_REPLY
    if thread.shown.revision != thread.revision and not thread.uneditable:
        return Step.UPDATE_ROOT
    return Step.POST_REPLY if thread.unnamed else None


def _answers_press(thread: AlertThread) -> bool:
    """Whether somebody who pressed waits for an edit of the root."""
    return thread.shown.revision < thread.answered_revision and not thread.uneditable


def is_pending(thread: AlertThread) -> bool:
    """Whether anything of the thread is still to be delivered, to Slack or to Alertmanager."""
    return next_step(thread) is not None or bool(thread.commands)


def is_delivered(thread: AlertThread, now: float) -> bool:
    """Whether Slack shows all of a thread, but for names that wait and an edit that is held back to gather more."""
    match next_step(thread):
        case None:
            return True
        case Step.POST_REPLY if _only_names(thread):
            return True
        case Step.UPDATE_ROOT if not thread.failures:
            return _action(thread, Step.UPDATE_ROOT).at > now
        case _:
            return False


def start_attempt(thread: AlertThread, attempt_id: str, now: float, policy: Policy) -> tuple[AlertThread, Step | None]:
    """Start the thread's next call to Slack; no step where none is due.

    The record that is returned must be stored before the call. A post takes what is pending with it, as an attempt;
    what happens to the thread during the call becomes pending anew. An edit can be repeated, so it only leaves a mark.
    ``attempt_id`` names either (``AlertThread.under_way``). The first post after a restore is looked up instead, for it
    may have been made since the copy.
    """
    thread = anchored(thread, now)
    action = _next(thread)
    if action is None or not action.is_due(now):
        return thread, None
    step = action.step
    if step.is_post:
        batch, unnamed = _what_to_post(thread, step)
        attempt = Attempt(
            id=attempt_id,
            step=step,
            at=now,
            look_up_at=now + LOOK_UP_AFTER,
            look_up_wait=LOOK_UP_AFTER,
            batch=batch,
            shown=shown_now(thread),
        )
        thread = msgspec.structs.replace(thread, attempt=attempt, pending=Batch(), unnamed=unnamed)
        step = Step.LOOK_UP if thread.is_asked_by_key else step
    elif step is Step.UPDATE_ROOT:
        thread = msgspec.structs.replace(thread, shown=_edited(thread.shown, attempt_id, now, policy))
    return thread, step


def _edited(shown: Shown, attempt_id: str, now: float, policy: Policy) -> Shown:
    """The root from the start of an edit until its outcome is recorded."""
    if shown.edit:
        # The outcome of the one before it never was: this process, or the one before it, was cut off.
        return shown.as_unknown(attempt_id, policy.finished(now))
    is_last = shown.uncertain_until <= now
    return shown.as_unknown(attempt_id, Wait() if is_last else None)


def _only_names(thread: AlertThread) -> bool:
    """Whether a reply would only name alerts for which an earlier message had no room."""
    return not thread.pending and bool(thread.unnamed)


def _only_of_alertmanager(batch: Batch) -> bool:
    """Whether a reply would only say what mutes alerts: somebody may silence hundreds of threads at once."""
    is_more = batch.events or batch.reopened or batch.repeated
    return not is_more and bool(batch.notes) and all(note.kind in _OF_ALERTMANAGER for note in batch.notes)


def _what_to_post(thread: AlertThread, step: Step) -> tuple[Batch, tuple[str, ...]]:
    """What the next message delivers, and the alerts that still have to be named after it."""
    if step is Step.POST_REPLY and _only_names(thread):
        known = [each for each in thread.unnamed if each in thread.alerts]
        count = fitting([thread.alerts[each] for each in known])
        return Batch(named=tuple(known[:count])), tuple(known[count:])
    if step is Step.POST_ROOT:
        return thread.pending, beyond_one_message(list(thread.firing_first), thread.alerts)
    listed = [fingerprint for fingerprint, _ in thread.pending.fired_first]
    left = [each for each in thread.unnamed if each not in thread.pending.events]
    return thread.pending, (*left, *beyond_one_message(listed, thread.alerts))


def shown_now(thread: AlertThread, rendered_hash: str = "") -> Shown:
    """What a root shows that is rendered from this record; the hash of the message, if it is known."""
    return Shown(revision=thread.revision, hash=rendered_hash, status=thread.state, digest=root_digest(thread))


def anchored(thread: AlertThread, now: float) -> AlertThread:
    """The thread on a clock that was set back: a wait that would have begun in the future begins now.

    The record itself where there is none.
    """

    def again(wait: Wait) -> Wait:
        return Wait(now + wait.length, wait.length) if wait.since > now + CLOCK_TOLERANCE else wait

    retry, uncertain = again(thread.retry), again(thread.shown.uncertain)
    shown_at = now if thread.shown.at > now + CLOCK_TOLERANCE else thread.shown.at
    attempt = thread.attempt
    if attempt is not None and (look_up := again(attempt.look_up)) != attempt.look_up:
        unknown_since = min(attempt.unknown_since, now)
        attempt = msgspec.structs.replace(attempt, look_up_at=look_up.until, unknown_since=unknown_since)
    posts = tuple(
        msgspec.structs.replace(post, at=again(Wait(post.at, post.wait)).until) for post in thread.uncertain_posts
    )
    before = (thread.retry, thread.shown.uncertain, thread.shown.at, thread.attempt, thread.uncertain_posts)
    if before == (retry, uncertain, shown_at, attempt, posts):
        return thread
    shown = msgspec.structs.replace(thread.shown, uncertain_until=uncertain.until, at=shown_at)
    return msgspec.structs.replace(thread, retry_at=retry.until, shown=shown, attempt=attempt, uncertain_posts=posts)


def ages_at(thread: AlertThread, policy: Policy) -> float | None:
    """When time alone changes a thread of which nothing more is heard (rule 9), in seconds since the epoch.

    An acknowledgement or a silence ends; a firing thread misses a repeat, or becomes stale; one that is over, and has
    nothing pending, is dropped.
    """
    ends = [silence.ends_at for silence in ending(thread)]
    if thread.is_open:
        if thread.acknowledgement is not None and policy.ack_timeout:
            ends.append(thread.acknowledgement.at + policy.ack_timeout)
        if policy.marks_unconfirmed and (missed := missed_at(thread)) is not None:
            ends.append(missed)
        return min([thread.seen_at + policy.stale_after, *ends])
    if ends := [silence.ends_at for silence in ending(thread) if silence.ours]:
        return min(ends)
    if is_pending(thread):
        return None
    if thread.closed_at is not None:
        over_at = thread.closed_at
    elif not thread.alerts:
        over_at = thread.seen_at + policy.stale_after  # of an older installation: nobody knows whether it still fires
    else:
        over_at = (thread.resolved_at or thread.seen_at) + policy.reopen_window
    return max(over_at, thread.seen_at + KEEP_CLOSED)


def ending(thread: AlertThread) -> list[Silence]:
    """The silences that end by the clock: of one that is about to be changed, nobody knows yet when it will."""
    targets = {target for command in thread.commands for target in command.targets}
    return [silence for silence in thread.silences if silence.id not in targets]


def _next(thread: AlertThread) -> Action | None:
    """The next call: of what is pending, or of what makes sure that Slack still shows it, whichever is due first."""
    step = next_step(thread)
    actions = [] if step is None else [_action(thread, step)]
    if thread.uncertain_posts:
        waits = [Wait(post.at, post.wait) for post in thread.uncertain_posts]
        # All of them at once, unless one would be forgotten.
        wait = max(waits) if len(waits) < MAX_UNCERTAIN else min(waits)
        late = _afterwards(thread, Step.REMOVE_COPIES, wait)
        # What is pending waits behind it, and must not wait behind everything else as well.
        actions.append(msgspec.structs.replace(late, rank=min([late.rank, *(action.rank for action in actions)])))
    is_uncertain = thread.shown.uncertain_until and not thread.uneditable
    if is_uncertain and thread.attempt is None and thread.ts is not None:
        actions.append(_afterwards(thread, Step.UPDATE_ROOT, thread.shown.uncertain))
    return min(actions, key=lambda action: action.at, default=None)


def _afterwards(thread: AlertThread, step: Step, wait: Wait) -> Action:
    rank = (_AFTER_ALL, _STEP_RANK[step], thread.pending_since)
    return Action(step=step, at=wait.until, since=wait.since, rank=rank, is_pending=is_pending(thread))


def _action(thread: AlertThread, step: Step) -> Action:
    waits = [thread.retry]
    give_up_at = None
    if step is Step.LOOK_UP and thread.attempt is not None:
        waits.append(thread.attempt.look_up)
        if thread.attempt.unknown_since:
            give_up_at = thread.attempt.unknown_since + GIVE_UP_AFTER
    answers_press = step is Step.UPDATE_ROOT and _answers_press(thread)
    if step is Step.UPDATE_ROOT and thread.shown.status == thread.state and not answers_press:
        debounce = TEXT_DEBOUNCE if thread.differs_in_texts_only else DEBOUNCE
        waits.append(Wait(thread.shown.at + debounce, debounce))
    last = max(waits)
    is_last = (step is Step.UPDATE_ROOT and thread.differs_in_texts_only) or (
        step is Step.POST_REPLY and (_only_names(thread) or _only_of_alertmanager(thread.pending))
    )
    first = _AT_ONCE if answers_press else severity_rank(thread.severity_level)
    rank = (_AFTER_ALL if is_last else first, _STEP_RANK[step], thread.pending_since)
    return Action(
        step=step,
        at=last.until,
        since=last.since,
        rank=rank,
        give_up_at=give_up_at,
        answers_press=answers_press,
    )


def next_command(thread: AlertThread) -> Action:
    """The next call to Alertmanager, for a thread that has commands."""
    command = thread.commands[0]
    rank = (severity_rank(thread.severity_level), _STEP_RANK[Step.COMMAND], command.at)
    return Action(step=Step.COMMAND, at=command.next_try, since=command.next_try - command.next_try_wait, rank=rank)
