"""What polling an Alertmanager cluster showed, as the rules need it."""

import re
from collections.abc import Mapping

import msgspec

from alert_threader.alertmanager.model import HeldAlert, KnownSilence
from alert_threader.threads.answers import Inhibitor
from alert_threader.threads.keys import FOLDER
from alert_threader.threads.record import AlertState, AlertThread

#: What Alertmanager calls an alert. Other senders have names of their own.
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster held ``at`` a time (seconds since the epoch): its alerts by fingerprint, its silences by id.

    ``complete`` is whether all of the cluster was seen: only then does a missing alert or silence mean anything.
    ``settled`` is whether all members that answered have been up for a while: only then is an alert without a mute
    known to be unmuted. ``since`` is when the current run of views without a gap began, ``complete_since`` the current
    run of complete ones. ``gone_after`` is how long an alert must be missing until it is over, in seconds;
    ``last_seen`` is when each alert was there last, as far as that is known.

    ``clusters`` are all that are configured. ``by_press`` are the ids of silences of ours by the press that made them,
    ``addresses`` the external URLs of this cluster's webhooks, ``other_addresses`` those of other clusters alone.
    ``inhibitors`` are the alerts that inhibit others. ``is_only_to_locate`` is for a service that does not poll.
    """

    cluster: str
    at: float
    alerts: Mapping[str, HeldAlert]
    silences: Mapping[str, KnownSilence]
    complete: bool = False
    settled: bool = False
    since: float = 0
    complete_since: float = 0
    gone_after: float = 5 * 60
    last_seen: Mapping[str, float] = {}
    clusters: frozenset[str] = frozenset()
    by_press: Mapping[str, tuple[str, ...]] = {}
    addresses: frozenset[str] = frozenset()
    other_addresses: frozenset[str] = frozenset()
    is_only_to_locate: bool = False
    inhibitors: Mapping[str, Inhibitor] = {}


def is_located(alert: AlertState, view: View) -> bool:
    """Whether it is known which of the configured clusters has an alert."""
    return bool(alert.cluster) and (alert.cluster in view.clusters or not view.clusters)


def belongs_to(view: View, thread: AlertThread, fingerprint: str, alert: AlertState) -> bool:
    """Whether a thread's alert is, or was, in the view's cluster.

    An alert that was never seen belongs there if the thread's webhooks come from there, and others of its thread do or
    it may have ended before the first complete view (``AlertState.sought``). Grafana's alerts never belong.
    """
    if is_located(alert, view):
        return alert.cluster == view.cluster
    is_grafana = FOLDER in alert.labels or not {"silence", "panel"}.isdisjoint(alert.links)
    is_alertmanagers = bool(_FINGERPRINT.fullmatch(fingerprint)) and not is_grafana
    is_from_here = thread.external_url in view.addresses and thread.external_url not in view.other_addresses
    may_be_there = alert.sought or any(each.cluster == view.cluster for each in thread.alerts.values())
    return is_from_here and is_alertmanagers and may_be_there
