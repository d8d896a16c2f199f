"""What an alert says that its thread does not: the lines below its own, quoted."""

from collections.abc import Mapping

from alert_threader.formatter.facts import Said
from alert_threader.formatter.links import SEPARATOR, own_links
from alert_threader.formatter.mrkdwn import bold, escape, is_cut, joined, literal, prose, truncate, unmarked
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import AlertState, named_by, one_line, short_name

#: What sets off an alert's own texts from its line: Slack shows a bar.
QUOTE = ">"
#: Between two labels on a line.
BETWEEN_LABELS = " | "
#: An alert's own description, each further text of its own, and what one is not begun below, in characters as sent:
#: what the root of one alert shows.
MAX_DESCRIPTION = 1200
MAX_TEXT = 400
_LEAST = 40


def own_texts(view: ThreadView, alert: AlertState, room: int) -> tuple[list[str], int]:
    """What an alert says that its thread does not, in quoted lines, and how many are cut or have no room."""
    said, shared = view.said(alert), view.shared
    links, left = own_links(view, alert, room - len(QUOTE))
    room -= len(links) + len(QUOTE)
    others = {name: text for name, text in said.others.items() if shared.others.get(name) != text}
    lines, unsaid = quoted("" if said.description == shared.description else said.description, others, room)
    room -= sum(len(line) + 1 for line in lines)
    own = own_labels(view, alert)
    labels = [(literal(f"{name}={value}", MAX_TEXT), value) for name, value in own.items()]
    line, unlisted = joined(labels, BETWEEN_LABELS, room - len(QUOTE + SEPARATOR))
    last = SEPARATOR.join(filter(None, (line, links)))
    left += unsaid + unlisted + view.left_out(alert)
    return [*lines, *([f"{QUOTE}{last}"] if last else [])], left


def end_texts(view: ThreadView, alert: AlertState, room: int) -> tuple[list[str], int]:
    """What an alert's end says, where that is not what its firing said, likewise."""
    said = view.ended(alert)
    links = [text for text in (said.runbook, said.dashboard) if text]
    lines, left = quoted(said.description, said.others, room)
    return lines, left + len(links) + alert.ended_left_out


def late_texts(view: ThreadView, alert: AlertState, room: int) -> tuple[list[str], int]:
    """The same of a resolution that came too late for a reply: under a line that says so, with its summary."""
    head = f"{QUOTE}{bold(view.words.late_words)}"
    said = view.ended(alert)
    text = "\n".join(filter(None, (unmarked(said.summary), said.description)))
    links = [text for text in (said.runbook, said.dashboard) if text]
    lines, left = quoted(text, said.others, room - len(head))
    return [head, *lines] if lines else [], left + len(links) + alert.ended_left_out


def count_own(view: ThreadView, alert: AlertState, summary: str, *, is_ending: bool) -> int:
    """How many texts and labels an alert, or its end, has that its thread has not; ``summary`` is for its line."""
    said, shared = (view.ended(alert), Said()) if is_ending else (view.said(alert), view.shared)
    placed = [
        summary if not is_ending or said.summary else "",
        "" if said.description == shared.description else said.description,
        "" if said.runbook == shared.runbook else said.runbook,
        "" if said.dashboard == shared.dashboard else said.dashboard,
    ]
    others = sum(shared.others.get(name) != text for name, text in said.others.items())
    labels = alert.ended_left_out if is_ending else len(own_labels(view, alert)) + view.left_out(alert)
    return len(list(filter(None, placed))) + others + labels


def own_labels(view: ThreadView, alert: AlertState) -> dict[str, str]:
    """The labels of an alert that are not its thread's, nor in its name, those that say most first."""
    shared = view.shared_labels
    own = {
        name: value
        for name, value in alert.labels.items()
        if value and name not in shared and alert.distinct.get(name) != value
    }
    named = short_name(alert)
    if ", " in named:  # it is made of several labels
        said = set(named.split(", "))
        own = {name: value for name, value in own.items() if f"{name}={one_line(value)}" not in said}
    by = [name for name, value in own.items() if named in (one_line(value), f"{name}={one_line(value)}")]
    if by:
        # Only one of several labels with this value is the name.
        del own[by[0] if len(by) == 1 else named_by(alert.labels, by)]
    return own


def quoted(description: str, others: Mapping[str, str], room: int) -> tuple[list[str], int]:
    """A description and further texts by name, in quoted lines, and how many are cut or have no room."""
    texts = [("", _quotable(description))]
    texts += [(f"{bold(f'{heading(name)}:')} ", _quotable(text)) for name, text in others.items()]
    lines: list[str] = []
    left = 0
    for head, text in texts:
        limit = min(room - len(head), MAX_TEXT if head else MAX_DESCRIPTION)
        if not text or limit < min(_LEAST, len(text)):
            left += bool(text)
            continue
        shown = truncate(text, limit)
        left += is_cut(shown, text)
        more = [f"{QUOTE}{line}" for line in f"{head}{shown}".split("\n")]
        room -= sum(len(line) + 1 for line in more)
        lines += more
    return lines, left


def _quotable(text: str) -> str:
    """A text of several lines that can stand in a quote, where a fence would reach beyond it."""
    said = prose(text.replace("```", ""))
    return "\n".join(filter(None, map(str.rstrip, said.split("\n")))) if "\n" in said else said


def heading(name: str) -> str:
    """An annotation's name as a person would write it, escaped: ``current_value`` is "Current value"."""
    words = one_line(name).replace("_", " ").strip() or one_line(name)
    return truncate(escape(words[:1].upper() + words[1:]), 80)
