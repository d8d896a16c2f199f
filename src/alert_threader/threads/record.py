"""The thread record: what is wanted, what is delivered, and the attempt under way. It is also the outbox.

Names on disk are those of schema 2, which the first release reads and writes; what schema 3 adds is optional. A wait is
kept as the time it ends and its length, so that a clock that is set back does not make it longer.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from typing import NamedTuple

import msgspec

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.answers import (
    Acknowledgement,
    Command,
    Future,
    Inhibitor,
    Mute,
    Silence,
    UncertainPost,
)
from alert_threader.threads.events import Batch
from alert_threader.threads.severity import level_of

#: The version of the record's form. A record with ``revision`` 0 was written by schema 2.
SCHEMA = 3

#: Alerts of a thread that keep labels, annotations and links. A message never lists more of them than this.
MAX_DETAILED = 50
#: How many alerts a root gives a line each, and what only they say.
LISTED = 10
#: How many labels of an alert are kept, and how much of a value, in characters.
MAX_LABELS = 100
MAX_LABEL = 300
#: What a value ends in that was cut when it was kept.
CUT = "…"
#: Alerts of a thread that are told apart at all. Past it the longest resolved ones are only counted.
MAX_ALERTS = 5000


class Wait(NamedTuple):
    """A wait that ends ``until`` (seconds since the epoch) after ``length`` seconds. 0 and 0 for none."""

    until: float = 0
    length: float = 0

    @property
    def since(self) -> float:
        """When it began."""
        return self.until - self.length


class Step(StrEnum):
    """The kinds of call that a thread can need, most pressing first."""

    LOOK_UP = "find"
    POST_ROOT = "root"
    POST_REPLY = "reply"
    UPDATE_ROOT = "update"
    #: Of posts that were made again, the copies that arrived late.
    REMOVE_COPIES = "copies"
    #: What a press asked of Alertmanager, in a lane of its own.
    COMMAND = "command"

    @property
    def is_post(self) -> bool:
        """Whether it makes a message."""
        return self in (Step.POST_ROOT, Step.POST_REPLY)


class AlertState(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One alert as it was last heard of. Without labels it is one of too many to be kept whole.

    Labels, annotations and links are those of the firing: Alertmanager's resolution can carry others (a description
    with the current value), and a thread keeps what it said.
    """

    status: Status
    name: str = ""
    starts_at: float = 0
    ends_at: float | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    links: dict[str, str] = {}
    values: str = ""
    #: The labels that distinguish it from others of the same name: the second part of its name (``threads.names``).
    distinct: dict[str, str] = {}
    #: The annotations in which its resolution differs from its firing, and how many more of them are not kept.
    ended_with: dict[str, str] = {}
    ended_left_out: int = 0
    #: The values at its end, where they differ.
    ended_values: str = ""
    #: Its severity as it was sent, of an alert whose labels are not kept.
    severity: str = ""
    #: How many of its labels and annotations are not kept; of one without labels, how many it had.
    left_out: int = 0
    mute: Mute | None = None
    #: The Alertmanager cluster that was seen to hold it; while there is none, whether it fired while Alertmanager was
    #: polled, and no complete view from soon after that lacks it: then it may have been there.
    cluster: str = ""
    sought: bool = False
    #: How many complete views of that cluster lack it, up to ``vanishing.LEAST_MISSED``, and since when.
    missed: int = 0
    missing_since: float = 0
    #: How it ended where Alertmanager sent no resolution (``Gone``), empty where it did.
    gone: str = ""

    @property
    def is_detailed(self) -> bool:
        """Whether its labels and texts are kept."""
        return bool(self.labels or self.annotations)


class Common(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What some alerts have in common: the labels, texts, links and values that are the same for all of them.

    ``differing`` are the names of the other labels that one of them has.
    """

    labels: dict[str, str] = {}
    differing: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    links: dict[str, str] = {}
    values: str = ""


class Shown(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the root message shows.

    ``revision`` is the record's that it shows, 0 where that is not known: so it is from the start of an edit until its
    outcome is recorded. ``hash`` is of the message as it was rendered, empty where that is not known. ``edit`` is the
    id of an edit whose outcome is not recorded. An earlier one, whose answer was lost, may still land on top of what is
    shown until ``uncertain_until``: then the root is sent once more.
    """

    revision: int = 0
    hash: str = ""
    #: The state that its colour shows.
    status: str = ""
    at: float = 0
    edit: str = ""
    uncertain_until: float = msgspec.field(default=0, name="unsure_until")
    uncertain_wait: float = 0
    #: Schema 2's word on the same: see ``threads.schema``.
    digest: str = ""

    @property
    def uncertain(self) -> Wait:
        """For how long an edit whose answer was lost may still land."""
        return Wait(self.uncertain_until, self.uncertain_wait)

    def as_unknown(self, edit: str = "", uncertain: Wait | None = None) -> "Shown":
        """The same root, of which nobody knows what it shows."""
        until, length = uncertain or self.uncertain
        return Shown(at=self.at, edit=edit, uncertain_until=until, uncertain_wait=length)


class Attempt(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A post that was started and whose outcome is not recorded. While it stands, nobody knows whether Slack has it.

    It is looked up when ``look_up`` is over.
    """

    id: str
    step: Step
    at: float
    look_up_at: float = msgspec.field(name="find_at")
    look_up_wait: float = 0
    #: Since when it is known that its outcome is not; 0 after a crash, until it was looked up in vain.
    unknown_since: float = 0
    batch: Batch
    shown: Shown

    @property
    def look_up(self) -> Wait:
        """How long to wait before it is looked up."""
        return Wait(self.look_up_at, self.look_up_wait)


class AlertThread(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One thread. All times are seconds since the epoch, 0 or None for never."""

    #: A factory, so that the version is written although it is the default.
    version: int = msgspec.field(default_factory=lambda: SCHEMA)
    #: Raised by every change but delivery's own bookkeeping; compared with what the root shows.
    revision: int = 0
    #: The newest revision that changed more than texts and values; None in a record from before it was kept.
    noted_revision: int | None = None
    key: str
    channel: str
    #: The channel it belongs to, where it had to move to another.
    home: str = ""
    ts: str | None = None
    #: The word that the sender gave, empty for none, and the level that it means (``threads.severity``); None in a
    #: record that was written before levels were kept.
    severity: str = ""
    level: str | None = None
    title: str = ""
    external_url: str = ""

    alerts: dict[str, AlertState] = {}
    #: What the alerts whose labels are not kept have in common; None where that is not known.
    common: Common | None = None
    #: Resolved alerts past MAX_ALERTS, of which only the number is kept.
    forgotten: int = 0
    #: The alerts that no message names yet, by fingerprint: they are named once nothing more pressing waits.
    unnamed: tuple[str, ...] = ()
    #: How many alerts Alertmanager left out of its last notification (its ``max_alerts``).
    truncated: int = 0

    pending: Batch = msgspec.field(default_factory=Batch, name="untold")
    attempt: Attempt | None = None
    shown: Shown = msgspec.field(default_factory=Shown)

    opened_at: float = 0
    changed_at: float = 0
    #: When a notification last counted (an event or a repeat), and how many only repeated that the thread fires.
    notified_at: float = 0
    repeats: int = 0
    #: When any notification last came, counted or not, or Alertmanager was last seen to hold an alert of it.
    seen_at: float = 0
    resolved_at: float | None = None
    closed_at: float | None = None
    stale: bool = False
    #: How many times the thread was re-opened after it had resolved, and when last.
    flaps: int = 0
    reopened_at: float = 0
    #: When its first alert began to fire.
    began_at: float = 0
    #: For how long, in seconds, all of its alerts were resolved: in all, and before it was re-opened last.
    quiet: float = 0
    quiet_for: float = 0

    #: Failed attempts in a row, the wait before the next one, and what the last one said.
    failures: int = 0
    retry_at: float = msgspec.field(default=0, name="next_try")
    retry_wait: float = msgspec.field(default=0, name="next_try_wait")
    error: str = ""
    #: 0 the message in full; each refusal of its form by Slack makes the next one simpler, up to MAX_SIMPLE.
    simple: int = 0

    acknowledgement: Acknowledgement | None = msgspec.field(default=None, name="ack")
    silences: tuple[Silence, ...] = ()
    #: When a press or the clock last changed them.
    silences_changed_at: float = 0
    commands: tuple[Command, ...] = ()
    #: What inhibits its alerts, the first few.
    inhibitors: tuple[Inhibitor, ...] = ()
    #: The presses that were taken last, by their ``op``: one that arrives again is ignored.
    presses: tuple[str, ...] = ()
    #: The newest revision that a press made: until the root shows it, its edit goes before others.
    answered_revision: int = 0
    future: tuple[Future, ...] = ()
    #: Slack does not let its root be edited any more: what the root cannot show is posted to the channel.
    uneditable: bool = False
    #: Posts that were made again because they were absent when they were looked up, and how often in a row.
    uncertain_posts: tuple[UncertainPost, ...] = ()
    reposts: int = 0
    #: The labels its key was made from, raw, an empty text for one that is missing: a silence may match no less.
    identity: dict[str, str] = {}
    receiver: str = ""
    route: str = ""
    route_labels: dict[str, str] = {}
    #: When it last mentioned somebody, and when it was re-opened lately, oldest first.
    mentioned_at: float = 0
    reopenings: tuple[float, ...] = ()
    #: Since when only its root is edited, because it flaps.
    damped_since: float | None = None
    #: When only its texts, or ``unconfirmed_since``, last changed.
    texts_changed_at: float = 0
    #: The longest time between two repeats of it, in seconds, 0 where that is not known; where one was missed, when the
    #: thread was last heard of before.
    repeat_interval: float = 0
    unconfirmed_since: float | None = None
    #: The time of the copy that it, or the store it was opened in, was restored from; 0 once its next post is known.
    restored_from: float = 0

    @property
    def severity_level(self) -> str:
        """The level that its severity means, empty for none."""
        return level_of(self.severity, {}) if self.level is None else self.level

    @property
    def status(self) -> Status:
        """Firing while any alert fires (rule 4)."""
        return Status.FIRING if self.firing else Status.RESOLVED

    @property
    def is_open(self) -> bool:
        """Whether the problem goes on here: an alert is firing, and the thread has not been closed."""
        return self.firing > 0 and self.closed_at is None

    @property
    def under_way(self) -> str:
        """The id of the call to Slack whose outcome is not recorded, empty where there is none."""
        return self.attempt.id if self.attempt is not None else self.shown.edit

    @property
    def is_asked_by_key(self) -> bool:
        """Whether the attempt is the first after a restore: Slack is asked what it has of the thread since the copy."""
        return self.attempt is not None and 0 < self.restored_from < self.attempt.at

    @property
    def retry(self) -> Wait:
        """How long to wait before the next attempt."""
        return Wait(self.retry_at, self.retry_wait)

    # A thread can have thousands of alerts, and each webhook for it looks at them all: hence no call for each of them.

    @property
    def firing_first(self) -> Iterator[str]:
        """Its alerts by fingerprint, in the order in which the root lists them."""
        alerts = self.alerts
        firing = (each for each, state in alerts.items() if state.status is Status.FIRING)
        return chain(firing, (each for each, state in alerts.items() if state.status is not Status.FIRING))

    @property
    def listed(self) -> list[str]:
        """The alerts that the root gives a line each, by fingerprint."""
        return list(islice(self.firing_first, LISTED))

    @property
    def detailed(self) -> dict[str, AlertState]:
        """The alerts whose labels and texts are kept, by fingerprint."""
        return {each: state for each, state in self.alerts.items() if state.labels or state.annotations}

    @property
    def firing_alerts(self) -> dict[str, AlertState]:
        """The alerts that fire, by fingerprint."""
        return {each: state for each, state in self.alerts.items() if state.status is Status.FIRING}

    @property
    def firing(self) -> int:
        """How many alerts fire."""
        return [alert.status for alert in self.alerts.values()].count(Status.FIRING)

    @property
    def resolved(self) -> int:
        """How many alerts have resolved since the thread opened."""
        return len(self.alerts) - self.firing + self.forgotten

    @property
    def pending_since(self) -> float:
        """When the oldest event that Slack does not show yet came; without any, when the root last fell behind."""
        behind = max(self.changed_at, self.notified_at, self.texts_changed_at, self.closed_at or 0)
        batches = (self.pending, self.attempt.batch) if self.attempt else (self.pending,)
        return min((e.at for batch in batches for e in batch.events.values()), default=behind)

    @property
    def differs_in_texts_only(self) -> bool:
        """Whether the root is behind in nothing but texts and values."""
        return self.shown.status == self.state and 0 < (self.noted_revision or 0) <= self.shown.revision

    @property
    def state(self) -> str:
        """The state that the root's colour shows: firing, resolved or stale."""
        return "stale" if self.stale and self.firing else self.status.value
