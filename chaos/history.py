"""What became of each thread's record, commit by commit, as Redis itself tells it (MONITOR)."""

import ast
import json
import re
import socket
import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.servers import HOST

#: A write of the store's script: `+1700000000.000001 [0 lua] "HSET" "threader:ts-record:KEY" "rev" "…" "thread" "{…}"`.
#: The first release writes the record as "data".
_WRITE = re.compile(rb'\+(\d+\.\d+) \[\d+ lua\] "HSET" "[^"]*-record:')
_WORD = re.compile(rb'"(?:[^"\\]|\\.)*"')
_EVENTS = {"firing": "fired", "resolved": "resolved"}


class Transition(NamedTuple):
    """When an alert was stored to have fired or resolved."""

    at: float
    what: str


class History:
    """Listens from its start to its end."""

    def __init__(self, port: int) -> None:
        """Connect to the Redis on a port."""
        self._socket = socket.create_connection((HOST, port), timeout=10)
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._socket.settimeout(None)
        self._lines: list[bytes] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        #: By fingerprint, in the order of the commits.
        self.transitions: dict[str, list[Transition]] = {}
        #: By attempt and fingerprint, how many changes the attempt's message tells.
        self.attempts: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Stop listening, and make up the account."""
        if not self._reading.is_alive():
            return
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reading.join()
        self._socket.close()
        known: dict[str, dict[str, str]] = {}
        for line in self._lines:
            self._note(line, known)

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            self._lines.extend(line for line in lines if _WRITE.match(line))

    def _note(self, line: bytes, known: dict[str, dict[str, str]]) -> None:
        found = _WRITE.match(line)
        assert found is not None
        words = [ast.literal_eval("b" + word.decode("latin-1")) for word in _WORD.findall(line)]
        fields = dict(zip(words[2::2], words[3::2], strict=True))
        record: dict[str, Any] = json.loads(fields.get(b"thread") or fields[b"data"])
        statuses = known.setdefault(record["key"], {})
        for fingerprint, alert in record.get("alerts", {}).items():
            if statuses.get(fingerprint) != alert["status"]:
                statuses[fingerprint] = alert["status"]
                transition = Transition(float(found[1]), _EVENTS[alert["status"]])
                self.transitions.setdefault(fingerprint, []).append(transition)
        attempt = record.get("attempt")
        if attempt is not None:
            events = attempt["batch"].get("events", {})
            self.attempts[attempt["id"]] = {name: event.get("changes", 1) for name, event in events.items()}
