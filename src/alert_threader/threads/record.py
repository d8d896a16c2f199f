"""The thread record: what is wanted, what is told, and what is under way. It is also the outbox."""

from enum import StrEnum

import msgspec

from alert_threader.alertmanager.webhook import Status

#: Raised whenever a stored record of an earlier version would be read wrongly.
SCHEMA = 2

#: Alerts of a thread that keep labels, annotations and links. A message never lists more of them than this.
MAX_DETAILED = 50
#: Ids of webhooks that a message is traced back to; of more, the newest.
MAX_TRACED = 20
#: Alerts of a thread that are told apart at all. Past it the longest resolved ones are only counted.
MAX_ALERTS = 5000

SEVERITIES = ("critical", "error", "warning")


class EventKind(StrEnum):
    """What happened to an alert."""

    FIRED = "fired"
    RESOLVED = "resolved"


class Step(StrEnum):
    """The kinds of action that a thread can need, most pressing first."""

    FIND_ATTEMPT = "find"
    POST_ROOT = "root"
    POST_REPLY = "reply"
    UPDATE_ROOT = "update"

    @property
    def is_post(self) -> bool:
        """Whether it makes a message."""
        return self in (Step.POST_ROOT, Step.POST_REPLY)


class AlertState(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One alert as it was last heard of. Without labels it is one of too many to be kept whole.

    Labels, annotations and links are those of the firing: what Alertmanager sends with the resolution may differ
    (a description with the current value), and a thread keeps what it said.
    """

    status: Status
    name: str = ""
    starts_at: float = 0
    ends_at: float | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    links: dict[str, str] = {}
    values: str = ""


class Event(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is to be told of one alert: its newest change, how many were folded into it, and when the first came."""

    kind: EventKind
    at: float
    changes: int = 1


def fold(events: dict[str, Event], fingerprint: str, later: Event) -> None:
    """Write an alert's later event over its earlier one, in the order of the latest, and count the changes."""
    earlier = events.pop(fingerprint, None)
    if earlier is not None:
        later = Event(kind=later.kind, at=earlier.at, changes=earlier.changes + later.changes)
    events[fingerprint] = later


class Batch(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one message tells: events by fingerprint, oldest first, and what happened to the thread as a whole."""

    events: dict[str, Event] = {}
    reopened: bool = False
    repeated: bool = False
    #: The ids of the webhooks that brought it, oldest first.
    webhooks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.events) or self.reopened or self.repeated

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
        )


class Shown(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the root message shows: a digest of all it says, and the state that its colour says.

    From an edit's begin on it is not known. ``edit`` is the id of one that is not settled; ``unsure_until`` is when
    Slack has surely ended its work on the last one, if that was not heard: another one before could be overwritten.
    """

    digest: str = ""
    status: str = ""
    at: float = 0
    edit: str = ""
    unsure_until: float = 0

    def in_doubt(self, until: float = 0, edit: str = "") -> "Shown":
        """The same root, of which nobody knows what it shows."""
        return Shown(at=self.at, edit=edit, unsure_until=until)


class Attempt(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A post that was begun and is not settled. While it stands, nobody knows whether Slack has the message.

    Slack is asked for it at ``find_at``, when it has surely ended its work on the call.
    """

    id: str
    step: Step
    at: float
    find_at: float
    batch: Batch
    shown: Shown


class AlertThread(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One thread. All times are seconds since the epoch, 0 or None for never."""

    #: A factory, so that the version is written although it is the default.
    version: int = msgspec.field(default_factory=lambda: SCHEMA)
    key: str
    channel: str
    ts: str | None = None
    severity: str = ""
    title: str = ""
    external_url: str = ""

    alerts: dict[str, AlertState] = {}
    #: Resolved alerts past MAX_ALERTS, of which only the number is kept.
    forgotten: int = 0
    #: How many alerts Alertmanager left out of its last notification (its ``max_alerts``).
    truncated: int = 0

    untold: Batch = msgspec.field(default_factory=Batch)
    attempt: Attempt | None = None
    shown: Shown = msgspec.field(default_factory=Shown)

    opened_at: float = 0
    changed_at: float = 0
    #: When a notification last counted (an event or a repeat), and how many only repeated that the thread fires.
    notified_at: float = 0
    repeats: int = 0
    #: When any notification last came, counted or not.
    seen_at: float = 0
    resolved_at: float | None = None
    closed_at: float | None = None
    stale: bool = False
    #: How many times the thread was re-opened after it had resolved, and when last.
    flaps: int = 0
    reopened_at: float = 0

    #: Failed attempts in a row, when the next one may begin, and what the last one said.
    failures: int = 0
    next_try: float = 0
    error: str = ""
    #: 0 the message in full; each refusal of its form by Slack makes the next one simpler, up to MAX_SIMPLE.
    simple: int = 0

    @property
    def status(self) -> Status:
        """Firing while any alert fires (rule 4)."""
        return Status.FIRING if self.firing else Status.RESOLVED

    @property
    def under_way(self) -> str:
        """The id of the call that was begun and is not settled, empty where there is none."""
        return self.attempt.id if self.attempt is not None else self.shown.edit

    @property
    def firing(self) -> int:
        """How many alerts fire."""
        return sum(alert.status is Status.FIRING for alert in self.alerts.values())

    @property
    def resolved(self) -> int:
        """How many alerts have resolved since the thread opened."""
        return len(self.alerts) - self.firing + self.forgotten

    @property
    def untold_since(self) -> float:
        """When the oldest event that Slack does not show yet came; without any, when the root last fell behind."""
        behind = max(self.changed_at, self.notified_at, self.closed_at or 0)
        batches = (self.untold, self.attempt.batch) if self.attempt else (self.untold,)
        return min((e.at for batch in batches for e in batch.events.values()), default=behind)

    @property
    def state(self) -> str:
        """The state that the root's colour shows: firing, resolved or stale."""
        return "stale" if self.stale and self.firing else self.status.value


def severity_rank(severity: str) -> int:
    """The order in which severities are told: 0 for critical, then error, warning, and any other."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
