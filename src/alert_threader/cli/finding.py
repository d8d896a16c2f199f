"""What ``check`` finds out: one line for each thing that was looked at."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from alert_threader.errors import AlertThreaderError


class Verdict(StrEnum):
    """How something is. Only ``FAIL`` keeps the service from its work; what was not looked at is never ``OK``."""

    OK = "ok"
    WARN = "warn"
    SKIP = "skip"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and what there is to know or to do."""

    subject: str
    verdict: Verdict
    text: str


def found(subject: str, look: Callable[[], str]) -> Finding:
    """Look at something: what was said is well, and an error of ours says what is not."""
    try:
        return Finding(subject, Verdict.OK, look())
    except AlertThreaderError as error:
        return Finding(subject, Verdict.FAIL, str(error))
