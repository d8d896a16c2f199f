"""``alert-threader serve``: the service, under gunicorn with the configuration of this package."""

import os
import sys

import click

#: Where gunicorn's settings are: https://docs.gunicorn.org/en/stable/settings.html#config
_CONFIGURATION = "python:alert_threader.server"


@click.command("serve")
def serve_command() -> None:
    """Run the service until it is told to stop.

    It works from any folder: all it needs is in its settings, which are environment variables.
    """
    # gunicorn takes this process's place: whoever started it signals gunicorn itself (TERM stops, HUP reloads).
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", _CONFIGURATION])  # noqa: S606 - no shell is needed
