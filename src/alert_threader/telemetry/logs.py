"""Log lines, for people or for machines, that hold no secret.

What happened is the message; with what, is `extra`: `log.info("thread opened", extra={"key": key})`. A failure that is
said over and over is written once a minute, with how often it was said meanwhile.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from alert_threader.settings.secret import Secret, redactor
from alert_threader.telemetry.log_writer import Writer

_HANDLER = "alert_threader"
#: A repeated failure is written again after this long, in seconds.
_SAID_AGAIN_AFTER = 60
#: How many different failures are remembered; the oldest is forgotten first.
_MAX_FAILURES = 500
#: Who counts the lines that this process drops.
_counters: list[Callable[[int], None]] = []
#: What every record has; whatever else stands in one was given as `extra`.
_COMMON = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, fmt: Literal["text", "json"], stream: TextIO, secrets: Iterable[Secret] = ()) -> None:
    """Write this process's log lines to `stream`, our own from `level` on. Calling it again replaces that.

    Libraries log from INFO on at most: their debug lines hold whole requests.
    """
    handler = Writer(stream, _count_dropped)
    handler.set_name(_HANDLER)
    handler.addFilter(_Repeats())
    handler.setFormatter(_Lines(_as_json if fmt == "json" else _as_text, redactor(secrets)))
    root = logging.getLogger()
    for former in [each for each in root.handlers if each.get_name() == _HANDLER]:
        root.removeHandler(former)
        former.flush()
        former.close()
    root.addHandler(handler)
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    logging.getLogger("alert_threader").setLevel(level)


def when_dropped(count: Callable[[int], None]) -> None:
    """Have somebody count the lines that this process drops, in the place of whoever did."""
    _counters[:] = [count]


def _count_dropped(count: int) -> None:
    for each in _counters:
        each(count)


def problem() -> str | None:
    """What to know and to do where nobody reads this process's log lines; None where they are read."""
    unread = [each for each in logging.getLogger().handlers if isinstance(each, Writer) and each.is_unread]
    if not unread:
        return None
    dropped = f"{unread[0].dropped:,} lines were dropped" if unread[0].dropped else "lines will be dropped"
    return f"nobody reads the log, {dropped}: look at what takes the service's stderr (journald, a pipe, the container)"


class _Repeats(logging.Filter):
    """Counts a failure of ours that was written a moment ago, instead of writing it again."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        #: When each failure was written, and how often it was said since.
        self._failures: dict[tuple[str, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.name.startswith("alert_threader"):
            return True
        # What another sender did, or another fault under the same words, is another failure.
        fault = repr(record.exc_info[1]) if record.exc_info else ""
        failure = (record.name, _message(record), str(getattr(record, "sender", "")), fault)
        with self._guard:
            written, repeated = self._failures.pop(failure, (float("-inf"), 0))
            # A clock that was set back must not silence anything for longer.
            is_repeat = 0 <= record.created - written < _SAID_AGAIN_AFTER
            self._failures[failure] = (written, repeated + 1) if is_repeat else (record.created, 0)
            if len(self._failures) > _MAX_FAILURES:
                del self._failures[next(iter(self._failures))]
        if repeated and not is_repeat:
            record.repeated = repeated
        return not is_repeat


class _Lines(logging.Formatter):
    """Redacts every text of a record before it is written: later, escapes in it would hide a secret."""

    def __init__(self, write: Callable[[dict[str, Any]], str], redact: Callable[[str], str]) -> None:
        super().__init__()
        self._write = write
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": self._clean(_message(record)),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _COMMON}
        entry |= {name: self._clean(value) for name, value in extra.items() if name not in entry}
        if record.exc_info:
            entry["exception"] = self._redact(self.formatException(record.exc_info))
        # A text that cannot be encoded is still written: logging's own complaint would show it unredacted.
        return self._write(entry).encode("utf-8", "backslashreplace").decode()

    def _clean(self, value: object) -> str | float | bool | None:
        return value if value is None or isinstance(value, int | float) else self._redact(str(value))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Arguments that do not fit their message: again, logging would show both unredacted.
        return f"{record.msg} {record.args!r}"


def _as_json(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _as_text(entry: dict[str, Any]) -> str:
    exception = entry.pop("exception", None)
    head = [entry.pop("time"), entry.pop("level"), entry.pop("logger"), _on_one_line(entry.pop("message"))]
    line = " ".join(head + [f"{name}={_as_value(value)}" for name, value in entry.items()])
    return line if exception is None else f"{line}\n{exception}"


def _on_one_line(text: str) -> str:
    # A line break in a label's value must not look like a log line of ours.
    return "\\n".join(text.splitlines())


def _as_value(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not set(text) & set(' "=\\')
    return text if is_plain else json.dumps(text, ensure_ascii=False)
