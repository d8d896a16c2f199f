"""What all alerts of a thread say at length, and what the end of a single one says."""

from collections.abc import Mapping

from alert_threader.formatter import facts
from alert_threader.formatter.links import source_link
from alert_threader.formatter.listing import MAX_VALUES, more_texts
from alert_threader.formatter.mrkdwn import bold, escape, is_cut, literal, prose, truncate, unmarked
from alert_threader.formatter.own_texts import MAX_DESCRIPTION, MAX_TEXT, heading, late_texts
from alert_threader.formatter.view import ThreadView

#: The title where the header has not all of it, and all further texts together, in characters as sent.
_MAX_TITLE = 600
_MAX_OTHERS = 900
#: What a resolution says that came too late for a reply, likewise.
_MAX_LATE = 1500


def description(view: ThreadView, *, full_title: bool = False) -> list[str]:
    """What all of the thread's alerts say at length, after their summary where the header has not all of it."""
    summary = view.shared_summary or view.title
    title = truncate(escape(summary), _MAX_TITLE) if full_title or summary != view.title else ""
    text = view.shared.description
    described = _described(view, text) if unmarked(text) != view.title else ""
    return list(filter(None, (title, described, *_others(view, view.shared.others, int(is_cut(title, summary))))))


def values_line(view: ThreadView, values: str) -> list[str]:
    """The measured values on a line."""
    shown = literal(values, MAX_VALUES)
    left = more_texts(view, int(is_cut(shown, values)))
    return [f"{bold(f'{view.words.values}:')} {shown}", *left] if shown else []


def _others(view: ThreadView, others: Mapping[str, str], left: int) -> list[str]:
    """Further texts, a line each, as far as there is room; those that are cut or left out are counted with ``left``."""
    said: list[str] = []
    room = _MAX_OTHERS
    for name, text in others.items():
        shown = truncate(prose(text), MAX_TEXT)
        line = f"{bold(f'{heading(name)}:')} {_closed(shown)}"
        room -= len(line)
        if room < 0:
            break
        left += is_cut(shown, text)
        said.append(line)
    left += len(others) - len(said)
    return [*said, view.words.more_others.format(count=left, source=source_link(view))] if left else said


def ending(view: ThreadView) -> list[str]:
    """What the resolution of a thread's only alert says, where that is not what its firing said."""
    if not view.alerts:
        return []
    said = view.ended(view.alerts[0])
    summary = unmarked(said.summary)
    title = truncate(escape(summary), _MAX_TITLE)
    links = {view.words.runbook: said.runbook, view.words.dashboard: said.dashboard}
    others = {**said.others, **{name: text for name, text in links.items() if text}}
    described = _described(view, said.description)
    left = is_cut(title, summary) + view.alerts[0].ended_left_out
    return list(filter(None, (title, described, *_others(view, others, left))))


def late_words(view: ThreadView, room: int) -> list[str]:
    """What the resolution of a thread's only alert says, where it came too late for a reply."""
    if not (view.alerts and facts.has_late_words(view.alerts[0])):
        return []
    lines, left = late_texts(view, view.alerts[0], min(room, _MAX_LATE))
    return [*lines, *more_texts(view, left)]


def _described(view: ThreadView, text: str) -> str:
    said = prose(text)
    if not said:
        return ""
    shown = _closed(truncate(said, MAX_DESCRIPTION))
    rest = f"\n{view.words.the_rest.format(source=source_link(view))}" if len(said) > MAX_DESCRIPTION else ""
    return f"{bold(f'{view.words.description}:')}\n{shown}{rest}"


def _closed(text: str) -> str:
    """The text with its code fence closed: after an open one, everything would be shown as code."""
    return f"{text}\n```" if text.count("```") % 2 else text
