"""What people and Alertmanager add to a thread: acknowledgement, silences, mutes, commands, notes, future actions.

Only their form is laid down here, so that a record written today holds what later releases add. All times are seconds
since the epoch, all lengths seconds.
"""

import msgspec


class Acknowledgement(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Who works on the problem: ``by`` is a Slack user id, ``name`` the name shown, ``severity`` what it was then."""

    by: str
    name: str = ""
    at: float = 0
    severity: str = ""


class Silence(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A silence in Alertmanager that covers the thread; ``ours`` if a press in Slack made it."""

    id: str
    by: str = ""
    comment: str = ""
    ends_at: float = 0
    ours: bool = False
    matchers: tuple[tuple[str, str], ...] = ()
    #: Whether it is to be expired when the thread resolves.
    ends_with_problem: bool = False
    cluster: str = ""


class Mute(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Why Alertmanager sends nothing for an alert: silences, alerts that inhibit it, or time intervals, by name."""

    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    since: float = 0
    until: float | None = None


class Command(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a press asked of Alertmanager and is not done yet. ``op`` identifies the press."""

    op: str
    kind: str
    by: str = ""
    name: str = ""
    seconds: float = 0
    comment: str = ""
    matchers: tuple[tuple[str, str], ...] = ()
    at: float = 0
    tries: int = 0
    next_try: float = 0
    next_try_wait: float = 0
    outcome_unknown: bool = False


#: The kind of a note that says what a root cannot show any more.
NOT_EDITABLE = "not_editable"


class Note(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An event that is no alert's: an acknowledgement, a silence, its end. Part of what a reply delivers."""

    kind: str
    who: str = ""
    at: float = 0
    until: float | None = None
    text: str = ""


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
