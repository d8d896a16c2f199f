"""How threads, and the actions planned for them, are read from Redis, and what becomes of those that cannot be read.

A record can be damaged by hand, or be of a newer version while replicas are replaced one after the other. Either is for
a person to decide: nothing of it is changed, and all else goes on without it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError, ResponseError

from alert_threader.errors import RecordDamagedError
from alert_threader.threads import Action, AlertThread, plan

log = logging.getLogger(__name__)

_BATCH = 500
#: Damaged records that are named one by one.
_NAMED = 10

_decode_thread = msgspec.json.Decoder(AlertThread).decode
_decode_action = msgspec.json.Decoder(Action).decode


class Records:
    """The threads in Redis whose names begin with ``prefix``. Nothing of them is changed here."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._prefix = prefix
        #: The keys of those that could not be read when they were last needed.
        self._damaged: set[str] = set()

    def name(self, kind: str, rest: str = "") -> str:
        """What something is called in Redis."""
        return f"{self._prefix}-{kind}:{rest}" if rest else f"{self._prefix}-{kind}"

    def fetch(self, key: str) -> tuple[bytes, AlertThread | None]:
        """A thread and its record's revision, which is empty where there is none. Raises RecordDamagedError."""
        try:
            rev, data = self._redis.hmget(self.name("record", key), "rev", "data")
        except ResponseError as error:
            rev, data = b"", error
        try:
            thread = self._decode(key, data)
        except RecordDamagedError:
            self._note(key)
            raise
        self._damaged.discard(key)
        return rev or b"", thread

    def scan(self) -> Iterator[AlertThread | RecordDamagedError]:
        """All threads in no order, or why one cannot be read. Those that change meanwhile may come in either state."""
        head = self.name("record", "*").removesuffix("*")
        for names in self.batches(f"{head}*"):
            yield from self._read([name.decode().removeprefix(head) for name in names]).values()

    def actions(self, channels: Sequence[str]) -> dict[str, dict[str, Action]]:
        """The next action of each thread that needs one, by channel and key, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for channel in channels:
            pipeline.hgetall(self.name("due", channel))
        return {channel: self._planned(found) for channel, found in zip(channels, pipeline.execute(), strict=True)}

    def all_actions(self) -> dict[str, dict[str, Action]]:
        """The same of every channel that has had something due."""
        return self.actions(sorted(name.decode() for name in self._redis.smembers(self.name("channels"))))

    def is_damaged(self, key: str) -> bool:
        """Whether the record could not be read when it was last needed."""
        return key in self._damaged

    def look_again(self) -> list[str]:
        """Read again what this process, or any other, could not read; return a line for each that still cannot be."""
        noted = {key.decode() for key in self._redis.smembers(self.name("damaged"))}
        known = noted | self._damaged
        found = self._read(sorted(known))
        damaged = {key: str(each) for key, each in found.items() if isinstance(each, RecordDamagedError)}
        for key in damaged:
            self._note(key)
        self._damaged -= known.difference(damaged)
        if repaired := noted.difference(damaged):
            with suppress(RedisError):
                self._redis.srem(self.name("damaged"), *repaired)
        lines = list(damaged.values())
        more = len(lines) - _NAMED
        return lines if more <= 0 else [*lines[:_NAMED], f"{more} more records in Redis cannot be read"]

    def batches(self, pattern: str) -> Iterator[list[bytes]]:
        """Names by SCAN, which blocks nobody, each of them once."""
        seen: set[bytes] = set()
        batch: list[bytes] = []
        for name in self._redis.scan_iter(match=pattern, count=_BATCH):
            if name not in seen:
                seen.add(name)
                batch.append(name)
            if len(batch) >= _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _read(self, keys: Sequence[str]) -> dict[str, AlertThread | RecordDamagedError]:
        """Those of these threads that there are, or why one cannot be read, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(self.name("record", key), "data")
        found: dict[str, AlertThread | RecordDamagedError] = {}
        for key, data in zip(keys, pipeline.execute(raise_on_error=False), strict=True):
            try:
                thread = self._decode(key, data)
            except RecordDamagedError as error:
                found[key] = error
            else:
                found |= {} if thread is None else {key: thread}
        return found

    def _planned(self, found: Mapping[bytes, bytes]) -> dict[str, Action]:
        actions: dict[str, Action] = {}
        unreadable: list[str] = []
        for name, data in found.items():
            key = name.decode()
            try:
                actions[key] = _decode_action(data)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                unreadable += [key] if key not in self._damaged else []
        # What is listed only says what follows from the record.
        for key, thread in self._read(unreadable).items():
            if isinstance(thread, RecordDamagedError):
                self._note(key)
            elif (action := plan(thread)) is not None:
                actions[key] = action
        return actions

    def _decode(self, key: str, data: bytes | RedisError | None) -> AlertThread | None:
        if isinstance(data, RedisError):
            if not str(data).startswith("WRONGTYPE"):
                raise data
            data = b""  # something else bears the record's name
        try:
            return None if data is None else _decode_thread(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordDamagedError(self._advice(key)) from error

    def _note(self, key: str) -> None:
        """Do without the record, and let every process know, so that each can tell a person; the first does at once."""
        if key in self._damaged:
            return
        self._damaged.add(key)
        is_new = True
        with suppress(RedisError):
            is_new = bool(self._redis.sadd(self.name("damaged"), key))
        if is_new:
            log.error("%s", self._advice(key))

    def _advice(self, key: str) -> str:
        return (
            "a record in Redis cannot be read (damaged, or of a newer version), its thread stands still: restore it, "
            f"or DEL '{self.name('record', key)}', and its next alert opens a new thread"
        )
