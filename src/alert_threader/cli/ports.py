"""Ports to listen on."""

import errno
import socket

import click

from alert_threader.cli.faults import CommandError

#: A port in an option; 0 for any free one.
PORT = click.IntRange(0, 65535)


def usable_port(host: str, port: int, option: str) -> int:
    """Return the port if it can be listened on, any free one for 0. Raises CommandError, which names the option.

    Found out beforehand, because a server would say it in words, and lines, of its own.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As servers do it: what a server left behind a moment ago does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"is taken: end what listens there, or give another {option}"
        else:
            reason = f"cannot be listened on: {(error.strerror or str(error)).lower()}"
        raise CommandError(f"port {port} on {host} {reason}") from None
