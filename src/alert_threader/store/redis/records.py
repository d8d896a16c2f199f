"""How records are read from Redis, and what becomes of those that cannot be read.

A record can be damaged by hand, or be of a newer version while replicas are replaced one after the other. Either is for
a person to decide: nothing of it is changed, and all else goes on without it.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import redis
from redis.exceptions import RedisError

from alert_threader.errors import RecordDamagedError
from alert_threader.store.recent import Recent
from alert_threader.store.redis.client import run
from alert_threader.store.redis.names import Names
from alert_threader.threads import AlertThread
from alert_threader.threads.schema import decode

log = logging.getLogger(__name__)

#: Records that are read in one round trip.
BATCH = 200
#: Damaged records that are named one by one.
_NAMED = 10

_decode_lanes = msgspec.json.Decoder(tuple[str, ...]).decode


class Found(NamedTuple):
    """A record as it is in Redis: its revision there, empty where there is none, and the lanes that list it.

    ``size`` is how many bytes of JSON it takes.
    """

    rev: bytes = b""
    thread: AlertThread | None = None
    lanes: tuple[str, ...] = ()
    size: int = 0
    damage: RecordDamagedError | None = None


class Records:
    """The records in Redis under one prefix. Nothing of them is changed here."""

    def __init__(self, client: redis.Redis, names: Names) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._names = names
        #: The keys of those that could not be read when they were last needed.
        self._damaged: set[str] = set()
        self._recent = Recent[Found]()

    def fetch(self, keys: Sequence[str]) -> list[Found]:
        """The records of these keys, in one round trip; in two where others have changed what this process knows.

        Damaged ones are noted.
        """
        known = {key: each for key in keys if (each := self._recent.get(key)) is not None}
        commands = [self._revision(key) if key in known else self._whole(key) for key in keys]
        found: dict[str, Found] = {}
        for key, answer in zip(keys, run(self._redis, commands), strict=True):
            if key not in known:
                found[key] = self._found(key, answer)
            elif known[key].rev == answer:
                found[key] = known[key]
        changed = [key for key in known if key not in found]
        found |= zip(changed, self._read(changed), strict=True)
        for key, each in found.items():
            if each.damage is not None:
                self._note(key)
                continue
            self._damaged.discard(key)
            if known.get(key) is not each:
                self.written(key, each)
        return [found[key] for key in keys]

    def written(self, key: str, found: Found) -> None:
        """Take note of a record as it was written."""
        self._recent.put(key, None if found.thread is None else found, found.size)

    def scan(self) -> Iterator[Found]:
        """All records in no order. Those that change meanwhile may come in either state."""
        for keys in self.keys():
            yield from (each for each in self._read(keys) if each.rev or each.damage)

    def keys(self) -> Iterator[list[str]]:
        """The keys of all records, in batches."""
        head = self._names.record("*").removesuffix("*")
        for names in self.batches(f"{head}*"):
            yield [name.decode().removeprefix(head) for name in names]

    def is_damaged(self, key: str) -> bool:
        """Whether the record could not be read when it was last needed."""
        return key in self._damaged

    def look_again(self) -> list[str]:
        """Read again what this process, or any other, could not read; return a line for each that still cannot be."""
        noted = {key.decode() for key in self._redis.smembers(self._names("damaged"))}
        known = sorted(noted | self._damaged)
        damage = {key: str(each.damage) for key, each in zip(known, self._read(known), strict=True) if each.damage}
        for key in damage:
            self._note(key)
        self._damaged -= set(known).difference(damage)
        if repaired := noted.difference(damage):
            with suppress(RedisError):
                self._redis.srem(self._names("damaged"), *repaired)
        lines = list(damage.values())
        more = len(lines) - _NAMED
        return lines if more <= 0 else [*lines[:_NAMED], f"{more} more records in Redis cannot be read"]

    def batches(self, pattern: str) -> Iterator[list[bytes]]:
        """Names by SCAN, which blocks nobody, each of them once."""
        seen: set[bytes] = set()
        batch: list[bytes] = []
        for name in self._redis.scan_iter(match=pattern, count=BATCH):
            if name not in seen:
                seen.add(name)
                batch.append(name)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _read(self, keys: Sequence[str]) -> list[Found]:
        if not keys:
            return []
        answers = run(self._redis, [self._whole(key) for key in keys])
        return [self._found(key, answer) for key, answer in zip(keys, answers, strict=True)]

    def _whole(self, key: str) -> tuple[str, ...]:
        return "HMGET", self._names.record(key), "rev", "thread", "lanes", "data"

    def _revision(self, key: str) -> tuple[str, ...]:
        return "HGET", self._names.record(key), "rev"

    def _found(self, key: str, answer: Any) -> Found:
        if isinstance(answer, RedisError):
            if not str(answer).startswith("WRONGTYPE"):
                raise answer
            answer = b"", b"", None, None  # something else bears the record's name
        rev, record, lanes, former = answer
        data = former if record is None else record
        if data is None:
            return Found()
        try:
            return Found(rev or b"", decode(data), () if lanes is None else _decode_lanes(lanes), len(data))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Found(damage=RecordDamagedError(self._advice(key)))

    def _note(self, key: str) -> None:
        """Do without the record, and let every process know, so that each can say so; the first does at once."""
        if key in self._damaged:
            return
        self._damaged.add(key)
        is_new = True
        with suppress(RedisError):
            is_new = bool(self._redis.sadd(self._names("damaged"), key))
        if is_new:
            log.error("%s", self._advice(key))

    def _advice(self, key: str) -> str:
        return (
            "a record in Redis cannot be read (damaged, or of a newer version), its thread stands still: restore it, "
            f"or DEL '{self._names.record(key)}', and its next alert opens a new thread"
        )
