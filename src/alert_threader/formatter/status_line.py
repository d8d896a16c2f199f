"""The line of a first message on who works on the problem, and what mutes it."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from alert_threader.formatter.mrkdwn import link, literal
from alert_threader.formatter.mutes import (
    BETWEEN_NAMES,
    MAX_COMMENT,
    MAX_LINK,
    MAX_NAME,
    inhibited_by,
    linked_name,
    muted_by,
    silenced_elsewhere,
)
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import CommandKind, Mute, Silence, covers

#: How many silences, inhibiting alerts or time intervals are named.
_NAMED = 3
#: The whole line, in characters as sent.
_MAX_LINE = 1000
_BETWEEN = " · "
#: A part that only counts the silences not named, such as ``+2``.
_COUNT = re.compile(r"\+[0-9]+")


def status_line(view: ThreadView) -> str:
    """Who works on a problem and what mutes it; empty once nothing fires."""
    if not view.firing:
        return ""
    parts = [_acknowledged(view), *_silences(view), *_other_mutes(view), _under_way(view)]
    return _fitting([part for part in parts if part])


def _fitting(parts: Sequence[str]) -> str:
    """The parts on a line, the first ones first, as far as there is room; the others are counted."""
    line = ""
    for place, part in enumerate(parts):
        longer = f"{line}{_BETWEEN}{part}" if line else part
        if len(longer) > _MAX_LINE:
            left = sum(int(each) if _COUNT.fullmatch(each) else 1 for each in parts[place:])
            return f"{line}{_BETWEEN}+{left}"
        line = longer
    return line


def _acknowledged(view: ThreadView) -> str:
    by = view.thread.acknowledgement
    if by is None:
        return ""
    who = view.person(by.by, by.name)
    return f"👀 {view.words.answer_acknowledged.format(who=who, since=view.clock(by.at))}"


def _silences(view: ThreadView) -> list[str]:
    """The silences, without those that were made elsewhere and cover nothing that fires."""
    silences = [silence for silence in view.thread.silences if silence.ours or _covered(view, silence)]
    # The one that lasts longest decides.
    silences.sort(key=lambda silence: -silence.ends_at)
    named = [_silence(view, silence) for silence in silences[:_NAMED]]
    return [*named, f"+{len(silences) - _NAMED}"] if len(silences) > _NAMED else named


def _silence(view: ThreadView, silence: Silence) -> str:
    until = view.clock(silence.ends_at)
    if silence.ours:
        said = view.words.answer_silenced.format(who=view.person(silence.by, silence.name), until=until)
    else:
        said = silenced_elsewhere(view.words, literal(silence.name, MAX_NAME), until)
    comment = f': "{literal(silence.comment, MAX_COMMENT)}"' if silence.comment else ""
    page = link(_page(view, silence.id), view.words.silence)
    shown = f" ({page})" if page and len(page) <= MAX_LINK else ""
    return f"🔕 {said}{_of_firing(view, _covered(view, silence))}{comment}{shown}"


def _covered(view: ThreadView, silence: Silence) -> int:
    """How many firing alerts a silence covers."""
    alerts = view.thread.alerts
    return sum(covers(silence, each, alerts[each]) for each in view.muted)


def _is_covered(view: ThreadView, fingerprint: str) -> bool:
    """Whether a silence that the thread knows covers an alert."""
    alert = view.thread.alerts[fingerprint]
    return any(covers(silence, fingerprint, alert) for silence in view.thread.silences)


def _page(view: ThreadView, silence_id: str) -> str:
    """The page of a silence in Alertmanager; empty where it is not known."""
    base = view.thread.external_url.rstrip("/")
    return f"{base}/#/silences/{quote(silence_id, safe='')}" if base and not view.is_grafana else ""


def _of_firing(view: ThreadView, count: int) -> str:
    """How many of the firing alerts something is about, in brackets; empty for all of them."""
    return "" if count == view.firing else f" ({view.words.some_firing.format(count=count, total=view.firing)})"


def _other_mutes(view: ThreadView) -> Iterator[str]:
    """What else mutes firing alerts: silences that the thread does not know, other alerts, time intervals."""
    found = {each: mute for each in view.muted if (mute := view.thread.alerts[each].mute)}
    mutes = found.values()
    silenced = [mute for each, mute in found.items() if mute.silenced_by and not _is_covered(view, each)]
    inhibited = [mute for mute in mutes if mute.inhibited_by]
    timed = [mute for mute in mutes if not (mute.silenced_by or mute.inhibited_by) or mute.muted_by]
    for said, those in ((_silenced, silenced), (_inhibited, inhibited), (_timed, timed)):
        if those:
            yield f"🔕 {said(view, those)}{_of_firing(view, len(those))}"


def _silenced(view: ThreadView, mutes: Sequence[Mute]) -> str:
    """Name the time at which the first of these alerts is no longer silenced."""
    return silenced_elsewhere(view.words, "", view.clock(min((mute.until for mute in mutes if mute.until), default=0)))


def _inhibited(view: ThreadView, _: Sequence[Mute]) -> str:
    names = [linked_name(each.name or view.words.alert, each.url) for each in view.thread.inhibitors]
    return inhibited_by(view.words, _first(names))


def _timed(view: ThreadView, mutes: Sequence[Mute]) -> str:
    names = list(dict.fromkeys(name for mute in mutes for name in mute.muted_by))
    return muted_by(view.words, _first([literal(name, MAX_NAME) for name in names]), is_one=len(names) == 1)


def _first(names: Sequence[str]) -> str:
    """The first names; the others are counted."""
    more = [f"+{len(names) - _NAMED}"] if len(names) > _NAMED else []
    return BETWEEN_NAMES.join((*names[:_NAMED], *more))


def _under_way(view: ThreadView) -> str:
    commands = view.thread.commands
    if not commands:
        return ""
    words = view.words
    said = words.answer_unsilencing if commands[0].kind is CommandKind.UNSILENCE else words.answer_silencing
    return f"🔕 {said.format(who=view.person(commands[0].by, commands[0].name))}"
