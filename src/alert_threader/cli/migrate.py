"""``alert-threader migrate``: copy the threads of one store into the other, while the service is stopped.

The source keeps its threads: whatever goes wrong, nothing is lost, and the way back is to start the service on it.
A file is locked meanwhile, so that no service can use it. Redis has no such lock: there all lanes are claimed, which
stops senders and finds those at work, and what a webhook still changes in the source shows in the final comparison.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import click

from alert_threader.app import make_service
from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.output import say_all
from alert_threader.cli.ownership import hand_over
from alert_threader.errors import LeaseLostError, StoreError
from alert_threader.settings.settings import Settings
from alert_threader.store import Lease, Store, Threads
from alert_threader.store.database import files_of
from alert_threader.store.disk import advice
from alert_threader.store.former import journals_of
from alert_threader.store.opening import database_of
from alert_threader.store.reading import read_store
from alert_threader.threads import AlertThread, Policy, ages_at, is_pending, slack_lane

StoreName = Literal["file", "redis"]

_SETTINGS = (
    "SLACK_CHANNEL",
    "THREAD_STORE_FILE",
    "REDIS_URL",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_MASTER",
    "REDIS_KEY_PREFIX",
    "REOPEN_WINDOW",
    "STALE_AFTER",
)
#: Threads that are written between two renewals of the leases: far fewer than either store takes within LEASE_TTL.
_BATCH = 200


def migrate(
    source: StoreName, target: StoreName, environ: Mapping[str, str], clock: Callable[[], float], *, force: bool
) -> Iterator[str]:
    """Copy the threads, compare them, and yield what was done; ``clock`` is the time of day.

    ``force`` goes on although a sender seems to be at work, or the target has threads: those of the same key are
    overwritten. Raises ConfigError, StoreError, and CommandError where a person must decide.
    """
    settings = settings_of(_SETTINGS, environ)
    path = settings.thread_store_file
    if source == "file":
        _look_at_file(path, clock(), has_channel=bool(environ.get("SLACK_CHANNEL")))
    policy = make_service(settings).policy
    with ExitStack() as stack:
        made = (path, path.with_name(f"{path.name}.lock"), *journals_of(path), *files_of(database_of(path)))
        stack.callback(hand_over, *made)
        old = stack.enter_context(closing(_open(source, settings)))
        _refuse_damaged(old)
        threads = list(_kept(old, clock(), policy).values())
        if not threads:
            yield f"{source} has no threads: there is nothing to copy"
            return
        new = stack.enter_context(closing(_open(target, settings)))
        new.ping()
        _refuse_damaged(new)
        # First of all: nobody should be advised to use --force without knowing that a service is running.
        lanes = {slack_lane(thread.channel) for thread in threads} | set(new.pending())
        claims = [_Claims(stack, store, lanes, force=force) for store in (old, new) if store.shared]
        taken = new.counts().threads
        if taken and not force:
            raise CommandError(
                f"nothing was copied: {target} has {_count(taken)}; --force overwrites those that {source} has too"
            )
        _copy(threads, Threads(new, policy), claims, force=force)
        copied = {thread.key: thread for thread in new.threads()}
        # The source last: whatever is over by then need not be in the copy.
        _compare(_kept(old, clock(), policy), copied)
        yield from _report(source, target, threads, taken)


class _Claims:
    """The leases on all lanes of a store: while they are held, nobody else sends."""

    def __init__(self, stack: ExitStack, store: Store, lanes: set[str], *, force: bool) -> None:
        self._store = store
        self._leases: list[Lease] = []
        for lane in sorted(lanes):
            lease = store.claim(lane)
            if lease is not None:
                self._leases.append(lease)
                stack.callback(self._release, lease)
            elif not force:
                raise CommandError(
                    f"nothing was copied: a service sends from {lane} of {store.name}: stop every service; "
                    "after a kill its lease lasts some seconds more (--force does not wait)"
                )

    def renew(self) -> None:
        """Hold them on. Raises CommandError if one is lost."""
        try:
            for lease in self._leases:
                self._store.renew(lease)
        except LeaseLostError as error:
            raise CommandError(f"the copy is incomplete: {error}: stop all services and use --force") from error

    def _release(self, lease: Lease) -> None:
        # One that cannot be given back runs out by itself.
        with suppress(StoreError):
            self._store.release(lease)


def _refuse_damaged(store: Store) -> None:
    if damaged := store.damaged():
        raise CommandError(f"nothing was copied: {damaged[0]}")


def _copy(threads: list[AlertThread], new: Threads, claims: list[_Claims], *, force: bool) -> None:
    for first in range(0, len(threads), _BATCH):
        for claim in claims:
            claim.renew()
        left_out = new.insert(threads[first : first + _BATCH], replace=force)
        if left_out:
            raise CommandError(
                f"the copy is incomplete: {left_out[0]} came into {new.store.name} meanwhile: "
                "stop all services and use --force"
            )


def _compare(wanted: Mapping[str, AlertThread], copied: Mapping[str, AlertThread]) -> None:
    different = [key for key, thread in wanted.items() if copied.get(key) != thread]
    if different:
        raise CommandError(
            f"the copy is not the same: {_count(len(different))} changed meanwhile, {different[0]} is one; "
            "is a service running? Stop it and use --force"
        )


def _report(source: StoreName, target: StoreName, threads: list[AlertThread], taken: int) -> Iterator[str]:
    pending = sum(map(is_pending, threads))
    yield f"copied {_count(len(threads))} from {source} to {target}, {pending} of them with something pending"
    yield "verified by reading them back"
    if taken:
        yield f"{target} had {_count(taken)}: threads with the same key were overwritten, the others are still there"
    yield f"start the service with THREAD_STORE={target}, and none on what {source} still has: it would deliver twice"


def _open(name: StoreName, settings: Settings) -> Store:
    return make_service(replace(settings, thread_store=name)).open_store(0)


def _kept(store: Store, now: float, policy: Policy) -> dict[str, AlertThread]:
    """The threads without those that are over: a store may have dropped them already, or does so at once."""
    over_at = ((thread, ages_at(thread, policy)) for thread in store.threads())
    return {thread.key: thread for thread, at in over_at if at is None or at > now or thread.firing}


def _look_at_file(path: Path, now: float, *, has_channel: bool) -> None:
    """Refuse a file that the store, which must start in any case, would set aside or begin anew."""
    try:
        contents = read_store(path, "", now)
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {path}: correct THREAD_STORE_FILE") from error
    except OSError as error:
        raise StoreError(advice(path, error)) from error
    except StoreError as error:
        raise CommandError(f"nothing was copied: {path} {error}") from error
    if contents.damaged:
        raise CommandError(
            f"nothing was copied: {path}: {_count(len(contents.damaged))} cannot be read: restore a backup over it"
        )
    if contents.faults:
        raise CommandError(f"nothing was copied: {'; '.join(contents.faults)}")
    if not has_channel and any(not thread.channel for thread in contents.threads.values()):
        raise CommandError(f"SLACK_CHANNEL: is not set: {path} is of an old installation and does not name the channel")


def _count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


@click.command("migrate")
@click.argument("source", metavar="SOURCE", type=click.Choice(get_args(StoreName)))
@click.argument("target", metavar="TARGET", type=click.Choice(get_args(StoreName)))
@click.option("--force", is_flag=True, help="Overwrite threads in TARGET; go on though a sender is at work.")
def migrate_command(source: StoreName, target: StoreName, force: bool) -> None:
    """Copy the threads from one store into the other.

    SOURCE and TARGET are file and redis, or redis and file. Stop the service first. Settings are the service's own, in
    the environment; SOURCE keeps its threads.
    """
    if source == target:
        raise click.UsageError("source and target are the same store: use file redis, or redis file")
    say_all(migrate(source, target, os.environ, time.time, force=force))
