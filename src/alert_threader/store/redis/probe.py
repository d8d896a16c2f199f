"""What asks whether Redis takes what the service writes: the same calls, on a thread of their own.

A ping, or a write of one key, succeeds where a webhook would fail: in cluster mode, or for a user that lacks a command.
"""

from contextlib import suppress
from typing import Any

import redis

from alert_threader.errors import LeaseLostError, RecordDamagedError
from alert_threader.store.pace import Pace
from alert_threader.store.redis.commit import Committer
from alert_threader.store.redis.leases import Leases
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.records import Records
from alert_threader.store.redis.transactions import Transactions
from alert_threader.store.tokens import Budget
from alert_threader.threads import AlertThread, Attempt, Batch, Policy, Shown, Step, slack_lane

_KEY, _CHANNEL = "probe", "probe"
_BUDGET = Budget(rate=1000, burst=1000)
#: Something is pending, so that the thread is listed in a lane.
_ATTEMPT = Attempt(id=_KEY, step=Step.POST_ROOT, at=0, look_up_at=0, batch=Batch(), shown=Shown())


class Probe:
    """Changes a thread that nobody delivers, under names that nothing else bears, and takes it away again."""

    def __init__(self, client: redis.Redis, names: Names, committer: Committer, policy: Policy, pace: Pace) -> None:
        """``pace`` hears how long the change takes."""
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._pace = pace
        self._names = own = Names(names("ping"))
        self._leases = Leases(client, own)
        self._transactions = Transactions(Records(client, own), committer, own, self._leases, policy)

    def run(self) -> None:
        """Raise what a webhook, or a sender, would be answered. On return the replicas have the change too."""
        names, lane = self._names, slack_lane(_CHANNEL)
        thread = AlertThread(key=_KEY, channel=_CHANNEL, ts="0", attempt=_ATTEMPT)
        # Other processes do the same at the same moment.
        with suppress(LeaseLostError, RecordDamagedError):
            lease = self._leases.claim(lane)
            with self._pace.measured():
                self._transactions.run([(_KEY, lambda _: (thread, None))], lease)
            if lease is not None:
                self._leases.release(lease)
        self._leases.take(_CHANNEL, _BUDGET)
        self._leases.arrived(_CHANNEL, _BUDGET)
        self._redis.zrangebyscore(names("threads"), "-inf", 0, start=0, num=1)
        kept = [names(kind) for kind in ("threads", "open", "lanes")]
        self._redis.delete(names.record(_KEY), names.stamp(_KEY), names("lane", lane), *kept)
