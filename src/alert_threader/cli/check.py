"""``alert-threader check``: whether the service would work as it is set up, and what to do where it would not.

Nothing is posted and nothing is left behind: no lock file and no folder that the service, as another user, could not
use afterwards.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import click

from alert_threader.app import make_service
from alert_threader.cli.output import say
from alert_threader.errors import AlertThreaderError, ConfigError, StoreError, StoreLockedError
from alert_threader.settings.settings import SETTINGS, Settings
from alert_threader.slack import scopes
from alert_threader.slack.client import BotIdentity, Slack
from alert_threader.slack.failures import SlackError
from alert_threader.store.disk import advice
from alert_threader.store.lock import FileLock
from alert_threader.store.reading import awaits_start, read_store


class Finding(NamedTuple):
    """One line: what was looked at, whether it is well, and what there is to know or to do."""

    subject: str
    ok: bool
    text: str
    #: Whether there is something to do, though the service works as it is.
    warns: bool = False


def check(environ: Mapping[str, str], now: float) -> Iterator[Finding]:
    """Look at settings, token, scopes, channel and store. ``now`` is in seconds since the epoch.

    With wrong settings nothing else can be looked at; without a good token, nothing else at Slack.
    """
    try:
        settings = Settings.from_environ(environ)
    except ConfigError as error:
        yield from (Finding("settings", False, fault) for fault in error.faults)
        return
    said = f"all {len(SETTINGS)} are valid; environment {settings.environment}, Slack at {settings.slack_api_url}"
    yield Finding("settings", True, said)
    if settings.exposure:
        yield Finding("access", True, settings.exposure, warns=True)
    yield from _slack(settings)
    if settings.thread_store == "file":
        path = settings.thread_store_file
        yield _found("store", lambda: _file_store(path, settings.slack_channel, now))
        with suppress(OSError, sqlite3.Error):  # said above
            if awaits_start(path):
                text = f"{path} is not the service's own copy: the next start begins with that file; delete it to go on"
                yield Finding("store", True, f"{text} with what the service has", warns=True)
    else:
        yield from _shared_store(settings)


def _found(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, look())
    except AlertThreaderError as error:
        return Finding(subject, False, str(error))


def _slack(settings: Settings) -> Iterator[Finding]:
    slack = Slack(settings.slack_bot_token.reveal(), settings.slack_api_url, settings.slack_timeout)
    try:
        identity = slack.identify()
    except SlackError as error:
        yield Finding("token", False, str(error))
        return
    yield Finding("token", True, f"bot user {identity.user or 'unknown'} of team {identity.team or 'unknown'}")
    yield _scopes(identity)
    yield _found("channel", lambda: _channel(slack, settings.slack_channel))


def _scopes(identity: BotIdentity) -> Finding:
    granted = identity.scopes
    if not granted:
        return Finding("scopes", True, f"Slack did not name them; {scopes.POST} and {scopes.LOOK_UP[0]} are needed")
    missing = scopes.missing(granted)
    return Finding("scopes", not missing, "; ".join(missing) or ", ".join(granted))


def _channel(slack: Slack, channel: str) -> str:
    """Ask for the channel's name, then read it as the service would: only a member can."""
    named: list[str] = []
    has_name = _permitted(lambda: named.append(slack.channel_name(channel)))
    is_read = _permitted(lambda: slack.read(channel))
    said = f"#{named[0]} ({channel})" if has_name else channel
    if is_read:
        return f"{said}, and the bot is in it"
    if has_name:
        return f"{said}; whether the bot is in it can only be seen with {scopes.LOOK_UP[0]}"
    return f"{said}, not checked: that needs channels:read"


def _permitted(ask: Callable[[], object]) -> bool:
    """Whether the app may ask this. Raises SlackError for any other refusal."""
    try:
        ask()
    except SlackError as error:
        if error.code == "missing_scope":
            return False
        raise
    return True


def _shared_store(settings: Settings) -> Iterator[Finding]:
    """Write, then look at how the server is set: what it may lose is no fault of today, but to be known."""
    try:
        with closing(make_service(settings).open_store(0)) as store:
            store.ping()
            version = store.info()["redis_version"]
            yield Finding("store", True, f"Redis {version} can be written; {_threads(store.counts().threads)}")
            # A service finds a damaged record when it needs it: here all are read.
            warnings = dict.fromkeys((*store.damaged(), *store.warnings()))
            yield from (Finding("store", True, warning, warns=True) for warning in warnings)
    except StoreError as error:
        yield Finding("store", False, str(error))


def _file_store(path: Path, channel: str, now: float) -> str:
    contents = _contents(path, channel, now)
    try:
        # Only one that exists: the service, as another user, could not open one that was made here.
        if path.with_name(f"{path.name}.lock").exists():
            FileLock(path, 0).release()
    except StoreLockedError as error:
        # The rest of its text is for a service that wanted to start.
        return f"{str(error).partition(': one process')[0]} (the service is running); {contents}"
    _try_to_write(path)
    return f"{path} can be written; {contents}"


def _contents(path: Path, channel: str, now: float) -> str:
    try:
        contents = read_store(path, channel, now)
    except FileNotFoundError:
        return "no threads yet"
    except OSError as error:
        raise StoreError(advice(path, error)) from error
    except StoreError as error:
        raise StoreError(f"{path} {error}: restore a backup over it") from error
    if contents.damaged:
        raise StoreError(f"{path}: {len(contents.damaged)} threads cannot be read: restore a backup over it")
    if contents.faults:
        raise StoreError("; ".join(contents.faults))
    return _threads(len(contents.threads))


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _try_to_write(path: Path) -> None:
    """Write into the folder, or where it is not there yet, into the one that it will be made in."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        raise StoreError(advice(path, error)) from error


@click.command("check")
@click.pass_context
def check_command(ctx: click.Context) -> None:
    """Check settings, token, scopes, channel and store.

    Prints one line for each, with what to do where something is wrong. Posts nothing; can run beside the service.
    """
    failed = False
    for finding in check(os.environ, time.time()):
        verdict = ("warn" if finding.warns else "ok") if finding.ok else "FAIL"
        say(f"{verdict:<5} {finding.subject:<9} {finding.text}")
        failed = failed or not finding.ok
    ctx.exit(int(failed))
