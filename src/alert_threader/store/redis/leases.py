"""The right to send from a lane, and the tokens of budgets: what the processes on one Redis share among them."""

import uuid
from typing import Any

import redis

from alert_threader.errors import LeaseLostError
from alert_threader.store.base import LEASE_TTL, Lease
from alert_threader.store.redis import scripts
from alert_threader.store.redis.names import Names
from alert_threader.store.tokens import TOLERANCE, Budget
from alert_threader.threads import lease_name

#: What our tokens begin with. Those of the first release are hexadecimal.
_OURS = "v3:"


class Leases:
    """Leases and tokens in Redis."""

    def __init__(self, client: redis.Redis, names: Names) -> None:
        # redis-py's types do not say that its answers are bytes here.
        self._redis: Any = client
        self._names = names
        self._renew_script = client.register_script(scripts.RENEW)
        self._take_script = client.register_script(scripts.TAKE)
        self._arrived_script = client.register_script(scripts.ARRIVED)

    def claim(self, lane: str) -> Lease | None:
        """Take the lane; see Store."""
        lease = Lease(lane, f"{_OURS}{uuid.uuid4().hex}")
        taken = self._redis.set(self.name(lane), lease.token, nx=True, px=ttl())
        return lease if taken else None

    def renew(self, lease: Lease) -> None:
        """Hold the lease on; see Store."""
        if not self._renew_script(keys=[self.name(lease.lane)], args=[lease.token, ttl()]):
            raise lost(lease)

    def release(self, lease: Lease) -> None:
        """Give the lease back; see Store."""
        self._renew_script(keys=[self.name(lease.lane)], args=[lease.token, 0])

    def take(self, name: str, budget: Budget) -> float:
        """Use a token; see Store."""
        args = [budget.interval, budget.allowance, TOLERANCE]
        return float(self._take_script(keys=[self._names("budget", name)], args=args))

    def arrived(self, name: str, budget: Budget) -> None:
        """Note when the call for a token was answered; see Store."""
        self._arrived_script(keys=[self._names("budget", name)], args=[budget.interval + TOLERANCE])

    def name(self, lane: str) -> str:
        """What the lease on a lane is called: as in the first release, whose senders it must exclude too."""
        return self._names("lease", lease_name(lane))

    def held_by_former(self, channels: list[str]) -> set[str]:
        """Those of these channels that a sender of the first release speaks to now."""
        if not channels:
            return set()
        tokens = self._redis.mget([self._names("lease", channel) for channel in channels])
        return {
            channel
            for channel, token in zip(channels, tokens, strict=True)
            if token is not None and not token.startswith(_OURS.encode())
        }


def ttl() -> int:
    """How long a lease holds without being renewed, in milliseconds."""
    return int(LEASE_TTL * 1000)


def lost(lease: Lease) -> LeaseLostError:
    """The error of a sender whose lease has passed on."""
    return LeaseLostError(f"the lease on {lease.lane} has passed to another sender")
