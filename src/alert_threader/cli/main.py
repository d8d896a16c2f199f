"""``alert-threader``: the command line. Its only work is to read arguments, to print, and to end with the right code.

0 all is well, 1 something is not (one line on stderr says what, and what to do), 2 the arguments are wrong, 130 Ctrl-C.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from alert_threader import __version__
from alert_threader.errors import AlertThreaderError
from alert_threader.settings.settings import channel_fault

_SANDBOX_PORT = 8065
_STORES = ("file", "redis")
#: Two weeks of a backup a day.
_KEPT = 14
_SEVERITIES = ("critical", "error", "warning", "info", "success", "debug")

_ABOUT = "Prometheus Alertmanager webhooks as Slack threads: one problem, one thread, always the current state."
_SERVICE = """\
The service itself is started by gunicorn: gunicorn -c gunicorn.conf.py
Settings are environment variables; the README lists them, `alert-threader check` looks at them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code. Raises SystemExit for wrong arguments, --help and --version."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An emoji on a terminal that knows none is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    arguments = arguments_of(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except AlertThreaderError as error:
        print(f"alert-threader {arguments.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`). Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def arguments_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line, by default this process's. Raises SystemExit."""
    parser = argparse.ArgumentParser(
        prog="alert-threader",
        description=_ABOUT,
        epilog=_SERVICE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _add_check,
        _add_send_test,
        _add_render,
        _add_migrate,
        _add_backup,
        _add_restore,
        _add_demo,
        _add_sandbox,
    ):
        add(commands)
    return parser.parse_args(argv)


_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add(
    commands: "_Commands[argparse.ArgumentParser]", name: str, about: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=about.partition(".")[0],
        description=about,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_check(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Look at the settings, the token, its scopes, the channel and the store. "
        "One line each, with what to do where something is wrong. Posts nothing; may run beside the service."
    )
    _add(commands, "check", about, _check)


def _check(_arguments: argparse.Namespace) -> int:
    from alert_threader.cli.check import check

    failed = False
    for finding in check(os.environ, time.time()):
        verdict = ("warn" if finding.warns else "ok") if finding.ok else "FAIL"
        _say(f"{verdict:<5} {finding.subject:<9} {finding.text}")
        failed = failed or not finding.ok
    return int(failed)


def _add_send_test(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Send a test alert through the running service. "
        "It goes the way of Alertmanager's, and the command fails if Slack has not got it after 15 seconds. "
        "Where the service asks for a WEBHOOK_TOKEN, so does this command: in the environment, or with --token-file."
    )
    parser = _add(commands, "send-test", about, _send_test)
    parser.add_argument("--url", type=_http_url, help="where the service listens (default: BIND_HOST and BIND_PORT)")
    parser.add_argument("--severity", choices=_SEVERITIES, default="critical", help="severity of the alert")
    parser.add_argument("--channel", type=_channel, metavar="ID", help="another channel than SLACK_CHANNEL")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the file that holds WEBHOOK_TOKEN")
    parser.add_argument("--resolve", action="store_true", help="resolve the alert afterwards")


def _send_test(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.environment import settings_of
    from alert_threader.cli.send_test import send_test

    environ = dict(os.environ)
    if arguments.token_file is not None:
        environ |= {"WEBHOOK_TOKEN": "", "WEBHOOK_TOKEN_FILE": str(arguments.token_file)}
    settings = settings_of(("WEBHOOK_TOKEN", "BIND_HOST", "BIND_PORT"), environ)
    url = arguments.url or settings.local_url
    said = send_test(url, arguments.severity, arguments.channel, settings.webhook_token, resolve=arguments.resolve)
    for line in said:
        _say(line)
    return 0


def _add_render(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Show what a webhook would look like in Slack, as JSON. "
        "Needs neither token nor Slack; ENVIRONMENT, SLACK_CHANNEL, THREAD_BY and THREAD_KEY_LABELS are used if set."
    )
    parser = _add(commands, "render", about, _render)
    parser.add_argument("file", metavar="FILE", help="a webhook as Alertmanager sends it, - for standard input")


def _render(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.render import render

    _say(render(arguments.file, os.environ, time.time()))
    return 0


def _add_migrate(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Copy the threads of one store into the other. "
        "Stop the service first. Settings are those of the service, in the environment; the source keeps its threads."
    )
    parser = _add(commands, "migrate", about, _migrate)
    parser.add_argument("source", choices=_STORES, help="the store that has the threads")
    parser.add_argument("target", choices=_STORES, help="the store that gets them")
    parser.add_argument("--force", action="store_true", help="overwrite threads; go on beside a sender at work")
    parser.set_defaults(refuse=parser.error)


def _migrate(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.migrate import migrate

    if arguments.source == arguments.target:
        arguments.refuse("source and target are the same store: use file redis, or redis file")
    for line in migrate(arguments.source, arguments.target, os.environ, time.time, force=arguments.force):
        _say(line)
    return 0


def _add_backup(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Copy the file store, and read the copy back. "
        "The service may run. Into a folder goes a new file each time, and the oldest are removed."
    )
    parser = _add(commands, "backup", about, _backup)
    parser.add_argument("target", metavar="DIR|FILE", help="a folder (made if it ends in /), or the file to write")
    parser.add_argument("--keep", type=_keep, default=_KEPT, metavar="N", help="how many backups stay in a folder")


def _backup(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.backup import backup

    target: str = arguments.target
    is_folder = target.endswith("/")
    for line in backup(Path(target), os.environ, time.time(), is_folder=is_folder, keep=arguments.keep):
        _say(line)
    return 0


def _add_restore(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Put a backup in the place of the file store. "
        "Stop the service first. The backup is looked at before anything is changed, and what was there is kept."
    )
    parser = _add(commands, "restore", about, _restore)
    parser.add_argument("file", type=Path, metavar="FILE", help="what backup wrote, or any copy of the store's file")


def _restore(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.backup import restore

    for line in restore(arguments.file, os.environ, time.time()):
        _say(line)
    return 0


def _add_demo(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = (
        "Play an incident on a local page. "
        "A stand-in for Slack and the real service run on 127.0.0.1 until Ctrl-C; nothing is kept."
    )
    parser = _add(commands, "demo", about, _demo)
    parser.add_argument("--sandbox-port", type=_port, default=0, help="port of the page, 0 for any free one")
    parser.add_argument("--port", type=_port, default=0, help="port of the service, 0 for any free one")
    parser.add_argument("--speed", type=_speed, default=1.0, help="how many times faster than life")
    parser.add_argument("--once", action="store_true", help="end after the incident instead of serving on")


def _demo(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.demo import demo

    demo(
        _say,
        port=arguments.port,
        sandbox_port=arguments.sandbox_port,
        speed=arguments.speed,
        once=arguments.once,
    )
    return 0


def _add_sandbox(commands: "_Commands[argparse.ArgumentParser]") -> None:
    about = "Run the local stand-in for Slack. It speaks Slack's Web API and shows on a page what was posted."
    parser = _add(commands, "sandbox", about, _sandbox)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=_SANDBOX_PORT, help="port to listen on, 0 for any free one")


def _sandbox(arguments: argparse.Namespace) -> int:
    from alert_threader.cli.sandbox import sandbox

    sandbox(_say, arguments.host, arguments.port)
    return 0


def _say(line: str) -> None:
    # At once, also into a pipe: whoever waits for the page's address reads it there.
    print(line, flush=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use 0 to 65535")
    return int(text)


def _keep(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of backups: use 1 to 100000")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: use a number from 0.1 to 1000")
    return speed


def _channel(text: str) -> str:
    if fault := channel_fault(text):
        raise argparse.ArgumentTypeError(f"{text!r} {fault}")
    return text


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: use one like http://127.0.0.1:9009")
    return text
