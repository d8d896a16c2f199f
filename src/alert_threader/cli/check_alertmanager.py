"""The part of ``check`` that looks at Alertmanager: each member, and what keeps threads from being closed."""

import time
from collections.abc import Iterator, Sequence

from alert_threader.alertmanager.model import AlertmanagerError, MemberState
from alert_threader.app import login_of
from alert_threader.cli.finding import Finding, Verdict
from alert_threader.delivery.cluster_views import unknown_peers
from alert_threader.formatter import ENGLISH
from alert_threader.formatter.facts import lasting
from alert_threader.settings.settings import Settings

#: A difference between two clocks that nobody needs to know of, in seconds.
_SAME_TIME = 5.0
_SUBJECT = "alertmanager"


def check_alertmanager(settings: Settings) -> Iterator[Finding]:
    """Look at each member of each cluster; nothing is said where none is set."""
    if not settings.alertmanager_url:
        return
    from alert_threader.alertmanager.api import Alertmanager  # noqa: PLC0415 - its HTTP library takes a while to load

    for urls in settings.alertmanager_url:
        asked_at = time.time()
        looked = Alertmanager(urls, login_of(settings)).look()
        answered_at = time.time()
        for each in looked:
            yield _member(each)
        states = [each for each in looked if isinstance(each, MemberState)]
        for state in states:
            yield from _clock(state, asked_at, answered_at)
        # An unknown peer can be the member that did not say its name.
        if settings.reconcile_every and len(states) == len(looked):
            missing, _ = unknown_peers(states)
            yield from (Finding(_SUBJECT, Verdict.WARN, text) for text in missing)
        if settings.reconcile_every and settings.gone_after is not None and states:
            yield from _gone_after(settings.gone_after, states)


def _member(looked: MemberState | AlertmanagerError) -> Finding:
    if isinstance(looked, AlertmanagerError):
        return Finding(_SUBJECT, Verdict.FAIL, str(looked))
    alerts, silences = looked.alerts.values(), looked.silences.values()
    status, peers = looked.cluster_status, len(looked.peers)
    said = f"{looked.host} is version {looked.version or 'unknown'}, "
    said += "in no cluster" if status == "disabled" else f"in a cluster of {peers} (status {status})"
    said += f": {_counted(len(alerts), 'alert')}, {sum(each.is_muted for each in alerts)} of them muted"
    said += f", {_counted(sum(each.holds for each in silences), 'silence')}"
    if looked.knows_its_peers:
        return Finding(_SUBJECT, Verdict.OK, said)
    return Finding(_SUBJECT, Verdict.WARN, f"{said}; nothing is closed until its cluster is ready")


def _clock(state: MemberState, asked_at: float, answered_at: float) -> Iterator[Finding]:
    """Compare its clock with ours, as well as one that tells whole seconds, and answers meanwhile, can be compared."""
    now = answered_at if state.now is None else state.now
    ahead = max(0.0, now - answered_at) - max(0.0, asked_at - now - 1)
    if abs(ahead) > _SAME_TIME:
        where = f"{lasting(abs(ahead), ENGLISH)} {'ahead of' if ahead > 0 else 'behind'} ours"
        text = f"the clock of {state.host} is {where}: it decides when alerts and silences end; synchronize both (NTP)"
        yield Finding(_SUBJECT, Verdict.WARN, text)


def _gone_after(given: float, states: Sequence[MemberState]) -> Iterator[Finding]:
    slowest = max((state.configuration for state in states), key=lambda each: each.slowest_resolution)
    if given < slowest.slowest_resolution:
        interval, needed = lasting(slowest.group_interval, ENGLISH), lasting(slowest.slowest_resolution, ENGLISH)
        said = f"GONE_AFTER is {lasting(given, ENGLISH)}: a resolution can take up to {needed}"
        text = f"{said} (group_interval is {interval}), and its alert counts as gone before"
        yield Finding(_SUBJECT, Verdict.WARN, text)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
