"""What is pending in each lane, as the plans say that were stored beside the records."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from alert_threader.store.base import Due
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.records import Records
from alert_threader.threads import Action, Policy, plan

_decode_action = msgspec.json.Decoder(Action).decode

#: Actions by key.
Actions = dict[str, Action]


class Lanes:
    """The actions that are listed in Redis. A record that cannot be read is passed over."""

    def __init__(self, client: redis.Redis, names: Names, records: Records, policy: Policy) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._names = names
        self._records = records
        self._policy = policy

    def pending(self) -> dict[str, float]:
        """The lanes with something pending; see Store."""
        is_damaged = self._records.is_damaged
        times = {
            lane: [action.at for key, action in actions.items() if not is_damaged(key)]
            for lane, actions in self.actions().items()
        }
        return {lane: min(at) for lane, at in times.items() if at}

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's due actions; see Store."""
        actions = self._listed([lane])[lane]
        is_damaged = self._records.is_damaged
        due = [Due(key, action) for key, action in actions.items() if action.is_due(now) and not is_damaged(key)]
        return sorted(due, key=lambda item: item.action.rank)

    def actions(self) -> dict[str, Actions]:
        """All actions, by lane."""
        return self._listed(sorted(name.decode() for name in self._redis.smembers(self._names("lanes"))))

    def _listed(self, lanes: Sequence[str]) -> dict[str, Actions]:
        pipeline = self._redis.pipeline(transaction=False)
        for lane in lanes:
            pipeline.hgetall(self._names("lane", lane))
        return {lane: self._decoded(lane, found) for lane, found in zip(lanes, pipeline.execute(), strict=True)}

    def _decoded(self, lane: str, found: Mapping[bytes, bytes]) -> Actions:
        actions: Actions = {}
        unreadable: list[str] = []
        for name, data in found.items():
            key = name.decode()
            try:
                actions[key] = _decode_action(data)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                unreadable += [] if self._records.is_damaged(key) else [key]
        # What is listed only says what follows from the record.
        for key, each in zip(unreadable, self._records.fetch(unreadable), strict=True):
            action = plan(each.thread, self._policy).actions.get(lane) if each.thread is not None else None
            actions |= {} if action is None else {key: action}
        return actions
