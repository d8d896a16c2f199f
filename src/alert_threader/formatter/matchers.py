"""The matchers of a link to Alertmanager: what is shown or silenced by it, which is never more than it says."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

from alert_threader.threads import CUT, DEFAULT_KEY_LABELS, ENVIRONMENT_LABELS, of_alert

#: The matchers of an address together, percent-encoded. Past it there is no link, since to leave one of the thread's
#: own out would silence more than the thread.
_MAX_MATCHERS = 800
#: Labels that say how bad and where, and of no alert what: matchers of these alone would silence half the world.
_UNSPECIFIC = frozenset(
    {
        *("severity", "priority", "level", "env", "environment", "cluster", "region", "zone", "datacenter", "dc"),
        *("team", "tenant", "monitor", "prometheus", "prometheus_replica", "replica", "receiver"),
    }
)
#: An older installation kept at most this many labels of an alert.
_FEWEST_CUT = 30
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_OPENING, _BETWEEN, _CLOSING = (quote(part, safe="") for part in ("{", ", ", "}"))


def matchers_of(
    identity: Mapping[str, str],
    labels: Sequence[Mapping[str, str]],
    shared: Mapping[str, str],
    differing: Collection[str] = (),
    *,
    all_known: bool,
) -> str:
    """What matches a thread's alerts and no others, as ``{a="1", b="2"}`` percent-encoded for Alertmanager's pages.

    ``identity`` are the labels that the thread's key was made from, ``labels`` those of its alerts, ``shared`` those
    that all of them have, ``differing`` further ones that only some have, ``all_known`` whether that is said of every
    alert. A label that is part of the key and missing is matched as empty: with it, the alert would be in another
    thread. Empty unless the matchers hold for every alert, contain the identity in full, and say what fails.
    """
    if not identity and not all_known:
        return ""
    chosen = _held(identity, labels, shared, differing) if identity else _of_old(labels, shared)
    if chosen is None:
        return ""
    pieces = {name: _piece(name, value) for name, value in chosen.items()}
    room = _MAX_MATCHERS - _length(pieces)
    for name, value in sorted(shared.items()) if all_known else ():
        if name in pieces or value.endswith(CUT):
            continue
        piece = _piece(name, value)
        if len(piece) + len(_BETWEEN) <= room:
            room -= len(piece) + len(_BETWEEN)
            pieces[name], chosen[name] = piece, value
    return _whole(pieces) if _is_specific(chosen) else ""


def matchers_of_one(labels: Mapping[str, str], identity: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> str:
    """What matches one alert of a thread and none of the others (see ``of_alert``), percent-encoded; empty for none."""
    chosen = of_alert(labels, identity, others)
    if chosen is None or not _is_specific(chosen):
        return ""
    return _whole({name: _piece(name, value) for name, value in chosen.items()})


def _is_specific(labels: Mapping[str, str]) -> bool:
    return any(value and name not in _UNSPECIFIC for name, value in labels.items())


def _held(
    identity: Mapping[str, str],
    labels: Sequence[Mapping[str, str]],
    shared: Mapping[str, str],
    differing: Collection[str],
) -> dict[str, str] | None:
    """The identity, where it holds for all alerts; None where it does not."""
    for name, value in identity.items():
        if value != shared.get(name, ""):
            return None
        if not value and (name in differing or any(each.get(name) for each in labels)):
            return None
    return dict(identity)


def _of_old(labels: Sequence[Mapping[str, str]], shared: Mapping[str, str]) -> dict[str, str] | None:
    """The identity of a thread that was opened by an older installation, which did not keep it; None if unknown."""
    is_whole = all(len(each) < _FEWEST_CUT for each in labels) and not any(v.endswith(CUT) for v in shared.values())
    if not is_whole or "alertname" not in shared:
        return None
    known = {name for each in labels for name in each}
    missing = {name: "" for name in (*DEFAULT_KEY_LABELS, *ENVIRONMENT_LABELS) if name not in known}
    return {**missing, **shared}


@lru_cache(maxsize=2048)  # the messages of a thread match the same labels
def _piece(name: str, value: str) -> str:
    name = name if _LABEL_NAME.fullmatch(name) else _quoted(name)
    return quote(f"{name}={_quoted(value)}", safe="", errors="replace")


def _length(pieces: Mapping[str, str]) -> int:
    return sum(map(len, pieces.values())) + len(_BETWEEN) * (len(pieces) - 1) + len(_OPENING + _CLOSING)


def _whole(pieces: Mapping[str, str]) -> str:
    if not pieces or _length(pieces) > _MAX_MATCHERS:
        return ""
    return f"{_OPENING}{_BETWEEN.join(pieces[name] for name in sorted(pieces))}{_CLOSING}"
