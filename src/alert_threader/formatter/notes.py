"""What people and Alertmanager did to a thread, in words: the notes of a reply, and the line of its first message."""

from collections.abc import Sequence
from typing import NamedTuple

from alert_threader.formatter import facts
from alert_threader.formatter.mrkdwn import link, literal
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import CommandKind, Note, NoteKind, Silence

#: A name, a comment or a reason, in characters.
_MAX_NAME = 80
_MAX_COMMENT = 300
#: How many silences are named.
_NAMED = 3
_BETWEEN = " · "
_WORDS = {
    NoteKind.ACKNOWLEDGED: ("👀", "note_acknowledged"),
    NoteKind.TAKEN_OVER: ("👀", "note_taken_over"),
    NoteKind.UNACKNOWLEDGED: ("👐", "note_unacknowledged"),
    NoteKind.ENDED_WORSE: ("⏫", "note_ended_worse"),
    NoteKind.ENDED_REOPENED: ("🔁", "note_ended_reopened"),
    NoteKind.ENDED_TIMEOUT: ("⏰", "note_ended_timeout"),
    NoteKind.KEPT: ("👀", "note_kept"),
    NoteKind.SILENCED: ("🔕", "note_silenced"),
    NoteKind.EXTENDED: ("🔕", "note_extended"),
    NoteKind.UNSILENCED: ("🔔", "note_unsilenced"),
    NoteKind.SILENCE_ENDED: ("🔔", "note_silence_ended"),
    NoteKind.ENDED_WITH_PROBLEM: ("🔔", "note_ended_with_problem"),
    NoteKind.EXPIRED_ELSEWHERE: ("🔔", "note_expired_elsewhere"),
    NoteKind.NOT_SILENCED: ("⚠️", "note_not_silenced"),
    NoteKind.NOT_UNSILENCED: ("⚠️", "note_not_unsilenced"),
}
#: Those whose text is a comment, or a reason.
_WITH_TEXT = frozenset({NoteKind.SILENCED, NoteKind.EXTENDED, NoteKind.NOT_SILENCED, NoteKind.NOT_UNSILENCED})


class NoteText(NamedTuple):
    """A note in words: a line, and what is said at more length below it, empty for nothing. Both are mrkdwn."""

    line: str
    text: str


def note_texts(view: ThreadView, notes: Sequence[Note]) -> list[NoteText]:
    """The notes in words; one of a kind that only a newer version knows is left out."""
    known = [(note, *_WORDS[NoteKind(note.kind)]) for note in notes if note.kind in _WORDS]
    return [_note_text(view, note, sign, word) for note, sign, word in known]


def _note_text(view: ThreadView, note: Note, sign: str, word: str) -> NoteText:
    line: str = getattr(view.words, word).format(
        who=literal(note.who, _MAX_NAME),
        former=literal(note.text, _MAX_NAME),
        until=_clock(view, note.until or 0),
    )
    has_text = note.kind in _WITH_TEXT and note.text
    return NoteText(f"{sign} {line}", literal(note.text, _MAX_COMMENT) if has_text else "")


def answers_line(view: ThreadView) -> str:
    """Who works on a problem, and until when it is silenced, as long as it is one: for the first message."""
    if not view.firing:
        return ""
    parts = [_acknowledged(view), *_silences(view), _under_way(view)]
    return _BETWEEN.join(filter(None, parts))


def _acknowledged(view: ThreadView) -> str:
    by = view.thread.acknowledgement
    if by is None:
        return ""
    who = view.person(by.by, by.name)
    return f"👀 {view.words.answer_acknowledged.format(who=who, since=_clock(view, by.at))}"


def _silences(view: ThreadView) -> list[str]:
    silences = view.thread.silences
    if not silences:
        return _muted(view)
    named = [_silence(view, silence) for silence in silences[:_NAMED]]
    return [*named, f"+{len(silences) - _NAMED}"] if len(silences) > _NAMED else named


def _silence(view: ThreadView, silence: Silence) -> str:
    who = view.person(silence.by, silence.name)
    said = view.words.answer_silenced.format(who=who, until=_clock(view, silence.ends_at))
    comment = f': "{literal(silence.comment, _MAX_COMMENT)}"' if silence.comment else ""
    page = link(view.silence_page(silence.id), view.words.silence)
    return f"🔕 {said}{comment}" + (f" ({page})" if page else "")


def _muted(view: ThreadView) -> list[str]:
    """Until when all firing alerts are muted in Alertmanager: until the first of these mutes ends."""
    if view.state != "silenced":
        return []
    ends = [alert.mute.until for alert in view.alerts if facts.fires(alert) and alert.mute and alert.mute.until]
    words = view.words
    return [words.silenced_until.format(time=facts.moment(min(ends))) if ends else words.silenced_open]


def _under_way(view: ThreadView) -> str:
    commands = view.thread.commands
    if not commands:
        return ""
    words = view.words
    said = words.answer_unsilencing if commands[0].kind is CommandKind.UNSILENCE else words.answer_silencing
    return f"🔕 {said.format(who=view.person(commands[0].by, commands[0].name))}"


def _clock(view: ThreadView, at: float) -> str:
    return facts.clock(at, view.thread.began_at or view.thread.opened_at)
