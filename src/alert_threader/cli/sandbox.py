"""``alert-threader sandbox``: the stand-in for Slack, to try the service by hand."""

from collections.abc import Callable

import click

from alert_threader.cli.ending import Ending
from alert_threader.cli.output import say
from alert_threader.cli.ports import PORT, usable_port
from slack_sandbox import SandboxServer


def sandbox(say: Callable[[str], None], host: str, port: int) -> None:
    """Serve until Ctrl-C; say where the page is and how the service is led here. Raises CommandError."""
    port = usable_port(host, port, "--port")
    with Ending() as ending, SandboxServer(port, host) as slack:
        say(f"\n  Open this page:  {slack.url}\n")
        say("The service posts here with these settings:\n")
        say(f"export SLACK_API_URL={slack.api_url}")
        say("export SLACK_BOT_TOKEN=xoxb-sandbox")
        say("export SLACK_CHANNEL=C0ALERTS01")
        say("\nPress Ctrl-C to stop; nothing is kept.")
        ending.wait()


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=PORT, default=8065, help="Port to listen on; 0 for any free one.")
def sandbox_command(host: str, port: int) -> None:
    """Run the local stand-in for Slack.

    It speaks Slack's Web API and shows on a page what was posted.
    """
    sandbox(say, host, port)
