"""``alert-threader render``: what a webhook would look like in Slack."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from alert_threader.app import make_service
from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.output import say, say_all
from alert_threader.cli.preview import preview
from alert_threader.cli.readable import builder_address, lines
from alert_threader.formatter import LANGUAGES

_SETTINGS = (
    "ENVIRONMENT",
    "SLACK_CHANNEL",
    "THREAD_BY",
    "THREAD_KEY_LABELS",
    "SEVERITY_LABEL",
    "SEVERITY_MAP",
    "NAME_LABELS",
    "LANGUAGE",
)


def render(file: str, environ: Mapping[str, str], now: float) -> list[dict[str, Any]]:
    """The messages that a webhook in a file (``-``: standard input) causes; see ``preview``. Needs no token.

    ``now`` is in seconds since the epoch. Raises CommandError, ConfigError and PayloadError.
    """
    service = make_service(settings_of(_SETTINGS, environ))
    return preview(_read(file), service.identity, service.policy, now, LANGUAGES[service.settings.language])


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error


@click.command("render")
@click.argument("file", metavar="FILE")
@click.option("--json", "form", flag_value="json", help="As JSON, as it is sent.")
@click.option("--block-kit-builder", "form", flag_value="builder", help="As addresses of Slack's Block Kit Builder.")
def render_command(file: str, form: str | None) -> None:
    """Show what a webhook would look like in Slack.

    FILE is a webhook as Alertmanager sends it, - for standard input. Needs neither token nor Slack; ENVIRONMENT,
    SLACK_CHANNEL, THREAD_BY, THREAD_KEY_LABELS, SEVERITY_LABEL, SEVERITY_MAP, NAME_LABELS and LANGUAGE are used if set.
    """
    messages = render(file, os.environ, time.time())
    if form == "json":
        say(json.dumps(messages, ensure_ascii=False, indent=2))
    elif form == "builder":
        say_all(builder_address(each["message"]) for each in messages)
    else:
        say_all(lines(messages))
