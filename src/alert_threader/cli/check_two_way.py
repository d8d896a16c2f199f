"""The part of ``check`` that looks at people's answers: how presses arrive, who may press, where silences go."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from alert_threader.app import login_of
from alert_threader.errors import AlertThreaderError
from alert_threader.settings.settings import Settings
from alert_threader.slack.client import Slack, app_client


class Looked(NamedTuple):
    """What was looked at, and what there is to know; ``is_well`` is None where it could not be looked at."""

    subject: str
    is_well: bool | None
    text: str


def check_two_way(settings: Settings, slack: Slack) -> Iterator[Looked]:
    """Look at what is set; nothing is said of what is not."""
    if settings.slack_app_token is not None:
        token = settings.slack_app_token.reveal()
        yield _looked("presses", lambda: _socket_mode(token, settings))
    elif settings.slack_signing_secret is not None:
        text = "not looked at: whether SLACK_SIGNING_SECRET is right shows when somebody presses a button"
        yield Looked("presses", None, text)
    for group in (each for each in settings.allowed_to_press if each.startswith("S")):
        yield _looked("presses", lambda group=group: f"{len(slack.members(group))} people of {group} may press")  # type: ignore[misc]
    for members in settings.alertmanager_url or ():
        for member in members:
            yield _looked("silences", lambda member=member: _alertmanager(settings, member))  # type: ignore[misc]


def _looked(subject: str, look: Callable[[], str]) -> Looked:
    try:
        return Looked(subject, True, look())
    except AlertThreaderError as error:
        return Looked(subject, False, str(error))


def _socket_mode(token: str, settings: Settings) -> str:
    app_client(token, settings.slack_api_url, settings.slack_timeout).open_connection()
    return "Slack takes the app-level token: presses come over Socket Mode"


def _alertmanager(settings: Settings, member: str) -> str:
    from alert_threader.alertmanager.api import Alertmanager  # noqa: PLC0415 - its HTTP library takes a while to load

    cluster = Alertmanager([member], login_of(settings))
    silences = sum(silence.holds for silence in cluster.silences().values())
    return f"{cluster.name} answers: {len(cluster.alerts())} alerts, {silences} silences"
