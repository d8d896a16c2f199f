"""How threads, and the actions planned for them, are read from Redis."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from alert_threader.errors import StoreError
from alert_threader.threads import Action, AlertThread

_BATCH = 500

_decode_thread = msgspec.json.Decoder(AlertThread).decode
_decode_action = msgspec.json.Decoder(Action).decode


class Records:
    """The threads in Redis whose names begin with ``prefix``. Nothing is changed here; every method asks Redis."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._prefix = prefix

    def name(self, kind: str, rest: str = "") -> str:
        """What something is called in Redis."""
        return f"{self._prefix}-{kind}:{rest}" if rest else f"{self._prefix}-{kind}"

    def fetch(self, key: str) -> tuple[bytes, AlertThread | None]:
        """A thread and its record's revision, which is empty where there is none. Raises StoreError."""
        rev, data = self._redis.hmget(self.name("record", key), "rev", "data")
        return rev or b"", self._decode(key, data) if data is not None else None

    def scan(self) -> Iterator[AlertThread]:
        """All threads, in no order; those that change meanwhile may come in either state."""
        head = self.name("record", "*").removesuffix("*")
        for names in self.batches(f"{head}*"):
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.hget(name, "data")
            for name, data in zip(names, pipeline.execute(), strict=True):
                if data is not None:
                    yield self._decode(name.decode().removeprefix(head), data)

    def actions(self, channels: Sequence[str]) -> dict[str, dict[str, Action]]:
        """The next action of each thread that needs one, by channel and key, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for channel in channels:
            pipeline.hgetall(self.name("due", channel))
        return {c: _actions(found) for c, found in zip(channels, pipeline.execute(), strict=True)}

    def all_actions(self) -> dict[str, dict[str, Action]]:
        """The same of every channel that has had something due."""
        return self.actions(sorted(name.decode() for name in self._redis.smembers(self.name("channels"))))

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

    def _decode(self, key: str, data: bytes) -> AlertThread:
        try:
            return _decode_thread(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            name = self.name("record", key)
            raise StoreError(f"the record of {key} in Redis is damaged: look at it, then DEL '{name}'") from error


def _actions(found: dict[bytes, bytes]) -> dict[str, Action]:
    return {key.decode(): _decode_action(action) for key, action in found.items()}
