"""A file of open threads that Slack shows, made by the service's own rules, without a webhook or a call."""

import time
from pathlib import Path

from alert_threader.alertmanager import webhook as received
from alert_threader.store import document
from alert_threader.threads import AlertThread, Identity, Policy, Posted, apply, changes, record_outcome, start_attempt
from alert_threader.threads.schema import encode
from bench.webhooks import ENVIRONMENT, webhook

ALERTS = 3


def name_of(number: int) -> str:
    """The alert name of a thread."""
    return f"Open{number}"


def prepare(path: Path, count: int, channel: str) -> None:
    """Write a document of so many threads, unless it is to be empty."""
    if count:
        path.parent.mkdir(parents=True, exist_ok=True)
        threads = (delivered(number, channel) for number in range(count))
        lines = document.lines((thread.key, encode(thread)) for thread in threads)
        path.write_bytes(b"".join(document.dump(lines)))


def delivered(number: int, channel: str) -> AlertThread:
    """An open thread that Slack shows."""
    now, policy = time.time(), Policy()
    notification = received.parse(webhook(name_of(number), ALERTS))
    (change,) = changes(notification, Identity(environment=ENVIRONMENT, channel=channel))
    started, _ = start_attempt(apply(None, change, now, policy).thread, "prepared", now, policy)
    return record_outcome(started, "prepared", Posted(ts=f"1700000000.{number:06d}", threaded=False), now, policy)
