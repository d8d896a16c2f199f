"""``alert-threader hand-back``: leave the threads in Redis to the first release, on the way back to it."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import click

from alert_threader.app import make_service
from alert_threader.cli.environment import settings_of
from alert_threader.cli.output import say
from alert_threader.store import RedisStore
from alert_threader.store.reading import read_store
from alert_threader.threads import AlertThread

_SETTINGS = (
    "THREAD_STORE",
    "THREAD_STORE_FILE",
    "SLACK_CHANNEL",
    "REDIS_URL",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_MASTER",
    "REDIS_KEY_PREFIX",
    "REOPEN_WINDOW",
    "STALE_AFTER",
)


def hand_back(environ: Mapping[str, str]) -> Iterator[str]:
    """Put every record in Redis where the first release looks for it, and yield what was done and what it will drop.

    A file needs no such thing: with ``THREAD_STORE=file`` only what it will drop is said.
    One that cannot be read stays as it is. Raises ConfigError and StoreError.
    """
    settings = settings_of(_SETTINGS, environ)
    if settings.thread_store == "file" and "THREAD_STORE" in environ:
        contents = read_store(settings.thread_store_file, settings.slack_channel, time.time())
        yield from _left_behind(contents.threads.values())
        yield f"{settings.thread_store_file} is read by both: start the first release, and none of this version"
        return
    settings = replace(settings, thread_store="redis")
    with closing(make_service(settings).open_store(0)) as store:
        yield from store.damaged()
        yield from _left_behind(store.threads())
        if isinstance(store, RedisStore):
            count = store.hand_back()
            yield f"{count} threads in Redis are left to the first release: start that one, and none of this version"


def _left_behind(threads: Iterable[AlertThread]) -> Iterator[str]:
    """People's answers, which the first release does not know: a line for each thread that has any."""
    for thread in threads:
        said = [f"the acknowledgement by {thread.acknowledgement.name}"] if thread.acknowledgement else []
        said += [f"the silence by {each.name} (it stays in Alertmanager)" for each in thread.silences]
        said += [f"what {each.name} has asked of Alertmanager ({each.kind})" for each in thread.commands]
        if said:
            yield f"the first release drops, of {thread.key}: {'; '.join(said)}"


@click.command("hand-back")
def hand_back_command() -> None:
    """Leave the threads in Redis to the first release.

    For the way back from an upgrade: version 0.1 cannot read what this version writes. Stop every replica first.
    install.sh does it when it takes an upgrade back. The file store needs none of it, since threads.json is read by
    both: with THREAD_STORE=file the command only says what the first release will drop.
    """
    for line in hand_back(os.environ):
        say(line)
