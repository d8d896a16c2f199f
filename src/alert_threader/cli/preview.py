"""What webhooks would look like in Slack, without Slack: for ``alert-threader render`` and the golden tests."""

from collections.abc import Iterable
from typing import Any

from alert_threader.alertmanager.webhook import parse
from alert_threader.formatter import render
from alert_threader.threads import (
    AlertThread,
    Batch,
    Identity,
    Policy,
    Posted,
    Step,
    Updated,
    apply,
    begin,
    changes,
    plan,
    settle,
)


def preview(body: bytes, identity: Identity, policy: Policy, now: float) -> list[dict[str, Any]]:
    """The messages that a webhook causes where no thread exists yet: see ``story``. Raises PayloadError."""
    return story([(now, body)], identity, policy)


def story(webhooks: Iterable[tuple[float, bytes]], identity: Identity, policy: Policy) -> list[dict[str, Any]]:
    """The messages of several webhooks, given with the times of their arrival, each told in full before the next.

    Each message is ``{"at", "step", "key", "channel", "message"}``: ``at`` in seconds since the epoch,
    ``step`` as in ``threads.Step``, ``message`` as ``formatter.render`` makes it. Raises PayloadError.
    """
    threads: dict[str, AlertThread] = {}
    messages: list[dict[str, Any]] = []
    for now, body in webhooks:
        for change in changes(parse(body), identity):
            applied = apply(threads.get(change.key), change, now, policy)
            threads[change.key], told = _tell(applied.thread, identity.environment, now, policy)
            messages += told
    return messages


def _tell(
    thread: AlertThread, environment: str, now: float, policy: Policy
) -> tuple[AlertThread, list[dict[str, Any]]]:
    """Do all that a thread needs, with a Slack that takes everything at once, and note each message."""
    told: list[dict[str, Any]] = []
    while (action := plan(thread)) is not None:
        now = max(now, action.at)
        if (begun := begin(thread, f"preview-{action.step}", now, policy)) is None:
            break  # never: nothing is planned further ahead than the debounce
        thread, action = begun
        attempt_id, batch = (thread.attempt.id, thread.attempt.batch) if thread.attempt else (None, Batch())
        message = render(thread, action.step, batch, environment=environment, attempt_id=attempt_id)
        told.append(
            {
                "at": now,
                "step": action.step.value,
                "key": thread.key,
                "channel": thread.channel,
                "message": message,
            }
        )
        updated = action.step is Step.UPDATE_ROOT
        outcome = Updated(ts=thread.ts, shown=action.shown) if updated else Posted(ts=f"{now:.6f}", threaded=True)
        thread = settle(thread, thread.under_way, outcome, now)
    return thread, told
