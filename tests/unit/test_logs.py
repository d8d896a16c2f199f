"""Log lines: their two forms, and what never stands in them."""

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_threader.alertmanager.webhook import Status
from alert_threader.delivery.pacing import POST, Pacing
from alert_threader.delivery.slack_calls import SlackCalls
from alert_threader.settings.secret import Secret
from alert_threader.slack.client import Slack
from alert_threader.telemetry import log_writer, logs
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import AlertState, AlertThread, Policy, Step, start_attempt

SECRET = Secret('s3"cret\\value')  # with signs that JSON escapes
log = logging.getLogger("alert_threader.delivery")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("alert_threader")
    handlers, levels = root.handlers[:], (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


class Written(io.StringIO):
    """A stream of which all is read that was logged before."""

    def getvalue(self) -> str:
        """Wait for the thread that writes."""
        for handler in logging.getLogger().handlers:
            handler.flush()
        return super().getvalue()


def configured(fmt: Literal["text", "json"] = "text", level: str = "INFO") -> Written:
    """Configure logging and return what is written to."""
    stream = Written()
    logs.configure(level, fmt, stream, [SECRET])
    return stream


def test_text_line() -> None:
    """A line for people has time, level, logger and message, then what the message is about."""
    stream = configured()
    log.info("posted %s", "root", extra={"channel": "C0123456789", "alert": "Disk full", "tries": 2, "ts": None})
    pattern = (
        r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO alert_threader\.delivery posted root "
        r'channel=C0123456789 alert="Disk full" tries=2 ts=None\n'
    )
    assert re.fullmatch(pattern, stream.getvalue())


def test_json_line() -> None:
    """A line for machines is one object, extra fields beside the common ones, with their types."""
    stream = configured("json")
    log.warning("posted", extra={"channel": "C0123456789", "tries": 2, "late": True, "labels": {"a": 1}, "ts": None})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "WARNING",
        "logger": "alert_threader.delivery",
        "message": "posted",
        "channel": "C0123456789",
        "tries": 2,
        "late": True,
        "labels": "{'a': 1}",
        "ts": None,
    }


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_nothing_secret_is_written(fmt: Literal["text", "json"]) -> None:
    """A secret is taken out of message, arguments, extra fields and exceptions, their causes included."""
    stream = configured(fmt)
    value = SECRET.reveal()
    log.error(f"message {value}")  # noqa: G004  # what a careless caller writes  # what a careless caller writes
    log.error("args %s %s", value, "xoxb-123-unknown")
    log.error("extra", extra={"url": "https://user:hunter2@host/", "nested": [value[:2], "xapp-1-abc"]})
    try:
        try:
            raise ValueError(value)
        except ValueError as error:
            raise RuntimeError("again: xoxp-9-abc") from error
    except RuntimeError:
        log.exception("failed")
    written = stream.getvalue()
    assert "Traceback" in written
    assert written.count("[redacted]") >= 7
    assert not re.search(r's3\\*"cret|xox|xapp|hunter2', written)


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_arguments_that_do_not_fit(fmt: Literal["text", "json"], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong number of arguments costs no line, and logging's complaint shows no secret."""
    stream = configured(fmt)
    root = logging.getLogger()
    root.handlers[:] = root.handlers[-1:]  # pytest's own handlers would raise
    log.info("%s %s", "xoxb-123-abc")  # noqa: PLE1206  # the very mistake under test  # the very mistake under test
    assert "[redacted]" in stream.getvalue()
    assert capsys.readouterr().err == ""


@given(st.text(st.characters(codec=None)))
def test_one_record_one_line(text: str) -> None:
    """Whatever a label holds, line breaks and lone surrogates included, a record stays one line."""
    for fmt in ("text", "json"):
        stream = configured("json" if fmt == "json" else "text")
        log.info("%s", text, extra={"label": text})
        written = stream.getvalue()
        assert written.endswith("\n")
        assert written.count("\n") == 1
        assert written.encode()


def test_configured_twice_writes_once() -> None:
    """A second configuration replaces the first, and other handlers stay."""
    first, other = configured(), logging.NullHandler()
    logging.getLogger().addHandler(other)
    second = configured()
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert other in logging.getLogger().handlers


def test_levels() -> None:
    """DEBUG opens our own lines only; a higher level quiets libraries too."""
    stream = configured(level="DEBUG")
    log.debug("ours")
    logging.getLogger("slack_sdk").debug("theirs")
    assert "ours" in stream.getvalue()
    assert "theirs" not in stream.getvalue()
    stream = configured(level="ERROR")
    log.warning("ours")
    logging.getLogger("slack_sdk").warning("theirs")
    assert stream.getvalue() == ""


class Stuck(Written):
    """A stream that takes nothing until it is let go."""

    def __init__(self) -> None:
        """Nobody reads it yet."""
        super().__init__()
        self.is_full, self.goes_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        """Wait as a full pipe does."""
        self.is_full.set()
        assert self.goes_on.wait(10)
        return super().write(text)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """A log that nobody reads, after its first line."""
    stream = Stuck()
    logs.configure("INFO", "text", stream)
    log.info("first")
    assert stream.is_full.wait(10)
    yield stream
    stream.goes_on.set()


def test_nobody_waits_for_a_log_that_is_not_read(stuck: Stuck) -> None:
    """What is logged meanwhile is left to the thread that writes; all lines come, each whole and in order."""
    for number in range(5):
        log.info("while it writes %d", number)  # must not wait
    stuck.goes_on.set()
    messages = [line.split(" ", 3)[3] for line in stuck.getvalue().splitlines()]
    assert messages == ["first", *(f"while it writes {number}" for number in range(5))]


def test_lines_do_not_pile_up(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is dropped and counted, ``/health`` has a line for it, and so has the log itself."""
    counted: list[int] = []
    logs.when_dropped(counted.append)
    monkeypatch.setattr(log_writer, "MAX_LINES", 3)
    assert logs.problem() is None
    for number in range(5):
        log.info("line %d", number)
    assert sum(counted) == 2
    assert "2 lines were dropped" in (logs.problem() or "")
    stuck.goes_on.set()
    messages = [line.rpartition(" alert_threader.delivery ")[2] for line in stuck.getvalue().splitlines()]
    assert messages == ["first", "line 0", "line 1", "line 2", "2 log lines were dropped: nobody read the log"]


def test_line_that_is_long_under_way_is_said(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is dropped it can be known that nobody reads; once somebody does, it is over."""
    monkeypatch.setattr(log_writer, "_LONG", -1.0)
    assert "lines will be dropped" in (logs.problem() or "")
    stuck.goes_on.set()
    assert stuck.getvalue()
    assert logs.problem() is None


def test_configured_anew_leaves_no_thread() -> None:
    """A former handler's thread ends with its last lines: a master is told to reload as often as a token rotates."""
    others, stream = set(threading.enumerate()), Stuck()
    logs.configure("INFO", "text", stream)
    (former,) = (each for each in logging.getLogger().handlers if isinstance(each, log_writer.Writer))
    log.info("first")
    assert stream.is_full.wait(10)
    log.info("last")
    (thread,) = set(threading.enumerate()) - others
    configured()
    stream.goes_on.set()
    thread.join(10)
    assert not thread.is_alive()
    former.emit(logging.makeLogRecord({"name": "late", "levelname": "INFO", "msg": "late"}))
    assert [line.split(" ", 3)[3] for line in stream.getvalue().splitlines()] == ["first", "last", "late"]


def test_forked_process_writes_its_own_lines() -> None:
    """Gunicorn's workers are forked from a process that has logged: theirs are written, the parent's only once."""
    script = (
        "import logging, os, sys\n"
        "from alert_threader.telemetry import logs\n"
        "logs.configure('INFO', 'text', sys.stderr)\n"
        "logging.info('parent')\n"
        "child = os.fork()\n"
        "logging.info('child' if child == 0 else 'parent again')\n"
        "if child: os.waitpid(child, 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=True, timeout=20)
    messages = sorted(line.rpartition(" root ")[2] for line in ended.stderr.splitlines())
    assert messages == ["child", "parent", "parent again"]


def test_repeated_failure_is_counted() -> None:
    """The same failure is written once a minute, with how often it came meanwhile; another one is written at once."""
    stream = configured("json")

    def fail(text: str, at: float, level: int = logging.ERROR) -> None:
        record = log.makeRecord(log.name, level, "file", 1, "cannot store: %s", (text,), None)
        record.created = at
        log.handle(record)

    for second in range(59):
        fail("disk full", 1000.0 + second)
    fail("no such folder", 1030.0)
    fail("disk full", 1061.0)
    fail("disk full", 1062.0)
    for _ in range(3):
        fail("nothing", 1063.0, logging.INFO)
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    said = [(entry["message"].removeprefix("cannot store: "), entry.get("repeated")) for entry in entries]
    assert said == [("disk full", None), ("no such folder", None), ("disk full", 58), *[("nothing", None)] * 3]


def test_clock_set_back_silences_nothing() -> None:
    """A failure from the future does not keep the present one from being written."""
    stream = configured()
    for created in (5000.0, 1000.0):
        record = log.makeRecord(log.name, logging.WARNING, "file", 1, "cannot be told", (), None)
        record.created = created
        log.handle(record)
    assert stream.getvalue().count("cannot be told") == 2


def test_failures_are_not_kept_for_ever() -> None:
    """However many different ones there are."""
    stream = configured()
    (handler,) = [each for each in logging.getLogger().handlers if each.get_name() == "alert_threader"]
    (repeats,) = handler.filters
    for number in range(3000):
        log.warning("refused: %s", number)
        if number % 500 == 0:
            handler.flush()  # what waits to be written is bounded, and this loop is faster than any writer
    assert stream.getvalue().count("\n") == 3000
    assert len(repeats._failures) <= 500  # type: ignore[union-attr]


def test_another_sender_or_fault_is_no_repeat() -> None:
    """Who was refused matters, and a second fault is not hidden behind the words of the first."""
    stream = configured()
    for sender in ("10.0.0.1", "203.0.113.9"):
        log.warning("token refused", extra={"sender": sender})
    for fault in (KeyError("one"), KeyError("two")):
        log.error("stumbled", exc_info=fault)
    said = stream.getvalue()
    assert all(word in said for word in ("10.0.0.1", "203.0.113.9", "one", "two"))


def test_trouble_that_comes_back_is_said_again() -> None:
    """A trouble that ended and began again within a minute is written once that is over, for as long as it lasts."""
    stream = configured()
    now = 1000.0
    slack = Slack("xoxb-1", "http://127.0.0.1:1/", 1)
    calls = SlackCalls(slack, Policy(), Pacing(1, 3), Metrics(), environment="test", clock=lambda: now)
    thread = AlertThread(key="a", channel="C0000001", alerts={"1": AlertState(status=Status.FIRING)})
    attempted, step = start_attempt(thread, "id", now, Policy())
    assert step is Step.POST_ROOT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        calls.call(attempted, step)
        calls.troubles.succeeded(thread.channel, POST)
        for now in (1010.0, 1030.0, 1070.0):  # noqa: B007 - the clock reads it
            calls.call(attempted, step)
    last = [line for line in stream.getvalue().splitlines() if "C0000001" in line][-1]
    assert "cannot deliver to C0000001" in last
