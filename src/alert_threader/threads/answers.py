"""What people and Alertmanager add to a thread: acknowledgement, silences, mutes, commands, notes, future actions.

Only their form is laid down here; what a press does is in ``press``, what becomes of a silence in ``silencing``. All
times are seconds since the epoch, all lengths seconds.
"""

from enum import StrEnum

import msgspec


class Acknowledgement(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Who works on the problem: ``by`` is a Slack user id, ``name`` the name shown, ``severity`` what it was then."""

    by: str
    name: str = ""
    at: float = 0
    severity: str = ""


class Silence(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A silence in Alertmanager that covers the thread; ``ours`` if a press in Slack made it.

    ``by`` is a Slack user id, ``name`` the name shown. One that was made elsewhere has the name alone, and no matchers:
    which alerts it covers, Alertmanager says (``Mute.silenced_by``).
    """

    id: str
    by: str = ""
    name: str = ""
    comment: str = ""
    ends_at: float = 0
    ours: bool = False
    matchers: tuple[tuple[str, str], ...] = ()
    #: The fingerprint of the one alert that it covers; empty where it covers the whole thread.
    alert: str = ""
    #: Whether it is to be expired when the thread resolves.
    ends_with_problem: bool = False
    cluster: str = ""
    #: When Alertmanager last said that it has it so, and whether all members have had the time to hear of it since:
    #: then they say what it mutes, not its matchers.
    confirmed_at: float = 0
    is_exchanged: bool = False


class Mute(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Why Alertmanager sends nothing for an alert: silences, alerts that inhibit it, or time intervals, by name."""

    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    since: float = 0
    until: float | None = None


class Inhibitor(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An alert that inhibits others: what it is called, and the address of its thread, empty where it has none."""

    name: str
    url: str = ""


class Gone(StrEnum):
    """How an alert ended of which Alertmanager sent no resolution: it is not there any more."""

    WHILE_SILENCED = "silenced"
    WHILE_INHIBITED = "inhibited"
    WHILE_MUTED = "muted"
    #: It was not muted when it was last seen.
    UNANNOUNCED = "unannounced"
    #: Its resolution came after all, and has words of its own, which the reply before it could not say.
    CONFIRMED = "confirmed"


class CommandKind(StrEnum):
    """What can be asked of Alertmanager."""

    SILENCE = "silence"
    EXTEND = "extend"
    UNSILENCE = "unsilence"


class Command(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a press asked of Alertmanager and is not done yet. ``op`` identifies the press.

    ``targets`` are what is still to be done, one call for each: for a silence the fingerprints of the alerts to
    silence, or one empty text for the whole thread; otherwise the ids of silences. ``attempt`` is the call under way.
    """

    op: str
    kind: CommandKind
    targets: tuple[str, ...]
    cluster: str
    by: str = ""
    name: str = ""
    #: When the silence is to end.
    until: float = 0
    comment: str = ""
    ends_with_problem: bool = False
    at: float = 0
    attempt: str = ""
    tries: int = 0
    next_try: float = 0
    next_try_wait: float = 0
    #: Whether Alertmanager may have done the first of the targets, though nobody knows.
    outcome_unknown: bool = False
    error: str = ""
    #: How many of the targets are done, and why one of them will not be.
    done: int = 0
    failed: str = ""


class NoteKind(StrEnum):
    """The kinds of notes. A record may hold others, written by a newer version."""

    #: What a root cannot show any more.
    NOT_EDITABLE = "not_editable"
    ACKNOWLEDGED = "acknowledged"
    #: Acknowledged by another person than before, who is in ``text``.
    TAKEN_OVER = "taken_over"
    UNACKNOWLEDGED = "unacknowledged"
    #: An acknowledgement ended: the problem became worse, came back after a while, or its time was over.
    ENDED_WORSE = "ack_ended_worse"
    ENDED_REOPENED = "ack_ended_reopened"
    ENDED_TIMEOUT = "ack_ended_timeout"
    #: The problem came back soon, and the acknowledgement goes on.
    KEPT = "ack_kept"
    #: ``until`` is the end, ``text`` the comment.
    SILENCED = "silenced"
    EXTENDED = "extended"
    UNSILENCED = "unsilenced"
    #: A silence ended by itself, with the problem, or in Alertmanager by somebody else.
    SILENCE_ENDED = "silence_ended"
    ENDED_WITH_PROBLEM = "silence_ended_with_problem"
    EXPIRED_ELSEWHERE = "silence_expired_elsewhere"
    #: ``text`` says why.
    NOT_SILENCED = "not_silenced"
    NOT_UNSILENCED = "not_unsilenced"
    #: Somebody silenced it in Alertmanager: ``who``, ``until``, the comment in ``text``. ``count`` alerts of those that
    #: fire, 0 for all.
    SILENCED_ELSEWHERE = "silenced_elsewhere"
    #: All that fires became inhibited (by ``text``, whose thread is at ``url``), or muted by the time intervals in
    #: ``text``.
    INHIBITED = "inhibited"
    MUTED = "muted"
    #: It was inhibited or muted, and is not any more.
    LOUD_AGAIN = "loud_again"


class Note(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An event that is no alert's: an acknowledgement, a silence, its end. Part of what a reply delivers."""

    kind: str
    who: str = ""
    at: float = 0
    until: float | None = None
    text: str = ""
    count: int = 0
    url: str = ""


class Future(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Something that time will bring: a reminder, the end of a silence. Not pending before it is due."""

    kind: str
    at: float
    wait: float = 0
    count: int = 0
    op: str = ""


class UncertainPost(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A post that was absent when it was looked up, and may still arrive: looked for again at ``at``.

    ``thread_ts`` is the thread that it was sent into, empty for a root.
    """

    id: str
    at: float
    wait: float = 0
    step: str = ""
    thread_ts: str = ""
