"""The labels that all alerts of a thread share: those that have a field, and the line of the others."""

from typing import NamedTuple

from alert_threader.formatter.listing import more_texts
from alert_threader.formatter.mrkdwn import MAX_FIELDS, bold, is_cut, joined, literal
from alert_threader.formatter.own_texts import BETWEEN_LABELS
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import ENVIRONMENT_LABELS, EXPORTED, FOLDER, OF_EXPORTER, RULE, has_exported, one_line

#: A field, a label on the line, and the whole line, in characters as sent.
_FIELD = 150
_LABEL = 80
_LABELS = 300

#: The labels that have a field of their own, most telling first, with the word for each.
_FIELD_LABELS = {
    RULE: "rule",
    "service": "service",
    "cluster": "cluster",
    "instance": "instance",
    "job": "job",
    "namespace": "namespace",
    "pod": "pod",
    "node": "node",
    "team": "team",
    FOLDER: "folder",
}


class Fields(NamedTuple):
    """The fields of a message, the labels that they show, and how many of them are cut."""

    lines: list[str]
    labels: set[str]
    cut: int


def fields_of(view: ThreadView) -> Fields:
    """The fields of a thread, most telling first."""
    words, labels = view.words, view.shared_labels
    known = [
        (words.severity, view.severities.label, view.shared_severity),
        (words.environment, "", view.environment),
    ]
    is_of_exporter = has_exported(view.label_names)
    for plain, word in _FIELD_LABELS.items():
        # The fields show what the exporter measures, not where the exporter itself runs.
        name = EXPORTED + plain if is_of_exporter and plain in OF_EXPORTER else plain
        known.append((getattr(words, word), name, labels.get(name, "")))
    given = [field for field in known if field[2] and not field[2].isspace()][:MAX_FIELDS]
    shown = [literal(value, _FIELD) for _, _, value in given]
    return Fields(
        lines=[f"{bold(f'{word}:')} {value}" for (word, _, _), value in zip(given, shown, strict=True)],
        labels={name for _, name, _ in given},
        cut=sum(is_cut(value, field[2]) for value, field in zip(shown, given, strict=True)),
    )


def labels_line(view: ThreadView, fields: Fields, unlinked: int) -> list[str]:
    """The labels that all alerts share and no field shows, on one line as far as there is room; the rest is counted.

    ``unlinked`` is how many links were cut or left out.
    """
    shared = dict(view.shared_labels)
    said = [(name, shared.pop(name)) for name in ENVIRONMENT_LABELS if shared.get(name)]
    if not said and view.environment:
        said.append(("env", view.environment))
    said.append(("alertname", shared.pop("alertname", "")))
    telling = [name for name in (*view.thread.identity, *shared) if name in shared and name not in fields.labels]
    said += [(name, shared[name]) for name in dict.fromkeys(telling)]
    said = [(name, value) for name, value in said if one_line(value)]
    parts = [(literal(f"{name}={value}", _LABEL), value) for name, value in said]
    line, left = joined(parts, BETWEEN_LABELS, _LABELS)
    left += fields.cut + unlinked
    left += view.left_out(view.alerts[0]) if view.total == 1 and view.alerts else 0
    return [*([line] if line else []), *more_texts(view, left)]
