"""What an alert is called in its thread: what failed, and what distinguishes it from every other alert there.

A name has two parts: ``AlertState.name``, the value of the label that says what failed, and ``AlertState.distinct``,
the further labels that distinguish the alert from others of the same name. Both are kept in the record, so that an
alert is called the same from its first message to its last, and when its other labels are kept no longer.
"""

from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from alert_threader.threads.plain import one_line
from alert_threader.threads.record import CUT, MAX_LABELS, AlertState

#: The objects of Kubernetes that an alert can be about, the most telling first.
_OBJECTS = (
    "persistentvolumeclaim",
    "persistentvolume",
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "cronjob",
    "job_name",
    "horizontalpodautoscaler",
    "node",
)
_PLACES = ("host", "hostname", "device", "mountpoint", "target", "domain", "name")
_RULE = "rulename"
_INSTANCE = "instance"
_NAMESPACE = "namespace"
_ALERTNAME = "alertname"
#: A part of what failed: it tells alerts apart beside a name, and is none itself.
_PART = "container"

#: An exporter that speaks of other things than itself or its host: its ``instance`` says nothing of what failed.
_SPEAKS_OF_OTHERS = ("kube-state-metrics", "kube_state_metrics")
#: A side-car of what it measures: its ``pod`` says nothing of it.
_SIDE_CAR = "exporter"
#: Where labels collide, Prometheus keeps the exporter's own and gives those of what it measures this prefix
#: (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config, honor_labels).
EXPORTED = "exported_"
OF_EXPORTER = frozenset({"pod", _INSTANCE, _PART, _NAMESPACE, "job", "service", "endpoint"})

#: Labels that alerts of a thread tend to share: they name an alert only where nothing else tells it apart.
_COMMON = (
    _NAMESPACE,
    "job",
    "service",
    "cluster",
    "grafana_folder",
    _ALERTNAME,
    "severity",
    "env",
    "environment",
    "team",
    "monitor",
    "prometheus",
)
#: Labels that mean nothing to a person: they distinguish alerts only where nothing else does.
_OPAQUE = ("uid", "id", "endpoint", "datasource_uid", "ref_id")

#: The longest name and the longest value beside it, in characters, and how many such values a name has.
_MAX_NAME = 80
_MAX_VALUE = 60
_MAX_DISTINCT = 3
#: How many labels name an alert that has none of the known ones.
_MAX_OTHERS = 3
#: What tells alerts apart whose labels are the same, and how much of it.
_FINGERPRINT = "fingerprint"
_MAX_FINGERPRINT = 12


class _Order(NamedTuple):
    """The labels that say what failed, most telling first, and those that only say which exporter reports it."""

    known: tuple[str, ...]
    of_exporter: frozenset[str]


def name_alerts(
    alerts: MutableMapping[str, AlertState],
    new: Mapping[str, Mapping[str, str]],
    preferred: Sequence[str],
) -> None:
    """Give the new alerts of a thread, their labels by fingerprint, their names; the others keep theirs.

    Another alert's name gets longer only where the same name is needed twice. ``preferred`` are the operator's labels
    (``NAME_LABELS``), which come first. States of other alerts are replaced, never changed.
    """
    preferred = tuple(preferred)
    orders = {fingerprint: _order(labels, preferred) for fingerprint, labels in new.items()}
    by = {each: next((label for label in order.known if new[each].get(label)), "") for each, order in orders.items()}
    unknown = [new[each] for each, label in by.items() if not label]
    otherwise = (_label_in_use(alerts, new, preferred) or _telling(unknown)) if unknown else ""
    for each, order in orders.items():
        alerts[each].name, alerts[each].distinct = _named(new[each], by[each] or otherwise, order), {}
    if len(alerts) > 1:
        _tell_apart(alerts, new, preferred)


def most_telling(labels: Mapping[str, str], count: int) -> dict[str, str]:
    """As many of an alert's labels, the most telling first: what failed and where, then the others."""
    telling = [name for name in (*_order(labels, ()).known, *_COMMON) if name in labels]
    return {name: labels[name] for name in list(dict.fromkeys((*telling, *labels)))[:count]}


def short_name(state: AlertState) -> str:
    """The first part of an alert's name: what failed, else its alertname; empty where it has neither."""
    return state.name or state.labels.get(_ALERTNAME, "")


def named_by(labels: Mapping[str, str], candidates: Collection[str]) -> str:
    """The label that names an alert, of several whose value is its name: the most telling one."""
    order = _order(labels, ())
    return next((label for label in order.known if label in candidates), _by_rank(candidates, order)[0])


def full_name(state: AlertState) -> str:
    """Both parts of an alert's name on one line: ``checkout-0 (container=api)``; empty where nothing names it."""
    distinct = distinct_part(state)
    return f"{short_name(state)} ({distinct})".lstrip() if distinct else short_name(state)


def distinct_part(state: AlertState) -> str:
    """The second part of an alert's name: ``container=api, zone=a``; empty where it has none."""
    return ", ".join(f"{name}={value}" for name, value in state.distinct.items()) if state.distinct else ""


def _order(labels: Mapping[str, str], preferred: tuple[str, ...]) -> _Order:
    """The order of an alert's labels, by the exporter that it comes from."""
    job, pod = labels.get("job", ""), labels.get("pod", "")
    speaks_of_others = _has_word(job) or _has_word(labels.get("service", ""))
    is_own = speaks_of_others and (_has_word(pod) or _has_word(labels.get(_PART, "")))
    return _order_of(
        speaks_of_others=speaks_of_others,
        is_side_car=_SIDE_CAR in job or _SIDE_CAR in pod,
        names_exporter=is_own or has_exported(labels),
        preferred=preferred,
    )


def has_exported(labels: Iterable[str]) -> bool:
    """Whether any of these label names has the prefix ``exported_``."""
    return f" {EXPORTED}" in f" {' '.join(labels)}"


def _has_word(value: str) -> bool:
    return any(word in value for word in _SPEAKS_OF_OTHERS)


@lru_cache(maxsize=64)
def _order_of(*, speaks_of_others: bool, is_side_car: bool, names_exporter: bool, preferred: tuple[str, ...]) -> _Order:
    of_exporter = OF_EXPORTER if names_exporter else frozenset({_INSTANCE} if speaks_of_others else ())
    if is_side_car and not speaks_of_others:
        plain = (_RULE, _INSTANCE, *_PLACES, *_OBJECTS)
    else:
        plain = (_RULE, *_OBJECTS, _INSTANCE, *_PLACES)
    known = [label for name in plain for label in (EXPORTED + name, name) if label not in of_exporter]
    return _Order(tuple(dict.fromkeys((*preferred, *known))), of_exporter)


def _label_in_use(alerts: Mapping[str, AlertState], new: Mapping[str, object], preferred: tuple[str, ...]) -> str:
    """The label that already names alerts without a known one, so that new ones are named alike."""
    for fingerprint, state in alerts.items():
        if fingerprint in new or not state.name or not state.labels:
            continue
        order = _order(state.labels, preferred)
        for label in _by_rank(state.labels, order):
            if label not in order.known and state.name == _shown(label, state.labels[label], order):
                return label
    return ""


def _telling(alerts: Sequence[Mapping[str, str]]) -> str:
    """The first label that distinguishes all of these alerts, else the first that distinguishes some; else empty."""
    if len(alerts) < 2:
        return ""
    partly = ""
    names = {name for labels in alerts for name in labels if name != _PART}
    for label in _by_rank(names, _order(alerts[0], ())):
        values = [labels.get(label, "") for labels in alerts]
        found = len(set(values))
        if found == len(values) and all(values):
            return label
        if found > 1 and not partly:
            partly = label
    return partly


def _named(labels: Mapping[str, str], label: str, order: _Order) -> str:
    """The name of an alert by a label, where it has that; else by several labels."""
    if labels.get(label):
        return _shown(label, labels[label], order)
    last = {*_COMMON, *_OPAQUE, *order.of_exporter}
    if rest := [
        f"{name}={one_line(labels[name])}" for name in _by_rank(labels, order) if labels[name] and name not in last
    ]:
        return _shortened(", ".join(rest[:_MAX_OTHERS]))
    # Of an exporter that speaks of others even the namespace says more than the exporter's own address.
    is_of_others = (
        _INSTANCE in order.of_exporter and _NAMESPACE not in order.of_exporter and bool(labels.get(_INSTANCE))
    )
    last_of_all = (*((_NAMESPACE,) if is_of_others else ()), *_OPAQUE, _INSTANCE)
    label = next((each for each in last_of_all if labels.get(each)), "")
    return _shown(label, labels[label], order) if label else ""


def _shown(label: str, value: str, order: _Order) -> str:
    """A label's value as a name, with the label where the value alone would say too little."""
    speaks_for_itself = label in order.known or label in (_INSTANCE, _ALERTNAME)
    return _shortened(one_line(value) if speaks_for_itself else f"{label}={one_line(value)}")


def _tell_apart(
    alerts: MutableMapping[str, AlertState], new: Mapping[str, Mapping[str, str]], preferred: tuple[str, ...]
) -> None:
    """Add to names that are used more than once what tells their alerts apart; who has a longer name keeps it."""
    names = {short_name(alerts[fingerprint]) for fingerprint in new}
    # As short_name says, without a call for each of thousands of alerts.
    short = [state.name or state.labels.get(_ALERTNAME, "") for state in alerts.values()]
    if len(names) == len(new) and len(set(short)) == len(alerts):
        return
    namesakes: dict[str, list[str]] = {}
    for fingerprint, state in alerts.items():
        if short_name(state) in names:
            namesakes.setdefault(short_name(state), []).append(fingerprint)
    taken = {full_name(state) for fingerprint, state in alerts.items() if fingerprint not in new}
    for same in namesakes.values():
        if len(same) == 1 and (same[0] not in new or alerts[same[0]].name not in taken):
            taken.add(alerts[same[0]].name)
            continue
        compared = [each for each in same if each in new or alerts[each].labels]
        used = dict.fromkeys(name for each in compared for name in alerts[each].distinct)
        known = {each: (new[each], True) if each in new else (alerts[each].labels, False) for each in compared}
        distinct = _distinct(known, used, preferred)
        for fingerprint in compared:
            state = alerts[fingerprint]
            if state.distinct or (fingerprint not in new and not distinct[fingerprint]):
                continue
            longer = msgspec.structs.replace(state, distinct=distinct[fingerprint])
            if full_name(longer) in taken:
                longer.distinct = {**longer.distinct, _FINGERPRINT: fingerprint[:_MAX_FINGERPRINT]}
            taken.add(full_name(longer))
            alerts[fingerprint] = longer


def _distinct(
    known: Mapping[str, tuple[Mapping[str, str], bool]], used: Iterable[str], preferred: tuple[str, ...]
) -> dict[str, dict[str, str]]:
    """The labels, by fingerprint, that tell these alerts apart: one where one does, else as many as it takes.

    ``known`` are their labels, and whether those are whole: of an alert from before, what was cut is not known.
    """
    labels = [each for each, _ in known.values()]
    ranked = _by_rank({name for each in labels for name in each}, _order(labels[0], preferred))
    # Which alert it is says more than where it is.
    names = dict.fromkeys((*used, _ALERTNAME, *ranked))
    values = {name: [_known(name, *each) for each in known.values()] for name in names}
    differing = {name: each for name, each in values.items() if len(set(each) - {None}) > 1}
    chosen = [name for name, each in differing.items() if None not in each and len(set(each)) == len(each)][:1]
    groups = 1
    for name in () if chosen else differing:
        count = len(set(zip(*(differing[each] for each in (*chosen, name)), strict=True)))
        if len(chosen) < _MAX_DISTINCT and count > groups:
            chosen.append(name)
            groups = count
    shown = {name: _excerpts([value or "" for value in differing[name]]) for name in chosen}
    return {
        fingerprint: {name: each[place] for name, each in shown.items() if each[place]}
        for place, fingerprint in enumerate(known)
    }


def _known(name: str, labels: Mapping[str, str], are_whole: bool) -> str | None:
    """A label's value, empty where the alert has no such label; None where that is not known."""
    value = labels.get(name, "")
    is_cut = value.endswith(CUT) if value else len(labels) >= MAX_LABELS
    return one_line(value) if are_whole or not is_cut else None


def _by_rank(names: Iterable[str], order: _Order) -> list[str]:
    """Labels in the order in which they tell alerts apart."""
    rank = {name: place for place, name in enumerate((*order.known, _PART))}

    def key(name: str) -> tuple[int, int, str]:
        if name in order.of_exporter:
            return 4, 0, name
        if name in rank:
            return 0, 0 if name == _PART else rank[name] + 1, name
        if name in _COMMON:
            return 2, _COMMON.index(name), name
        return (3 if name in _OPAQUE else 1), 0, name

    return sorted(names, key=key)


def _shortened(value: str) -> str:
    """A name as far as there is room: of a long address both the host and the end say what failed."""
    end = _MAX_NAME // 3
    return value if len(value) <= _MAX_NAME else f"{value[: _MAX_NAME - end - 1]}{CUT}{value[-end:]}"


def _excerpts(values: Sequence[str]) -> list[str]:
    """The part of each value in which they differ, as far as there is room."""
    if max(map(len, values)) <= _MAX_VALUE:
        return list(values)
    # What the first and the last in sorted order have in common, all have.
    first, last = min(filter(None, values)), max(values)
    common = next((place for place, sign in enumerate(first) if not last.startswith(sign, place)), len(first))
    begin = max(common - _MAX_VALUE // 3, 0)
    ends = [f"{CUT}{value[begin:]}" if begin and value else value for value in values]
    return [end if len(end) <= _MAX_VALUE else end[: _MAX_VALUE - 1] + CUT for end in ends]
