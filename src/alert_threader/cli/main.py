"""``alert-threader``: the command line.

Exit codes: 0 success, 1 failure (one line on stderr says what is wrong and what to do), 2 wrong arguments, 130 Ctrl-C.
"""

import io
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from alert_threader import __version__
from alert_threader.errors import AlertThreaderError

#: Where each command is defined, as module:function, in the order of the help.
_COMMANDS = {
    "serve": "serve:serve_command",
    "check": "check:check_command",
    "health": "health:health_command",
    "send-test": "send_test:send_test_command",
    "render": "render:render_command",
    "migrate": "migrate:migrate_command",
    "hand-back": "hand_back:hand_back_command",
    "backup": "backup:backup_command",
    "restore": "backup:restore_command",
    "demo": "demo:demo_command",
    "sandbox": "sandbox:sandbox_command",
}


class _FailureError(click.ClickException):
    """An error of ours, shown as one line: exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print it without click's "Error: "; the message names the command."""
        print(self.message, file=file or sys.stderr)


class _Commands(click.Group):
    """Imports a command's module only when that command runs, or when help lists them all.

    As in https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of this name, or None if there is none."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"alert_threader.cli.{module}"), function)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and turn our errors into click's."""
        try:
            return super().invoke(ctx)
        except AlertThreaderError as error:
            raise _FailureError(f"{ctx.command_path} {ctx.invoked_subcommand}: {error}") from error


@click.group(
    cls=_Commands,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
    epilog="Settings are environment variables: see docs/configuration.md. `alert-threader check` validates them.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command_line() -> None:
    """Prometheus Alertmanager webhooks as Slack threads: one problem, one thread, always the current state."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit code.

    Raises SystemExit where the reader of stdout went away (``| head``): click ends the process quietly.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show an emoji is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        return command_line.main(argv, prog_name="alert-threader", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
