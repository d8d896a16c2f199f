"""What a notification says of alerts that Alertmanager seemed not to have any more: it has the last word."""

from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from alert_threader.alertmanager.webhook import Alert
from alert_threader.threads.answers import Gone
from alert_threader.threads.details import resolved
from alert_threader.threads.record import AlertState, AlertThread

#: A notification may be older than a mute: it can arrive up to this long after the mute began, in seconds.
_LAG = 60.0


class Heard(Enum):
    """What is new."""

    NOTHING = auto()
    #: An alert that was missing from Alertmanager fires on.
    FIRING = auto()
    #: An alert is no longer muted: notifications never name muted alerts.
    LOUD = auto()
    #: The resolution of an alert that was found to be gone: its words replace the cause.
    RESOLUTION = auto()


def hear(thread: AlertThread, alerts: Iterable[Alert], now: float) -> Heard:
    """Take what a notification says of missing and gone alerts; change the given record."""
    heard = Heard.NOTHING
    for alert in alerts:
        known = thread.alerts.get(alert.fingerprint)
        # Most alerts are neither muted nor missing nor gone.
        if known is None or not (known.missed or known.gone or known.mute) or known.status is not alert.status:
            continue
        if known.mute and now > known.mute.since + _LAG:
            thread.alerts[alert.fingerprint] = msgspec.structs.replace(known, mute=None, missed=0, missing_since=0.0)
            heard = Heard.LOUD
        elif known.missed:
            thread.alerts[alert.fingerprint] = msgspec.structs.replace(known, missed=0, missing_since=0.0)
            heard = Heard.FIRING if heard is Heard.NOTHING else heard
        elif known.gone not in ("", Gone.CONFIRMED):
            thread.alerts[alert.fingerprint] = _confirmed(known, alert, now)
            heard = Heard.RESOLUTION
    return heard


def _confirmed(known: AlertState, alert: Alert, now: float) -> AlertState:
    """The alert with its resolution's own words, which the reply that told of its end could not say."""
    ended = resolved(known, alert, now)
    has_words = ended.ended_with or ended.ended_values
    return msgspec.structs.replace(ended, gone=Gone.CONFIRMED if has_words else "")
