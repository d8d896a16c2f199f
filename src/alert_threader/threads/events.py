"""What happened and is to be delivered: an alert's newest change, and the batch of changes in one message."""

from enum import StrEnum

import msgspec

from alert_threader.threads.answers import Note

#: Webhook ids kept with a message, so that it can be traced back to them; the newest.
MAX_TRACED = 20


class EventKind(StrEnum):
    """What happened to an alert."""

    FIRED = "fired"
    RESOLVED = "resolved"


class Event(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is pending for one alert: its newest change, how many were folded into it, and when the first came."""

    kind: EventKind
    at: float
    changes: int = 1
    #: Whether the thread knew the alert before: then one that fires is not new, it fires again.
    known: bool = False


def fold(events: dict[str, Event], fingerprint: str, later: Event) -> None:
    """Write an alert's later event over its earlier one, in the order of the latest, and count the changes."""
    earlier = events.pop(fingerprint, None)
    if earlier is not None:
        later = Event(
            kind=later.kind,
            at=earlier.at,
            changes=earlier.changes + later.changes,
            known=earlier.known,
        )
    events[fingerprint] = later


class Batch(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one message delivers: events by fingerprint, oldest first, and what happened to the thread as a whole."""

    events: dict[str, Event] = {}
    reopened: bool = False
    repeated: bool = False
    #: The ids of the webhooks that brought it, oldest first.
    webhooks: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    #: The alerts that the message only names, by fingerprint: an earlier message had no room for them.
    named: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to deliver."""
        return bool(self.events) or self.reopened or self.repeated or bool(self.notes)

    @property
    def fired_first(self) -> list[tuple[str, Event]]:
        """Its events by fingerprint, in the order in which a message lists them."""
        return sorted(self.events.items(), key=lambda item: item[1].kind is not EventKind.FIRED)

    def then(self, later: "Batch") -> "Batch":
        """Both batches as one message: the newest change of each alert wins, all are counted."""
        events = dict(self.events)
        for fingerprint, event in later.events.items():
            fold(events, fingerprint, event)
        return Batch(
            events=events,
            reopened=self.reopened or later.reopened,
            repeated=self.repeated or later.repeated,
            webhooks=tuple(dict.fromkeys(self.webhooks + later.webhooks))[-MAX_TRACED:],
            notes=self.notes + later.notes,
        )
