"""The life of a thread, as pure functions: no clock, no I/O, no logging, no randomness.

Each input has one function that takes the record and returns the new one: ``apply`` (a notification), ``age`` (time),
``forget`` (an operator), ``press`` (somebody in Slack), ``observe`` (a look at Alertmanager), ``following`` (another
SLACK_CHANNEL), ``start_attempt`` and ``record_outcome`` (a call).
``plan`` says what is missing. Imports only ``alertmanager``.

The rules:

1.  An alert's status is its own; the notification's only where the alert has none. Mixed groups are normal.
2.  An alert that is new, or fires again after resolving, has *fired*; one that stops firing has *resolved*. The same
    status again is no event: it is a repeat or a duplicate (HA pairs, retries after a timeout, two routes).
3.  ``startsAt`` is no identity: a re-fire can carry the old one, a repeat a new one. No firing is discarded as
    outdated.
4.  A thread fires while any of its alerts does, and is resolved when none does. A re-fire within the re-open window
    goes on in the same thread (a reply says so, the root is red again, flaps are counted); after it a new one opens.
5.  A resolution for an unknown thread opens one that is resolved at once: quiet and green.
6.  Alerts missing from a notification say nothing. The root says how many ``max_alerts`` cut off.
7.  A repeat (nothing changed, and Alertmanager says that it repeats, or half an hour has passed) follows the policy:
    it updates the root's count, is delivered as a reply, or is ignored.
    Texts and values are those that were said last; a change of them alone edits the root at most once a minute.
8.  What fired and resolved before anything was delivered is one message: a root in its final state.
9.  A firing thread of which nothing is heard for STALE_AFTER is marked stale and closes.
    Where the policy says so, one that misses a repeat is marked as not confirmed until it is heard of again.
10. A notification is applied once however often it arrives.
11. The words of a resolution are kept beside those of the firing, which the root shows on.
12. A rule for keys that has changed doubles no thread: an alert that fires in a thread under its former key stays there
    until it resolves.
13. Every alert is named: those that a message has no room for in up to three replies, after everything else.

Everything ends as one message: a post is an attempt, stored with an id before the call; one whose outcome is unknown is
looked up in Slack before anything else is posted for the thread. So is the first post of a thread after a restore, by
the thread's key. Where it is absent it is posted again at once, and what arrives late all the same is removed. An edit
whose answer was lost is made again at once, and once more when the first one can land no more.

Whether the root must be edited follows from the record's revision, which every change raises but delivery's own
bookkeeping, and from the hash of the message that was sent last: never from a list of what a root shows.
"""

from alert_threader.threads.ageing import age, forget
from alert_threader.threads.answers import (
    Acknowledgement,
    Command,
    CommandKind,
    Gone,
    Inhibitor,
    Mute,
    Note,
    NoteKind,
    Silence,
)
from alert_threader.threads.details import STATE_REASON, in_common, severity_of
from alert_threader.threads.events import Batch, Event, EventKind
from alert_threader.threads.keys import (
    DEFAULT_KEY_LABELS,
    ENVIRONMENT_LABELS,
    FOLDER,
    RULE,
    Change,
    Identity,
    ThreadBy,
    changes,
    environment_of,
    thread_key,
)
from alert_threader.threads.matchers import of_alert, of_target
from alert_threader.threads.moving import following, waits_elsewhere
from alert_threader.threads.names import (
    EXPORTED,
    OF_EXPORTER,
    distinct_part,
    full_name,
    has_exported,
    named_by,
    short_name,
)
from alert_threader.threads.notification import Applied, Reason, apply, divided
from alert_threader.threads.observation import observe
from alert_threader.threads.outcome import (
    MAX_SIMPLE,
    CopiesRemoved,
    Failed,
    NotFound,
    NotMade,
    Outcome,
    Posted,
    PostedBefore,
    RootGone,
    Uneditable,
    Unknown,
    Updated,
    record_outcome,
    record_unchanged,
)
from alert_threader.threads.plain import clean, one_line
from alert_threader.threads.plan import (
    GIVE_UP_AFTER,
    LOOK_UP_AFTER,
    Action,
    Plan,
    Policy,
    RepeatPolicy,
    ages_at,
    alertmanager_lane,
    is_delivered,
    is_pending,
    is_slack_lane,
    lanes_of,
    lease_name,
    next_step,
    plan,
    shown_now,
    slack_lane,
    start_attempt,
)
from alert_threader.threads.press import (
    Operation,
    Press,
    Pressed,
    Verdict,
    cluster_of,
    not_on_root,
    not_silenceable,
    press,
)
from alert_threader.threads.record import (
    CUT,
    LISTED,
    MAX_LABEL,
    AlertState,
    AlertThread,
    Attempt,
    Common,
    Shown,
    Step,
    Wait,
)
from alert_threader.threads.room import BETWEEN_NAMES, LEAST_LINES, fitting, length_sent
from alert_threader.threads.severity import DEFAULT_MAP, LEVELS, Severities, level_of, severity_rank
from alert_threader.threads.silencing import Expired, NotDone, OfCommand, Silenced, Tag, covers, start_command, tag_of
from alert_threader.threads.titles import MAX_TITLE
from alert_threader.threads.views import View

__all__ = [
    "BETWEEN_NAMES",
    "CUT",
    "DEFAULT_KEY_LABELS",
    "DEFAULT_MAP",
    "ENVIRONMENT_LABELS",
    "EXPORTED",
    "FOLDER",
    "GIVE_UP_AFTER",
    "LEAST_LINES",
    "LEVELS",
    "LISTED",
    "LOOK_UP_AFTER",
    "MAX_LABEL",
    "MAX_SIMPLE",
    "MAX_TITLE",
    "OF_EXPORTER",
    "RULE",
    "STATE_REASON",
    "Acknowledgement",
    "Action",
    "AlertState",
    "AlertThread",
    "Applied",
    "Attempt",
    "Batch",
    "Change",
    "Command",
    "CommandKind",
    "Common",
    "CopiesRemoved",
    "Event",
    "EventKind",
    "Expired",
    "Failed",
    "Gone",
    "Identity",
    "Inhibitor",
    "Mute",
    "NotDone",
    "NotFound",
    "NotMade",
    "Note",
    "NoteKind",
    "OfCommand",
    "Operation",
    "Outcome",
    "Plan",
    "Policy",
    "Posted",
    "PostedBefore",
    "Press",
    "Pressed",
    "Reason",
    "RepeatPolicy",
    "RootGone",
    "Severities",
    "Shown",
    "Silence",
    "Silenced",
    "Step",
    "Tag",
    "ThreadBy",
    "Uneditable",
    "Unknown",
    "Updated",
    "Verdict",
    "View",
    "Wait",
    "age",
    "ages_at",
    "alertmanager_lane",
    "apply",
    "changes",
    "clean",
    "cluster_of",
    "covers",
    "distinct_part",
    "divided",
    "environment_of",
    "fitting",
    "following",
    "forget",
    "full_name",
    "has_exported",
    "in_common",
    "is_delivered",
    "is_pending",
    "is_slack_lane",
    "lanes_of",
    "lease_name",
    "length_sent",
    "level_of",
    "named_by",
    "next_step",
    "not_on_root",
    "not_silenceable",
    "observe",
    "of_alert",
    "of_target",
    "one_line",
    "plan",
    "press",
    "record_outcome",
    "record_unchanged",
    "severity_of",
    "severity_rank",
    "short_name",
    "shown_now",
    "slack_lane",
    "start_attempt",
    "start_command",
    "tag_of",
    "thread_key",
    "waits_elsewhere",
]
