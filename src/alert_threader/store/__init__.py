"""Where thread records are kept: a file store (SQLite) and Redis behind one protocol, and the domain's verbs on top.

Imports only ``threads`` and ``errors``; opening a store reads the settings.
"""

import time

from alert_threader.settings.settings import Settings
from alert_threader.store.base import LEASE_TTL, Counts, Due, Lease, Store
from alert_threader.store.lock import FileLock
from alert_threader.store.redis.client import connect
from alert_threader.store.redis.store import RedisStore
from alert_threader.store.sqlite import SqliteStore
from alert_threader.store.verbs import Attempted, Threads
from alert_threader.threads import Policy

__all__ = [
    "LEASE_TTL",
    "Attempted",
    "Counts",
    "Due",
    "Lease",
    "RedisStore",
    "SqliteStore",
    "Store",
    "Threads",
    "check_free",
    "open_store",
]


def open_store(settings: Settings, policy: Policy, lock_wait: float = 0) -> Store:
    """Open the store that the settings name.

    ``lock_wait`` is how many seconds to wait for another process to let go of a file store. Raises StoreError.
    """
    if settings.thread_store == "redis":
        sentinels, master = settings.redis_sentinels or (), settings.redis_sentinel_master
        prefix = settings.redis_key_prefix
        client = connect(settings.redis_url.reveal(), sentinels, master, prefix)
        return RedisStore(client, prefix, policy, fails_over=bool(sentinels))
    return SqliteStore(settings.thread_store_file, policy, settings.slack_channel, time.time(), lock_wait)


def check_free(settings: Settings, wait: float) -> None:
    """Raise StoreError if another process still owns the store after so many seconds, or it cannot be used."""
    if settings.thread_store == "file":
        FileLock(settings.thread_store_file, wait).release()
