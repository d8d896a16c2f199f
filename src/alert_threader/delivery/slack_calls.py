"""One call to Slack for a thread: what is sent, and what the answer means."""

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from alert_threader.delivery.pacing import LOOK_UP, POST, Pacing
from alert_threader.delivery.retry import Verdict, judge, judge_fault
from alert_threader.delivery.troubles import Troubles
from alert_threader.formatter import ENGLISH, Pressing, Words, message_hash, render, render_duplicate
from alert_threader.slack.failures import FailureKind, SlackError
from alert_threader.slack.search import Sent
from alert_threader.store.tokens import Budget
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import (
    AlertThread,
    Attempt,
    Batch,
    CopiesRemoved,
    NotFound,
    Outcome,
    Policy,
    Posted,
    PostedBefore,
    Step,
    Unknown,
    Updated,
    shown_now,
)

log = logging.getLogger(__name__)

#: The kind of lane that is served here.
KIND = "slack"
#: The method of Slack's Web API that each step needs. A look-up may need conversations.replies too.
METHODS = {
    Step.POST_ROOT: POST,
    Step.POST_REPLY: POST,
    Step.UPDATE_ROOT: "chat.update",
    Step.LOOK_UP: LOOK_UP,
    Step.REMOVE_COPIES: LOOK_UP,
}
#: How Slack says that a message stays as it is.
_REFUSED = (FailureKind.UNEDITABLE, FailureKind.UNKNOWN_CODE)
#: How a call can end, in the metrics: well, in one of Slack's kinds of failure, or in a fault of ours.
OUTCOMES = ("ok", *(kind.value for kind in FailureKind), "fault")


class Chat(Protocol):
    """What delivery needs of Slack. Every method raises SlackError."""

    def post(self, channel: str, message: Mapping[str, Any], thread_ts: str | None = None) -> Sent:
        """Post a message, into a thread where ``thread_ts`` is given."""

    def update(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:
        """Edit a message."""

    def find(
        self, channel: str, attempt_ids: Collection[str], since: float, thread_ts: str | None
    ) -> Mapping[str, Sent]:
        """Look messages up by their attempts' ids; those that Slack has."""

    def find_last(self, channel: str, key: str, since: float, thread_ts: str | None) -> Sent | None:
        """Look the last message of a thread up by the thread's key; None if Slack has none since then."""

    def delete(self, channel: str, ts: str) -> None:
        """Delete a message."""

    def link(self, channel: str, ts: str) -> str:
        """The address of a message."""


class _MessageError(Exception):
    """A fault of ours: there is no message for a thread."""


class SlackCalls:
    """Makes the calls of Slack's lanes. See Calls."""

    def __init__(
        self,
        chat: Chat,
        policy: Policy,
        pacing: Pacing,
        metrics: Metrics,
        *,
        environment: str,
        words: Words = ENGLISH,
        pressing: Pressing | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        ``environment``, ``words`` and ``pressing`` are for messages as ``formatter.render`` takes them, ``clock`` is
        the time of day in seconds.
        """
        self._chat = chat
        self._policy = policy
        self._pacing = pacing
        self._environment = environment
        self._words = words
        self._pressing = pressing
        self._metrics = metrics
        self._clock = clock
        self._said_blind = False
        #: What is wrong with each channel.
        self.troubles = Troubles(clock)

    def method(self, step: Step) -> str:
        """The method that a step needs; see Calls."""
        return METHODS[step]

    def budget(self, step: Step, lane: str, *, answers_press: bool = False) -> tuple[str, Budget]:
        """The budget of a step's method; see Calls."""
        return self._pacing.budget(METHODS[step], lane.removeprefix(f"{KIND}:"), answers_press=answers_press)

    def is_unchanged(self, thread: AlertThread) -> bool:
        """Whether the root shows this already; see Calls."""
        if not thread.shown.hash:
            return False
        try:
            return self._render(thread, Step.UPDATE_ROOT, Batch())[1] == thread.shown.hash
        except _MessageError:
            return False  # the call for it says what is wrong

    def call(self, thread: AlertThread, step: Step) -> Verdict:
        """Make the call; see Calls."""
        started = time.monotonic()
        try:
            outcome = self._ask(thread, step)
            # A post that is found has got through.
            works = (METHODS[step], *([POST] if isinstance(outcome, Posted) and step is Step.LOOK_UP else []))
            verdict = Verdict(outcome=outcome, works=works)
            # Where messages are taken, nobody needs to look them up.
            for method in (*works, *([LOOK_UP] if POST in works else [])):
                self.troubles.succeeded(thread.channel, method)
            word = kind = "ok"
        except SlackError as error:
            verdict = self._failed(thread, step, error)
            word, kind = error.code, error.kind
        except _MessageError as error:
            log.exception("cannot make the message for %s: trying a simpler one", thread.key)
            verdict = judge_fault(error, thread, now=self._clock(), chance=random.random())
            word, kind = "no message", "fault"
            text = f"{error} (see the log): a simpler one is tried"
            self.troubles.note(thread.channel, METHODS[step], word, text, 1)
        except Exception:
            # The call may have been made.
            log.exception("unexpected fault in a call for %s", thread.key)
            fault = SlackError(
                FailureKind.TRANSIENT, "unexpected", "unexpected fault in a call (see the log)", outcome_unknown=True
            )
            verdict = self._failed(thread, step, fault)
            word, kind = fault.code, "fault"
        self._report(thread, step, word, kind, time.monotonic() - started)
        return verdict

    def _report(self, thread: AlertThread, step: Step, word: str, kind: str, took: float) -> None:
        self._metrics.slack.called(METHODS[step], kind, took)
        about: dict[str, object] = {"key": thread.key, "step": str(step), "ms": round(took * 1000)}
        if thread.attempt is not None:
            about |= {"attempt": thread.attempt.id, "webhooks": ",".join(thread.attempt.batch.webhooks)}
        log.info("%s %s", METHODS[step], word, extra=about)

    def _ask(self, thread: AlertThread, step: Step) -> Outcome:
        attempt = thread.attempt
        if step is Step.REMOVE_COPIES:
            return self._remove_copies(thread)
        if attempt is None:
            return self._update(thread)
        if step is Step.LOOK_UP:
            return self._look_up(thread, attempt)
        message, rendered = self._render(thread, step, attempt.batch, attempt.id)
        if step is Step.POST_REPLY:
            return _posted(self._chat.post(thread.channel, message, thread.ts))
        return _posted(self._chat.post(thread.channel, message), rendered)

    def _update(self, thread: AlertThread) -> Outcome:
        message, rendered = self._render(thread, Step.UPDATE_ROOT, Batch())
        self._chat.update(thread.channel, thread.ts or "", message)
        return Updated(ts=thread.ts, shown=shown_now(thread, rendered))

    def _look_up(self, thread: AlertThread, attempt: Attempt) -> Outcome:
        into = thread.ts if attempt.step is Step.POST_REPLY else None
        if thread.is_asked_by_key:
            last = self._chat.find_last(thread.channel, thread.key, thread.restored_from, into)
            self._metrics.delivery.outcome_looked_up("found" if last else "not_found")
            return PostedBefore(ts=last.ts) if last else NotFound()
        found = self._chat.find(thread.channel, [attempt.id], attempt.at, into).get(attempt.id)
        self._metrics.delivery.outcome_looked_up("found" if found else "not_found")
        return _posted(found) if found else NotFound()

    def _remove_copies(self, thread: AlertThread) -> Outcome:
        """Look for posts that were made again and arrived all the same, late: what the thread has is kept."""
        # One that may still arrive is looked for later, though another's time has come.
        now = self._clock()
        ended = [post for post in thread.uncertain_posts if post.at <= now]
        for thread_ts in sorted({post.thread_ts for post in ended}):
            posts = [post for post in ended if post.thread_ts == thread_ts]
            since = min(post.at - post.wait for post in posts)
            found = self._chat.find(thread.channel, [post.id for post in posts], since, thread_ts or None)
            for copy in found.values():
                if copy.ts != thread.ts:
                    self._remove(thread, copy)
        return CopiesRemoved(ids=tuple(post.id for post in ended))

    def _remove(self, thread: AlertThread, copy: Sent) -> None:
        """Delete a copy. One that people have answered stays, as does one that Slack keeps: it says what it is."""
        try:
            if not copy.is_answered:
                self._chat.delete(thread.channel, copy.ts)
                log.info("removed a copy that arrived late", extra={"key": thread.key, "ts": copy.ts})
                return
        except SlackError as error:
            if error.kind is FailureKind.GONE:
                return
            if error.kind not in _REFUSED:
                raise
        try:
            self._chat.update(thread.channel, copy.ts, render_duplicate(self._link(thread), self._words))
        except SlackError as error:
            if error.kind is not FailureKind.GONE and error.kind not in _REFUSED:
                raise
            log.info("a copy that arrived late stays: %s", error, extra={"key": thread.key, "ts": copy.ts})

    def _link(self, thread: AlertThread) -> str:
        return self._chat.link(thread.channel, thread.ts) if thread.ts else ""

    def _render(
        self, thread: AlertThread, step: Step, batch: Batch, attempt_id: str | None = None
    ) -> tuple[dict[str, Any], str]:
        """The message of a step, and its hash: before the call, after which a fault of ours would leave doubt."""
        try:
            message = render(
                thread,
                step,
                batch,
                environment=self._environment,
                words=self._words,
                severities=self._policy.severities,
                attempt_id=attempt_id,
                simple=thread.simple,
                pressing=self._pressing,
            )
            return message, message_hash(message)
        except Exception as error:
            raise _MessageError(f"a message cannot be made ({type(error).__name__})") from error

    def _failed(self, thread: AlertThread, step: Step, error: SlackError) -> Verdict:
        method = METHODS[step]
        failures = self.troubles.failed(thread.channel, method)
        verdict = judge(
            error,
            thread,
            step,
            now=self._clock(),
            chance=random.random(),
            failures=failures,
            is_everyones=step.is_post and self.troubles.is_everyones(thread, error),
        )
        if error.kind is FailureKind.RATE_LIMITED:
            self._metrics.slack.rate_limited(method, error.retry_after)
        if isinstance(verdict.outcome, Unknown) and step.is_post:
            self._metrics.delivery.outcome_unknown()
        if verdict.blind:
            self._metrics.delivery.outcome_looked_up("unavailable")
        if verdict.blind and not self._said_blind:
            self._said_blind = True
            log.warning("messages cannot be looked up: after a lost answer one may be posted twice (%s)", error)
        if verdict.trouble:
            lasts = error.kind is FailureKind.UNEDITABLE
            self.troubles.note(thread.channel, method, error.code, str(error), failures, lasts=lasts)
        else:
            log.info("%s: %s", thread.channel, error)
        return verdict


def _posted(sent: Sent, rendered: str = "") -> Posted:
    return Posted(ts=sent.ts, threaded=sent.threaded, hash=rendered)
