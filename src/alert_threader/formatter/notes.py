"""The notes of a reply: what people and Alertmanager did to a thread, in words."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from alert_threader.formatter.mrkdwn import literal
from alert_threader.formatter.mutes import (
    BETWEEN_NAMES,
    MAX_COMMENT,
    inhibited_by,
    linked_name,
    muted_by,
    plain_name,
    silenced_elsewhere,
)
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import Note, NoteKind

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
    NoteKind.LOUD_AGAIN: ("🔔", "note_loud_again"),
    NoteKind.NOT_SILENCED: ("⚠️", "note_not_silenced"),
    NoteKind.NOT_UNSILENCED: ("⚠️", "note_not_unsilenced"),
}
#: The notes on mutes, whose words depend on what is known.
_MUTES = frozenset({NoteKind.SILENCED_ELSEWHERE, NoteKind.INHIBITED, NoteKind.MUTED})
#: Those whose text is a comment, or a reason.
_WITH_TEXT = frozenset(
    {
        NoteKind.SILENCED,
        NoteKind.EXTENDED,
        NoteKind.SILENCED_ELSEWHERE,
        NoteKind.NOT_SILENCED,
        NoteKind.NOT_UNSILENCED,
    }
)
#: Shows a name and its address, which may be empty.
_Name = Callable[[str, str], str]


class NoteText(NamedTuple):
    """A note in words: as a headline with what is said ``below`` it, or as a ``line`` that says both.

    The headline is plain text, in which no link works; the others are mrkdwn. ``below`` may be empty.
    """

    headline: str
    below: str
    line: str


def note_texts(view: ThreadView, notes: Sequence[Note]) -> list[NoteText]:
    """The notes in words; one of a kind that only a newer version knows is left out."""
    return [_note_text(view, note) for note in notes if note.kind in _WORDS or note.kind in _MUTES]


def _note_text(view: ThreadView, note: Note) -> NoteText:
    headline, line = (_sentence(view, note, name) for name in (plain_name, linked_name))
    if note.kind in _WITH_TEXT and (comment := literal(note.text, MAX_COMMENT)):
        return NoteText(headline, comment, f"{line}: {comment}")
    return NoteText(headline, linked_name(note.text, note.url) if note.url else "", line)


def _sentence(view: ThreadView, note: Note, name: _Name) -> str:
    """A note's sign and sentence, with each name as ``name`` shows it."""
    if note.kind in _MUTES:
        return f"🔕 {_mute(view, note, name)}"
    sign, word = _WORDS[NoteKind(note.kind)]
    said: str = getattr(view.words, word)
    until = view.clock(note.until or 0)
    return f"{sign} {said.format(who=name(note.who, ''), former=name(note.text, ''), until=until)}"


def _mute(view: ThreadView, note: Note, name: _Name) -> str:
    words = view.words
    if note.kind == NoteKind.SILENCED_ELSEWHERE:
        return silenced_elsewhere(words, name(note.who, ""), view.clock(note.until), note.count)
    if note.kind == NoteKind.INHIBITED:
        return inhibited_by(words, name(note.text, note.url))
    return muted_by(words, name(note.text, ""), is_one=BETWEEN_NAMES not in note.text)
