"""Log lines, for people or for machines, that hold no secret.

What happened is the message; with what, is `extra`: `log.info("thread opened", extra={"key": key})`. A failure that is
said over and over is written once a minute, with how often it was said meanwhile.
"""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from alert_threader.settings.secret import Secret, redactor

_HANDLER = "alert_threader"
#: A repeated failure is written again after this long, in seconds.
_SAID_AGAIN_AFTER = 60
#: How many different failures are remembered; the oldest is forgotten first.
_MAX_FAILURES = 500
#: How many lines may wait to be written. Beyond that each thread waits: nobody is reading the log.
_MAX_LINES = 1000
#: What every record has; whatever else stands in one was given as `extra`.
_COMMON = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, fmt: Literal["text", "json"], stream: TextIO, secrets: Iterable[Secret] = ()) -> None:
    """Write this process's log lines to `stream`, our own from `level` on. Calling it again replaces that.

    Libraries log from INFO on at most: their debug lines hold whole requests.
    """
    handler = _Writer(stream)
    handler.set_name(_HANDLER)
    handler.addFilter(_Repeats())
    handler.setFormatter(_Lines(_as_json if fmt == "json" else _as_text, redactor(secrets)))
    root = logging.getLogger()
    for former in [each for each in root.handlers if each.get_name() == _HANDLER]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    logging.getLogger("alert_threader").setLevel(level)


class _Writer(logging.Handler):
    """Writes lines to a stream; no thread waits for another's.

    A write gives up Python's lock, so with a lock of its own around it every thread would queue behind every other's
    line. Instead whoever finds nobody writing writes all lines there are.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the record unless a filter keeps it back, without the lock that the base class would hold meanwhile."""
        kept = bool(self.filter(record))
        if kept:
            self.emit(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or leave it to the thread that is writing."""
        try:
            self._lines.append(f"{self.format(record)}\n")
            # Again after each turn: a line that came during its end was left to us.
            while self._lines and self._writing.acquire(blocking=len(self._lines) > _MAX_LINES):
                try:
                    self._write()
                finally:
                    self._writing.release()
        except Exception:  # noqa: BLE001 - logging says what is wrong with a stream, and nobody else need care
            self.handleError(record)

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        self._stream.write("".join(lines))
        self._stream.flush()


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
