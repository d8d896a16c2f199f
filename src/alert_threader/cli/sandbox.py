"""``alert-threader sandbox``: the stand-in for Slack, to try the service by hand."""

from collections.abc import Callable

from alert_threader.cli.ending import Ending
from alert_threader.cli.ports import usable_port
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
        say("\nCtrl-C ends it; nothing is kept.")
        ending.wait()
