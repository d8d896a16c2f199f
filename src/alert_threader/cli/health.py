"""``alert-threader health``: whether the running service takes alerts. A container's health check calls it."""

import http.client
import json
import os

import click

from alert_threader.cli.environment import settings_of
from alert_threader.cli.faults import CommandError
from alert_threader.cli.output import say

#: How long the service may take to answer, in seconds: less than the image's HEALTHCHECK allows (Containerfile).
_TIMEOUT = 5.0


def health(url: str) -> str:
    """Ask the service at ``url``, and return its state in one line: ``healthy``, or ``degraded: `` and its problems.

    It is degraded, not unhealthy, while Slack is away: its alerts are stored. Raises CommandError where it takes none.
    """
    # No proxy: it is this machine.
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        answer = json.loads(response.read())
        state = str(answer["status"])
        line = ": ".join(part for part in (state, "; ".join(answer["problems"])) if part)
    except ConnectionError:
        raise CommandError(f"nothing answers at {url}: is the service running?") from None
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"{url} did not answer ({type(error).__name__})") from None
    except (ValueError, LookupError, TypeError):
        raise CommandError(f"{url} is not Alert Threader: check BIND_HOST and BIND_PORT") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise CommandError(line)
    return line


@click.command("health")
def health_command() -> None:
    """Ask the running service whether it takes alerts.

    It is found by BIND_HOST and BIND_PORT. The command fails where it does not answer or cannot store alerts. While
    Slack is away alerts are stored, so the command succeeds and says what is wrong.
    """
    say(health(settings_of(("BIND_HOST", "BIND_PORT"), os.environ).local_url))
