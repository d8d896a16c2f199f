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

import click

from alert_threader.app import make_service
from alert_threader.cli.check_alertmanager import check_alertmanager
from alert_threader.cli.check_two_way import check_two_way
from alert_threader.cli.finding import Finding, Verdict, found
from alert_threader.cli.output import say
from alert_threader.errors import ConfigError, StoreError, StoreLockedError
from alert_threader.settings.settings import SETTINGS, Settings, given, misspelt_in
from alert_threader.slack import scopes
from alert_threader.slack.client import BotIdentity, Slack
from alert_threader.slack.failures import SlackError
from alert_threader.store import RedisStore
from alert_threader.store.disk import advice, sync_seconds
from alert_threader.store.lock import FileLock
from alert_threader.store.pace import SLOW
from alert_threader.store.reading import awaits_start, read_store
from alert_threader.store.sqlite import SLOW_DISK

#: It takes some to know whether the store is slow.
_PINGS = 3
#: The longest subject's.
_WIDTH = len("alertmanager")
_LOSES = "not looked at: whether Redis evicts or loses threads"


def check(environ: Mapping[str, str], now: float) -> Iterator[Finding]:
    """Look at settings, token, scopes, channel, Alertmanager and store. ``now`` is in seconds since the epoch.

    With wrong settings nothing else can be looked at; without a good token, nothing else at Slack.
    """
    try:
        settings = Settings.from_environ(environ)
    except ConfigError as error:
        yield from (Finding("settings", Verdict.FAIL, fault) for fault in error.faults)
        yield from _skipped("the settings must be right first", "token", "scopes", "channel", "store")
        return
    yield Finding("settings", Verdict.OK, _said_of(settings, environ))
    yield from (Finding("settings", Verdict.WARN, line) for line in misspelt_in(environ))
    if settings.exposure:
        yield Finding("access", Verdict.WARN, settings.exposure)
    yield from _slack(settings)
    yield from check_alertmanager(settings)
    if settings.thread_store == "file":
        path = settings.thread_store_file
        yield found("store", lambda: _file_store(path, settings.slack_channel, now))
        with suppress(OSError):  # said above
            seconds = sync_seconds(_folder_of(path))
            if seconds > SLOW:
                yield Finding("disk", Verdict.WARN, SLOW_DISK.format(seconds=seconds))
        with suppress(OSError, sqlite3.Error):  # said above
            if awaits_start(path):
                text = f"{path} is not the service's own copy: the next start begins with that file; delete it to go on"
                yield Finding("store", Verdict.WARN, f"{text} with what the service has")
    else:
        yield from _shared_store(settings)


def _said_of(settings: Settings, environ: Mapping[str, str]) -> str:
    sources = given(environ)
    places = ", ".join(f"{number} {place}" for place, number in sources.items())
    count = f"{sources.total()} of {len(SETTINGS)} are given ({places}), all are valid"
    return f"{count}; environment {settings.environment}, Slack at {settings.slack_api_url}"


def _skipped(reason: str, *subjects: str) -> Iterator[Finding]:
    return (Finding(subject, Verdict.SKIP, f"not looked at: {reason}") for subject in subjects)


def _slack(settings: Settings) -> Iterator[Finding]:
    slack = Slack(settings.slack_bot_token.reveal(), settings.slack_api_url, settings.slack_timeout)
    try:
        identity = slack.identify()
    except SlackError as error:
        yield Finding("token", Verdict.FAIL, str(error))
        yield from _skipped("Slack must take the token first", "scopes", "channel")
        return
    user, team = identity.user or "unknown", identity.team or "unknown"
    yield Finding("token", Verdict.OK, f"bot user {user} of team {team}")
    yield _scopes(identity)
    yield _channel(slack, settings.slack_channel)
    yield from check_two_way(settings, slack)


def _scopes(identity: BotIdentity) -> Finding:
    granted = identity.scopes
    if not granted:
        needed = f"{scopes.POST} and {scopes.LOOK_UP[0]} are needed"
        return Finding("scopes", Verdict.SKIP, f"not looked at: Slack did not name them; {needed}")
    missing = scopes.missing(granted)
    return Finding("scopes", Verdict.FAIL if missing else Verdict.OK, "; ".join(missing) or ", ".join(granted))


def _channel(slack: Slack, channel: str) -> Finding:
    """Ask for the channel's name, then read it as the service would: only a member can."""
    named: list[str] = []
    try:
        has_name = _permitted(lambda: named.append(slack.channel_name(channel)))
        is_read = _permitted(lambda: slack.read(channel))
    except SlackError as error:
        return Finding("channel", Verdict.FAIL, str(error))
    said = f"#{named[0]} ({channel})" if has_name else channel
    if is_read:
        return Finding("channel", Verdict.OK, f"{said}, and the bot is in it")
    if has_name:
        said += f" is there; whether the bot is in it was not looked at: that needs {scopes.LOOK_UP[0]}"
    else:
        said += f" was not looked at: that needs {scopes.LOOK_UP[0]} or channels:read"
    return Finding("channel", Verdict.SKIP, said)


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
            for _ in range(_PINGS):
                store.ping()
            redis = f"Redis {store.info().get('redis_version') or ''}".strip()
            yield Finding("store", Verdict.OK, f"{redis} can be written; {_threads(store.counts().threads)}")
            # A service finds a damaged record when it needs it: here all are read.
            warnings = dict.fromkeys((*store.damaged(), *store.warnings()))
            yield from (Finding("store", Verdict.WARN, warning) for warning in warnings)
            if isinstance(store, RedisStore) and (unseen := store.unseen()):
                yield Finding("redis", Verdict.SKIP, f"{_LOSES}: this user may not {' and '.join(unseen)}")
    except StoreError as error:
        yield Finding("store", Verdict.FAIL, str(error))
        yield Finding(
            "redis", Verdict.SKIP, f"{_LOSES}, and whether every record can be read: it must take writes first"
        )


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
    """Write into the store's folder."""
    try:
        with tempfile.TemporaryFile(dir=_folder_of(path)) as file:
            file.write(b"\n")
    except OSError as error:
        raise StoreError(advice(path, error)) from error


def _folder_of(path: Path) -> Path:
    """The store's folder; where it is not there yet, the one that it will be made in."""
    return next(parent for parent in path.absolute().parents if parent.is_dir())


@click.command("check")
@click.pass_context
def check_command(ctx: click.Context) -> None:
    """Check settings, token, scopes, channel, Alertmanager and store.

    Prints one line for each, with what to do where something is wrong, and why where it was not looked at (skip). Posts
    nothing; can run beside the service.
    """
    failed = False
    for finding in check(os.environ, time.time()):
        say(f"{finding.verdict:<5} {finding.subject:<{_WIDTH}} {finding.text}")
        failed = failed or finding.verdict is Verdict.FAIL
    ctx.exit(int(failed))
