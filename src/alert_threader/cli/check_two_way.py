"""The part of ``check`` that looks at people's answers: how presses arrive, and who may press."""

from collections.abc import Iterator

from alert_threader.cli.finding import Finding, Verdict, found
from alert_threader.settings.settings import Settings
from alert_threader.slack.client import Slack, app_client


def check_two_way(settings: Settings, slack: Slack) -> Iterator[Finding]:
    """Look at what is set; nothing is said of what is not."""
    if settings.slack_app_token is not None:
        token = settings.slack_app_token.reveal()
        yield found("presses", lambda: _socket_mode(token, settings))
    elif settings.slack_signing_secret is not None:
        text = "not looked at: whether SLACK_SIGNING_SECRET is right shows when somebody presses a button"
        yield Finding("presses", Verdict.SKIP, text)
    for group in (each for each in settings.allowed_to_press if each.startswith("S")):
        yield found("presses", lambda group=group: f"{len(slack.members(group))} people of {group} may press")  # type: ignore[misc]


def _socket_mode(token: str, settings: Settings) -> str:
    app_client(token, settings.slack_api_url, settings.slack_timeout).open_connection()
    return "Slack takes the app-level token: presses come over Socket Mode"
