"""The way back to the first release: every record under the names, and in the lists, in which that release looks.

It reads the same JSON, and passes over what it does not know. What is pending is listed without saying what: an action
that it cannot read is planned anew from the record.
"""

import uuid
from typing import Any

import redis

from alert_threader.errors import StoreError
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.records import Found, Records
from alert_threader.threads import AlertThread, Policy, plan
from alert_threader.threads.schema import encode

#: KEYS record, ts, index, seen, channels, due, threads, open, and each lane that lists the record
#: ARGV expected rev, new rev, record, key, channel, what to list of it, seen at, when it is dropped (s)
#: An empty argument is none. Returns 1, 0 where the revision has changed.
_HAND_BACK = """
local record, stamp, index, seen, channels, due, threads, open = unpack(KEYS, 1, 8)
local expected, rev, data, key, channel, action, seen_at, drop_at = unpack(ARGV, 1, 8)
if (redis.call('HGET', record, 'rev') or '') ~= expected then return 0 end
redis.call('HSET', record, 'rev', rev, 'data', data)
redis.call('HDEL', record, 'thread', 'lanes')
redis.call('ZADD', index, drop_at == '' and '+inf' or drop_at, key)
if seen_at ~= '' then redis.call('ZADD', seen, seen_at, key) end
if action ~= '' then
  redis.call('HSET', due, key, action)
  redis.call('SADD', channels, channel)
end
redis.call('ZREM', threads, key)
redis.call('SREM', open, key)
for i = 9, #KEYS do redis.call('HDEL', KEYS[i], key) end
if drop_at ~= '' then
  local at = string.format('%.0f', tonumber(drop_at) * 1000)
  redis.call('PEXPIREAT', record, at)
  redis.call('PEXPIREAT', stamp, at)
end
return 1
"""


class WayBack:
    """Hands records to the first release. Nobody may use them meanwhile."""

    def __init__(self, client: redis.Redis, names: Names, records: Records, policy: Policy) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._names = names
        self._records = records
        self._policy = policy
        self._script = client.register_script(_HAND_BACK)

    def hand_back(self) -> int:
        """Return how many records were handed back. Damaged ones stay as they are.

        It may be repeated if it breaks off. Raises StoreError where a record changes meanwhile.
        """
        count = 0
        for keys in self._records.keys():  # noqa: SIM118 - no dict's
            for key, found in zip(keys, self._records.fetch(keys), strict=True):
                if found.thread is None:
                    continue
                if not self._hand_back(key, found, found.thread):
                    raise StoreError(f"{key} was changed meanwhile: stop every replica first, and do it again")
                count += 1
        self._redis.delete(self._names("lanes"), self._names("policy"))
        return count

    def _hand_back(self, key: str, found: Found, thread: AlertThread) -> bool:
        names = self._names
        planned = plan(thread, self._policy)
        lists = [names(kind) for kind in ("index", "seen", "channels")]
        lists += [names("due", thread.channel), names("threads"), names("open")]
        drop_at = "" if planned.is_open or planned.ages_at is None else repr(planned.ages_at)
        return bool(
            self._script(
                keys=[
                    names.record(key),
                    names.stamp(key),
                    *lists,
                    *(names("lane", lane) for lane in found.lanes),
                ],
                args=[
                    found.rev,
                    uuid.uuid4().hex,
                    encode(thread),
                    key,
                    thread.channel,
                    "{}" if planned.actions else "",
                    thread.seen_at if planned.is_open else "",
                    drop_at,
                ],
            )
        )
