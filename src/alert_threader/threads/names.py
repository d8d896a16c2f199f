"""What an alert is called in its thread: by what failed, so that it can be told from every other alert there.

A name has two parts: ``AlertState.name``, the value of the label that says what failed, and ``AlertState.distinct``,
the further labels that it takes to tell the alert from others of the same name. Both are kept in the record, so that an
alert is called the same from its first message to its last, and when its other labels are kept no longer.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

import msgspec

from alert_threader.threads.record import AlertState

#: The objects of Kubernetes that an alert can be about, the most telling first.
_OBJECTS = (
    "persistentvolumeclaim",
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "horizontalpodautoscaler",
    "node",
)
#: A scrape that keeps its own labels moves those of what it measures to these
#: (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config, honor_labels).
_EXPORTED = "exported_"
#: A part of what failed: it tells alerts apart beside a name, and is none itself.
_PART = "container"
_OBJECT_LABELS = tuple(name for label in _OBJECTS for name in (_EXPORTED + label, label))
_PLACES = ("host", "hostname", "device", "mountpoint", "target", "domain")
_RULE = "rulename"
_INSTANCE = "instance"

#: An exporter that speaks of other things than itself or its host: its ``instance`` says nothing of what failed.
_SPEAKS_OF_OTHERS = ("kube-state-metrics", "kube_state_metrics")
#: A side-car of what it measures: its ``pod`` says nothing of it.
_SIDE_CAR = "exporter"

#: Labels that alerts of a thread tend to share: they name an alert only where nothing else tells it apart.
_COMMON = (
    "namespace",
    "job",
    "service",
    "cluster",
    "grafana_folder",
    "alertname",
    "severity",
    "env",
    "environment",
    "team",
    "monitor",
    "prometheus",
)
#: Known to nobody but a machine: they tell alerts apart last of all.
_OPAQUE = ("uid", "id", "endpoint", "datasource_uid", "ref_id")

#: The longest name, value beside a name, and number of such values.
_MAX_NAME = 80
_MAX_VALUE = 60
_MAX_DISTINCT = 3
#: The names of a message close together, in characters, and what stands between two; how many alerts of it have a line
#: of their own at least; and how many more messages name those that have no room.
_MAX_NAMES = 2000
BETWEEN_NAMES = ", "
_MAX_LINES = 8
_MAX_MORE_MESSAGES = 3
#: How many labels name an alert that has none of the known ones.
_MAX_OTHERS = 3
#: What tells alerts apart whose labels are the same, and how much of it.
_FINGERPRINT = "fingerprint"
_MAX_FINGERPRINT = 12


def name_alerts(
    alerts: MutableMapping[str, AlertState],
    new: Mapping[str, Mapping[str, str]],
    preferred: Sequence[str],
) -> None:
    """Give the new alerts of a thread, their labels by fingerprint, their names; the others keep theirs.

    Another alert's name gets longer only where the same name is needed twice. ``preferred`` are the operator's labels
    (``NAME_LABELS``), which come first. The states of new alerts are changed, others are replaced.
    """
    settled = [state for fingerprint, state in alerts.items() if state.labels and fingerprint not in new]
    order = _order(next(iter(new.values()), {}), preferred)
    label = _label_in_use(settled, order) or _telling(list(new.values()), order)
    for fingerprint, labels in new.items():
        alerts[fingerprint].name, alerts[fingerprint].distinct = _named(labels, label, order), {}
    if len(alerts) > 1:
        _tell_apart(alerts, new, order)


def most_telling(labels: Mapping[str, str], count: int) -> dict[str, str]:
    """As many of an alert's labels, those that say most of it: what failed and where, then the others."""
    telling = [name for name in (*_order(labels, ()), *_COMMON) if name in labels]
    return {name: labels[name] for name in list(dict.fromkeys((*telling, *labels)))[:count]}


def full_name(state: AlertState) -> str:
    """Both parts of an alert's name on one line: ``checkout-0 (container=api)``; empty where nothing names it."""
    told = ", ".join(f"{name}={value}" for name, value in state.distinct.items())
    return f"{state.name} ({told})".lstrip() if told else state.name


def fitting(alerts: Sequence[AlertState]) -> int:
    """How many alerts, the first ones first, one message can name close together."""
    room = _MAX_NAMES
    for count, state in enumerate(alerts):
        room -= len(full_name(state)) + len(BETWEEN_NAMES)
        if room < 0:
            return count
    return len(alerts)


def beyond_one_message(fingerprints: Sequence[str], alerts: Mapping[str, AlertState]) -> tuple[str, ...]:
    """The alerts of a message that it has no room to name, as far as a few more messages have it."""
    rest = [each for each in fingerprints[_MAX_LINES:] if each in alerts]
    begin = end = fitting([alerts[each] for each in rest])
    for _ in range(_MAX_MORE_MESSAGES):
        end += fitting([alerts[each] for each in rest[end:]])
    return tuple(rest[begin:end])


def _order(labels: Mapping[str, str], preferred: Sequence[str]) -> tuple[str, ...]:
    """The labels that say what failed, most telling first, for an alert from such an exporter."""
    job, service = labels.get("job", ""), labels.get("service", "")
    if any(word in each for each in (job, service) for word in _SPEAKS_OF_OTHERS):
        order = (_RULE, *_OBJECT_LABELS, *_PLACES, _INSTANCE)
    elif _SIDE_CAR in job:
        order = (_RULE, _INSTANCE, *_PLACES, *_OBJECT_LABELS)
    else:
        order = (_RULE, *_OBJECT_LABELS, _INSTANCE, *_PLACES)
    return tuple(dict.fromkeys((*preferred, *order)))


def _label_in_use(settled: Sequence[AlertState], order: Sequence[str]) -> str:
    """The label that the thread's alerts are named by already, so that the next ones are named alike."""
    for state in settled:
        for label in (*order, *state.labels):
            if state.labels.get(label) and state.name == _shown(label, state.labels[label], order):
                return label
    return ""


def _telling(alerts: Sequence[Mapping[str, str]], order: Sequence[str]) -> str:
    """The first label that tells all of these alerts apart; else the first that tells some apart; empty for none."""
    partly = ""
    for label in _candidates(alerts, order):
        values = [labels.get(label, "") for labels in alerts]
        found = len(set(values))
        if found == len(values) and all(values):
            return label
        if found > 1 and not partly:
            partly = label
    return partly


def _candidates(alerts: Sequence[Mapping[str, str]], order: Sequence[str]) -> Iterator[str]:
    """The labels that could name these alerts, most telling first; for one alert alone the known ones."""
    yield from order
    if len(alerts) > 1:
        others = dict.fromkeys(name for labels in alerts for name in labels if name not in order and name != _PART)
        yield from _by_rank(others, order)


def _named(labels: Mapping[str, str], label: str, order: Sequence[str]) -> str:
    label = label if labels.get(label) else next((each for each in order if labels.get(each)), "")
    if label:
        return _shown(label, labels[label], order)
    rest = [f"{name}={labels[name]}" for name in _by_rank(labels, order) if labels[name] and name not in _COMMON]
    return _cut(", ".join(rest[:_MAX_OTHERS]), _MAX_NAME)


def _shown(label: str, value: str, order: Sequence[str]) -> str:
    """A label's value as a name, with the label where the value alone would say too little."""
    return _cut(value if label in order else f"{label}={value}", _MAX_NAME)


def _tell_apart(
    alerts: MutableMapping[str, AlertState], new: Mapping[str, Mapping[str, str]], order: Sequence[str]
) -> None:
    """Add to names that are used more than once what tells their alerts apart; who has a longer name keeps it."""
    names = {alerts[fingerprint].name for fingerprint in new}
    if len(names) == len(new) and len(names.union(state.name for state in alerts.values())) == len(alerts):
        return
    namesakes: dict[str, list[str]] = {}
    for fingerprint, state in alerts.items():
        if state.name in names:
            namesakes.setdefault(state.name, []).append(fingerprint)
    taken = {full_name(state) for fingerprint, state in alerts.items() if fingerprint not in new}
    for same in namesakes.values():
        if len(same) == 1 and (same[0] not in new or alerts[same[0]].name not in taken):
            taken.add(alerts[same[0]].name)
            continue
        compared = [each for each in same if each in new or alerts[each].labels]
        used = dict.fromkeys(name for each in compared for name in alerts[each].distinct)
        told = _told_apart({each: new.get(each) or alerts[each].labels for each in compared}, used, order)
        for fingerprint in compared:
            state = alerts[fingerprint]
            if state.distinct or (fingerprint not in new and not told[fingerprint]):
                continue
            longer = msgspec.structs.replace(state, distinct=told[fingerprint])
            if full_name(longer) in taken:
                longer.distinct = {**longer.distinct, _FINGERPRINT: fingerprint[:_MAX_FINGERPRINT]}
            taken.add(full_name(longer))
            alerts[fingerprint] = longer


def _told_apart(
    alerts: Mapping[str, Mapping[str, str]], used: Iterable[str], order: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The labels, by fingerprint, that tell these alerts apart: one where one does, else as many as it takes."""
    labels = list(alerts.values())
    names = [*used, *_by_rank(dict.fromkeys(name for each in labels for name in each), order)]
    differing = [name for name in dict.fromkeys(names) if len({each.get(name) for each in labels}) > 1]

    def parts(chosen: Sequence[str]) -> list[dict[str, str]]:
        return [{name: _cut(each[name], _MAX_VALUE) for name in chosen if each.get(name)} for each in labels]

    def groups(chosen: Sequence[str]) -> int:
        return len({tuple(part.items()) for part in parts(chosen)})

    chosen = [name for name in differing if groups([name]) == len(labels)][:1]
    for name in () if chosen else differing:
        if len(chosen) < _MAX_DISTINCT and groups([*chosen, name]) > groups(chosen):
            chosen.append(name)
    return dict(zip(alerts, parts(chosen), strict=True))


def _by_rank(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Labels in the order in which they tell alerts apart."""
    rank = {name: place for place, name in enumerate((_PART, *order))}

    def key(name: str) -> tuple[int, int, str]:
        if name in rank:
            return 0, rank[name], name
        if name in _COMMON:
            return 2, _COMMON.index(name), name
        return (3 if name in _OPAQUE else 1), 0, name

    return sorted(names, key=key)


def _cut(value: str, length: int) -> str:
    return value if len(value) <= length else value[: length - 1] + "…"
