"""The faults by name, in the order in which they are let loose."""

from collections.abc import Callable
from typing import NamedTuple

from chaos.faults import (
    alertmanager,
    clock,
    disk,
    fuzz,
    kill,
    load,
    network,
    open_files,
    press,
    redis_down,
    replicas,
    rolling,
    slack,
    stalled,
    torn,
)
from chaos.plan import Plan
from chaos.verdict import Verdict


class Fault(NamedTuple):
    """What is done, and the servers that it needs."""

    run: Callable[[Plan], Verdict]
    needs: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """What happens, in a line."""
        return (self.run.__doc__ or "").partition("\n")[0]


FAULTS: dict[str, Fault] = {
    "kill": Fault(kill.kill, ("redis-server",)),
    "slack-down": Fault(slack.slack_down),
    "slack-slow": Fault(slack.slack_slow),
    "slack-late": Fault(slack.slack_late),
    "slack-outage": Fault(slack.slack_outage),
    "slack-429": Fault(slack.slack_429),
    "slack-drop": Fault(slack.slack_drop),
    "slack-garbage": Fault(slack.slack_garbage),
    "resolver": Fault(network.resolver),
    "redirect": Fault(network.redirect),
    "redis-down": Fault(redis_down.redis_down, ("redis-server",)),
    "disk-full": Fault(disk.disk_full),
    "read-only": Fault(disk.read_only),
    "slow-disk": Fault(disk.slow_disk, ("cc",)),
    "torn-file": Fault(torn.torn_file),
    "clock": Fault(clock.clock),
    "open-files": Fault(open_files.open_files),
    "stalled-clients": Fault(stalled.stalled_clients),
    "fuzz": Fault(fuzz.fuzz),
    "load": Fault(load.load),
    "alertmanager": Fault(alertmanager.alertmanager),
    "press": Fault(press.press, ("prometheus-alertmanager",)),
    "replicas": Fault(replicas.replicas, ("redis-server", "prometheus-alertmanager")),
    "rolling": Fault(rolling.rolling, ("redis-server", "prometheus-alertmanager")),
}
