"""Writes log lines in a thread of their own: a log that nobody reads holds up that thread, and nobody else.

A pipe that is full, a terminal that is stopped, a file on a disk that hangs: a write to any of them takes until
somebody looks after it. What waits meanwhile is bounded, and what finds no room is dropped and counted.
"""

import io
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TextIO

#: How many lines may wait to be written.
MAX_LINES = 1000
#: A write that takes longer is not read, in seconds; nor is the log that dropped a line so short a time ago.
_LONG = 5.0
_RECENT = 60.0
#: How long an end waits for the last lines, in seconds.
_LAST_LINES = 1.0


class Writer(logging.Handler):
    """A handler whose lines are written by a thread, which is started with the first line of each process."""

    def __init__(self, stream: TextIO, count_dropped: Callable[[int], None]) -> None:
        """Take where to write, and what counts the lines that are dropped."""
        super().__init__()
        self._count_dropped = count_dropped
        self._stream = stream
        self._process = 0
        self._starting = threading.Lock()
        self._has_thread = False
        self._lines: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        #: How many lines were dropped, when the last one was, and since when a write goes on (monotonic; 0 for none).
        self._dropped = 0
        self._dropped_at = float("-inf")
        self._writing_since = 0.0

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the record unless a filter keeps it back, without the lock that the base class would hold meanwhile."""
        kept = bool(self.filter(record))
        if kept:
            self.emit(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Leave the record to the thread that writes, or drop it."""
        try:
            line = f"{self.format(record)}\n"
        except Exception:  # noqa: BLE001 - logging says what is wrong with a record, and nobody else need care
            self.handleError(record)
            return
        if self._process != os.getpid():
            self._start()
        if not self._has_thread:
            self._write([line])
        elif self._lines.qsize() < MAX_LINES:
            self._lines.put(line)
        else:
            self._drop(1)

    @property
    def dropped(self) -> int:
        """How many lines were dropped since the process started."""
        return self._dropped

    @property
    def is_unread(self) -> bool:
        """Whether nobody reads what is written: lines were dropped lately, or one is being written for long."""
        now, since = time.monotonic(), self._writing_since
        return now - self._dropped_at < _RECENT or 0 < since < now - _LONG

    def flush(self) -> None:
        """Wait until what was logged before is written, but not for ever."""
        if self._has_thread and self._process == os.getpid():
            written = threading.Event()
            self._lines.put(written)
            written.wait(_LAST_LINES)

    def close(self) -> None:
        """End the thread once it has written what was logged before; whoever logs later writes it at once."""
        with self._starting:
            has_thread = self._has_thread and self._process == os.getpid()
            self._has_thread, self._process = False, os.getpid()
            if has_thread:
                self._lines.put(None)
        super().close()

    def _start(self) -> None:
        """Begin anew in a process that has just been forked: it has none of its parent's threads, and their lines."""
        with self._starting:
            if self._process == os.getpid():
                return
            self._lines, self._dropped, self._writing_since = SimpleQueue(), 0, 0.0
            thread = threading.Thread(target=self._run, args=(self._lines,), name="log", daemon=True)
            try:
                thread.start()
                self._has_thread = True
            except RuntimeError:
                self._has_thread = False  # the system gives us no more, or the process ends
            self._process = os.getpid()

    def _run(self, lines: "SimpleQueue[str | threading.Event | None]") -> None:
        told = 0
        batch: list[str | threading.Event | None] = []
        while None not in batch:
            batch = [lines.get()]
            while len(batch) < MAX_LINES:
                try:
                    batch.append(lines.get_nowait())
                except Empty:
                    break
            dropped = self._dropped
            self._write([each for each in batch if isinstance(each, str)])
            if dropped > told:
                self._write([f"{dropped - told} log lines were dropped: nobody read the log\n"])
                told = dropped
            for each in batch:
                if isinstance(each, threading.Event):
                    each.set()

    def _write(self, lines: list[str]) -> None:
        self._writing_since = time.monotonic()
        try:
            _write_all(self._stream, "".join(lines))
        except (OSError, ValueError):  # its reader is gone, or it is closed
            self._drop(len(lines))
        finally:
            self._writing_since = 0.0

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._dropped_at = time.monotonic()
        self._count_dropped(count)


def _write_all(stream: TextIO, text: str) -> None:
    """Write without the stream's own lock: a process can be forked while its parent holds that, and has it for ever."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        stream.write(text)
        return
    data = text.encode(stream.encoding, "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
