"""``alert-threader render``: what a webhook would look like in Slack."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click

from alert_threader.app import make_service
from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.output import say
from alert_threader.cli.preview import preview

_SETTINGS = ("ENVIRONMENT", "SLACK_CHANNEL", "THREAD_BY", "THREAD_KEY_LABELS", "SEVERITY_LABEL", "SEVERITY_MAP")


def render(file: str, environ: Mapping[str, str], now: float) -> str:
    """The messages that a webhook in a file (``-``: standard input) causes, as JSON. Needs neither token nor Slack.

    ``now`` is in seconds since the epoch. Raises CommandError, ConfigError and PayloadError.
    """
    service = make_service(settings_of(_SETTINGS, environ))
    messages = preview(_read(file), service.identity, service.policy, now)
    return json.dumps(messages, ensure_ascii=False, indent=2)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error


@click.command("render")
@click.argument("file", metavar="FILE")
def render_command(file: str) -> None:
    """Show what a webhook would look like in Slack, as JSON.

    FILE is a webhook as Alertmanager sends it, - for standard input. Needs neither token nor Slack; ENVIRONMENT,
    SLACK_CHANNEL, THREAD_BY, THREAD_KEY_LABELS, SEVERITY_LABEL and SEVERITY_MAP are used if set.
    """
    say(render(file, os.environ, time.time()))
