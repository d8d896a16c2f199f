"""One call to Slack for a thread: what is said, what Slack answers, and what a person should know about it."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from alert_threader.delivery.retry import Verdict, judge, judge_fault
from alert_threader.formatter import render
from alert_threader.slack.client import Kind, Sent, Slack, SlackError
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import (
    Action,
    AlertThread,
    Batch,
    NotFound,
    Outcome,
    Policy,
    Posted,
    Step,
    Unknown,
    Updated,
)

log = logging.getLogger(__name__)

#: The method of Slack's Web API that each step needs. A look-up may need conversations.replies too.
METHODS = {
    Step.POST_ROOT: "chat.postMessage",
    Step.POST_REPLY: "chat.postMessage",
    Step.UPDATE_ROOT: "chat.update",
    Step.FIND_ATTEMPT: "conversations.history",
}
#: How a call can end, in the metrics: well, in one of Slack's kinds of failure, or in a fault of ours.
OUTCOMES = ("ok", *(kind.value for kind in Kind), "fault")

#: A trouble that did not show itself for so many seconds is over. Longer than the longest pause after a failure.
_TROUBLE_LASTS = 180


class Trouble(msgspec.Struct, frozen=True):
    """What keeps a channel from being told, since when and when last (seconds since the epoch), and how often."""

    channel: str
    method: str
    code: str
    text: str
    since: float
    last: float
    failures: int


class _MessageError(Exception):
    """A fault of ours: there is no message for a thread."""


class Caller:
    """Makes the calls, and keeps what is wrong with each channel. Safe to use from several threads."""

    def __init__(
        self, slack: Slack, policy: Policy, environment: str, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """Take the parts; ``clock`` is the time of day in seconds."""
        self._slack = slack
        self._policy = policy
        self._environment = environment
        self._metrics = metrics
        self._clock = clock
        self._guard = threading.Lock()
        self._failures: dict[str, int] = {}
        self._troubles: dict[str, Trouble] = {}
        self._blind = False
        #: When Slack last took something, in seconds since the epoch.
        self.last_success: float | None = None

    def call(self, thread: AlertThread, action: Action) -> Verdict:
        """Do what a thread needs; whatever happens, the verdict says how to go on."""
        started = time.monotonic()
        try:
            verdict = Verdict(outcome=self._ask(thread, action))
            self._succeeded(thread.channel)
            word = kind = "ok"
        except SlackError as error:
            verdict = self._failed(thread, action, error)
            word, kind = error.code, error.kind
        except _MessageError as error:
            log.exception("cannot make the message for %s: trying a simpler one", thread.key)
            verdict = judge_fault(error, thread, now=self._clock(), chance=random.random())
            word, kind = "no message", "fault"
            self._note(thread, action, word, f"{error} (see the log): a simpler one is tried", 1)
        except Exception:
            # The call may have been made.
            log.exception("unexpected fault in a call for %s", thread.key)
            fault = SlackError(Kind.TRANSIENT, "unexpected", "unexpected fault in a call (see the log)", doubtful=True)
            verdict = self._failed(thread, action, fault)
            word, kind = fault.code, "fault"
        self._report(thread, action, word, kind, time.monotonic() - started)
        return verdict

    def troubles(self) -> list[Trouble]:
        """What is wrong now, oldest first; empty while all goes well.

        A trouble that has not shown itself for a while is over: another process may tell the channel now.
        """
        now = self._clock()
        with self._guard:
            fresh = [trouble for trouble in self._troubles.values() if abs(now - trouble.last) < _TROUBLE_LASTS]
        return sorted(fresh, key=lambda trouble: trouble.since)

    def _report(self, thread: AlertThread, action: Action, word: str, kind: str, took: float) -> None:
        method = METHODS[action.step]
        self._metrics.slack.called(method, kind, took)
        about: dict[str, object] = {"key": thread.key, "step": str(action.step), "ms": round(took * 1000)}
        if thread.attempt is not None and action.step is not Step.UPDATE_ROOT:
            about |= {"attempt": thread.attempt.id, "webhooks": ",".join(thread.attempt.batch.webhooks)}
        log.info("%s %s", method, word, extra=about)

    def _ask(self, thread: AlertThread, action: Action) -> Outcome:
        attempt = thread.attempt
        if action.step is Step.UPDATE_ROOT or attempt is None:
            message = self._message(thread, action.step, thread.untold, None)
            self._slack.update(thread.channel, thread.ts or "", message)
            return Updated(ts=thread.ts, shown=action.shown)
        if action.step is Step.FIND_ATTEMPT:
            into = thread.ts if attempt.step is Step.POST_REPLY else None
            found = self._slack.find(thread.channel, attempt.id, attempt.at, into)
            self._metrics.delivery.outcome_looked_up("found" if found else "not_found")
            return _posted(found) if found else NotFound()
        message = self._message(thread, action.step, attempt.batch, attempt.id)
        into = thread.ts if action.step is Step.POST_REPLY else None
        return _posted(self._slack.post(thread.channel, message, into))

    def _message(self, thread: AlertThread, step: Step, batch: Batch, attempt_id: str | None) -> dict[str, Any]:
        try:
            return render(
                thread, step, batch, environment=self._environment, attempt_id=attempt_id, simple=thread.simple
            )
        except Exception as error:
            raise _MessageError(f"a message cannot be made ({type(error).__name__})") from error

    def _failed(self, thread: AlertThread, action: Action, error: SlackError) -> Verdict:
        with self._guard:
            failures = self._failures[thread.channel] = self._failures.get(thread.channel, 0) + 1
        verdict = judge(
            error,
            thread,
            action,
            now=self._clock(),
            chance=random.random(),
            failures=failures,
            find_after=self._policy.find_after,
        )
        if error.kind is Kind.RATE_LIMITED:
            self._metrics.slack.rate_limited(METHODS[action.step], verdict.limit)
        if isinstance(verdict.outcome, Unknown) and action.step.is_post:
            self._metrics.delivery.outcome_unknown()
        if verdict.blind:
            self._metrics.delivery.outcome_looked_up("unavailable")
        if verdict.blind and not self._blind:
            self._blind = True
            log.warning("messages cannot be looked up: after a lost answer one may be told twice (%s)", error)
        if verdict.trouble:
            self._note(thread, action, error.code, str(error), failures)
        else:
            log.log(logging.WARNING if error.kind is Kind.UNEDITABLE else logging.INFO, "%s: %s", thread.channel, error)
        return verdict

    def _note(self, thread: AlertThread, action: Action, code: str, text: str, failures: int) -> None:
        """Keep a trouble with the time that it began, and say it: the log counts what it has said a moment ago.

        Said once it could be a repeat of a trouble that ended a moment ago, and never be written.
        """
        now, channel = self._clock(), thread.channel
        with self._guard:
            before = self._troubles.get(channel)
            since = before.since if before else now
            self._troubles[channel] = Trouble(channel, METHODS[action.step], code, text, since, now, failures)
        log.warning("%s cannot be told: %s", channel, text)

    def _succeeded(self, channel: str) -> None:
        self.last_success = self._clock()
        with self._guard:
            self._failures.pop(channel, None)
            trouble = self._troubles.pop(channel, None)
        if trouble is not None:
            log.warning("%s can be told again after %s failures (%s)", channel, trouble.failures, trouble.code)


def _posted(sent: Sent) -> Posted:
    return Posted(ts=sent.ts, threaded=sent.threaded)
