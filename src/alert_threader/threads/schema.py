"""A record's form on disk and in Redis: JSON, and what becomes of a record that schema 2 wrote.

A record is readable by the first release, whose schema is 2: the names are the same, and what schema 3 adds is left
unread there. That release strips ``revision`` when it writes, so a record without one is its own.
"""

import hashlib

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.record import LISTED, SCHEMA, AlertThread, Attempt, Shown

#: How long a wait of schema 2 may have been, in seconds, as it kept only its end: its longest backoff, and twice the
#: longest SLACK_TIMEOUT. A wait that is taken for longer than it was is kept to its end.
_LONGEST_RETRY = 60.0
_LONGEST_UNCERTAIN = 600.0

_decoder = msgspec.json.Decoder(AlertThread)
_encoder = msgspec.json.Encoder()


def encode(thread: AlertThread) -> bytes:
    """The record as JSON, on one line.

    Where an edit is pending that its digest does not show, the digest is left out, so that the first release makes it.
    """
    shown, attempt = _for_schema_2(thread.shown, thread), thread.attempt
    if attempt is not None:
        attempt = msgspec.structs.replace(attempt, shown=_for_schema_2(attempt.shown, thread))
    return _encoder.encode(msgspec.structs.replace(thread, shown=shown, attempt=attempt))


def decode(data: bytes | msgspec.Raw) -> AlertThread:
    """The record of what ``encode`` wrote, of this schema or an older one.

    Raises msgspec.MsgspecError or UnicodeDecodeError where it cannot be read.
    """
    thread = _decoder.decode(data)
    return thread if thread.revision else _from_schema_2(thread)


def root_digest(thread: AlertThread) -> str:
    """What schema 2 compares to know whether a root must be edited. Kept, so that the way back edits no root."""
    listed = [(f, a.status, a.starts_at, a.ends_at) for f, a in thread.alerts.items()]
    listed.sort(key=lambda item: item[1] is Status.RESOLVED)
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


def _from_schema_2(thread: AlertThread) -> AlertThread:
    """Give a record its revision: an edit that was pending stays pending, and nothing else becomes so."""
    digest = root_digest(thread)
    shown = thread.shown
    wait = _LONGEST_UNCERTAIN if shown.uncertain_until else 0.0
    shown = msgspec.structs.replace(_with_revision(shown, digest), uncertain_wait=wait)
    attempt = thread.attempt
    if attempt is not None:
        attempt = _with_wait(attempt)
        attempt = msgspec.structs.replace(attempt, shown=_with_revision(attempt.shown, digest))
    retry_wait = _LONGEST_RETRY if thread.retry_at else 0.0
    return msgspec.structs.replace(
        thread, version=SCHEMA, revision=1, shown=shown, attempt=attempt, retry_wait=retry_wait
    )


def _for_schema_2(shown: Shown, thread: AlertThread) -> Shown:
    return shown if shown.revision == thread.revision else msgspec.structs.replace(shown, digest="")


def _with_revision(shown: Shown, digest: str) -> Shown:
    return msgspec.structs.replace(shown, revision=int(shown.digest == digest))


def _with_wait(attempt: Attempt) -> Attempt:
    return msgspec.structs.replace(attempt, look_up_wait=max(attempt.look_up_at - attempt.at, 0.0))
