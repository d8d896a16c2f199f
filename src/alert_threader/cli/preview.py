"""What webhooks would look like in Slack, without Slack: for ``alert-threader render`` and the golden tests."""

from collections.abc import Iterable
from typing import Any

from alert_threader.alertmanager.webhook import parse
from alert_threader.formatter import ENGLISH, Words, message_hash, render
from alert_threader.threads import (
    AlertThread,
    Batch,
    Identity,
    Policy,
    Posted,
    Step,
    Updated,
    apply,
    changes,
    next_step,
    plan,
    record_outcome,
    shown_now,
    start_attempt,
)


def preview(
    body: bytes, identity: Identity, policy: Policy, now: float, words: Words = ENGLISH
) -> list[dict[str, Any]]:
    """The messages that a webhook causes where no thread exists yet: see ``story``. Raises PayloadError."""
    return story([(now, body)], identity, policy, words)


def story(
    webhooks: Iterable[tuple[float, bytes]], identity: Identity, policy: Policy, words: Words = ENGLISH
) -> list[dict[str, Any]]:
    """The messages of several webhooks, given with the times of their arrival, each delivered in full before the next.

    Each message is ``{"at", "step", "key", "channel", "message"}``: ``at`` in seconds since the epoch,
    ``step`` as in ``threads.Step``, ``message`` as ``formatter.render`` makes it. Raises PayloadError.
    """
    threads: dict[str, AlertThread] = {}
    messages: list[dict[str, Any]] = []
    for now, body in webhooks:
        for change in changes(parse(body), identity):
            applied = apply(threads.get(change.key), change, now, policy)
            threads[change.key], sent = _deliver(applied.thread, identity.environment, words, now, policy)
            messages += sent
    return messages


def _deliver(
    thread: AlertThread, environment: str, words: Words, now: float, policy: Policy
) -> tuple[AlertThread, list[dict[str, Any]]]:
    """Do all that a thread needs, with a Slack that takes everything at once, and note each message."""
    sent: list[dict[str, Any]] = []
    while actions := plan(thread, policy).actions:
        now = max(now, *(action.at for action in actions.values()))
        shown = thread.shown.hash
        thread, step = start_attempt(thread, f"preview-{next_step(thread)}", now, policy)
        if step is None:
            break  # never: nothing is planned further ahead than the debounce
        attempt_id, batch = (thread.attempt.id, thread.attempt.batch) if thread.attempt else (None, Batch())
        message = render(
            thread,
            step,
            batch,
            environment=environment,
            words=words,
            severities=policy.severities,
            attempt_id=attempt_id,
        )
        rendered = message_hash(message)
        if step is not Step.UPDATE_ROOT or rendered != shown:
            sent.append(
                {"at": now, "step": step.value, "key": thread.key, "channel": thread.channel, "message": message}
            )
        updated = Updated(ts=thread.ts, shown=shown_now(thread, rendered))
        posted = Posted(ts=f"{now:.6f}", threaded=True, hash=rendered if step is Step.POST_ROOT else "")
        outcome = updated if step is Step.UPDATE_ROOT else posted
        thread = record_outcome(thread, thread.under_way, outcome, now, policy)
    return thread, sent
