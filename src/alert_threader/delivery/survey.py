"""What is read of all threads while Alertmanager is polled: what fires here, for whom, and what inhibits what."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from alert_threader.alertmanager.model import HeldAlert
from alert_threader.threads import AlertThread, Inhibitor, cluster_of, full_name

#: How many inhibiting alerts are looked up at most.
_MAX_INHIBITORS = 1000
#: How much of a name is kept, in characters.
_MAX_NAME = 200


@dataclass
class Survey:
    """The threads as they are: filled by ``add``, one thread after another."""

    #: The fingerprints of all alerts that fire.
    firing: set[str] = field(default_factory=set)
    #: When the earliest thread of each receiver was opened, by cluster and receiver, in seconds since the epoch.
    receivers: dict[tuple[str, str], float] = field(default_factory=dict)
    #: The receivers of which some notifications do not name all alerts (``max_alerts``).
    truncated: set[str] = field(default_factory=set)
    #: The external URLs in the webhooks of each cluster.
    addresses: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: How many open threads have only muted firing alerts.
    muted: int = 0

    def add(self, thread: AlertThread) -> None:
        """Take in a thread."""
        firing = thread.firing_alerts
        self.firing.update(firing)
        if thread.is_open and all(alert.mute for alert in firing.values()):
            self.muted += 1
        cluster = cluster_of(thread)
        if not cluster or thread.closed_at is not None:
            return
        if thread.external_url:
            self.addresses[cluster].add(thread.external_url)
        if thread.receiver:
            key = (cluster, thread.receiver)
            self.receivers[key] = min(self.receivers.get(key, thread.opened_at), thread.opened_at)
            if thread.truncated:
                self.truncated.add(thread.receiver)


def inhibitors(
    alerts: Mapping[str, HeldAlert], threads: Callable[[], Iterable[AlertThread]], link: Callable[[str, str], str]
) -> dict[str, Inhibitor]:
    """The alerts that inhibit others in a cluster, by fingerprint, with the address of the thread that each is in.

    ``threads`` are only read where there are any; ``link`` makes an address of a channel and a ``ts``.
    """
    wanted = {name for alert in alerts.values() if alert.is_muted for name in alert.inhibited_by}
    wanted = set(sorted(wanted)[:_MAX_INHIBITORS])
    found = {name: Inhibitor(name=_name(alerts.get(name), name)) for name in wanted}
    for thread in threads() if wanted else ():
        for name in wanted & thread.firing_alerts.keys():
            url = link(thread.channel, thread.ts) if thread.ts else ""
            title = full_name(thread.alerts[name]) if len(thread.alerts) > 1 else thread.title
            found[name] = Inhibitor(name=(title or found[name].name)[:_MAX_NAME], url=url)
    return found


def _name(alert: HeldAlert | None, fingerprint: str) -> str:
    labels = alert.labels if alert else {}
    return (labels.get("alertname") or fingerprint)[:_MAX_NAME]
