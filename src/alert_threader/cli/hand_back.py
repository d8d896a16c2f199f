"""``alert-threader hand-back``: leave the threads in Redis to the first release, on the way back to it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import click

from alert_threader.app import make_service
from alert_threader.cli.environment import settings_of
from alert_threader.cli.output import say
from alert_threader.store import RedisStore

_SETTINGS = (
    "REDIS_URL",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_MASTER",
    "REDIS_KEY_PREFIX",
    "REOPEN_WINDOW",
    "STALE_AFTER",
)


def hand_back(environ: Mapping[str, str]) -> Iterator[str]:
    """Put every record in Redis where the first release looks for it, and yield what was done.

    One that cannot be read stays as it is. Raises ConfigError and StoreError.
    """
    settings = replace(settings_of(_SETTINGS, environ), thread_store="redis")
    with closing(make_service(settings).open_store(0)) as store:
        yield from store.damaged()
        if isinstance(store, RedisStore):
            count = store.hand_back()
            yield f"{count} threads in Redis are left to the first release: start that one, and none of this version"


@click.command("hand-back")
def hand_back_command() -> None:
    """Leave the threads in Redis to the first release.

    For the way back from an upgrade: version 0.1 cannot read what this version writes. Stop every replica first.
    install.sh does it when it takes an upgrade back. The file store needs none of it: threads.json is read by both.
    """
    for line in hand_back(os.environ):
        say(line)
