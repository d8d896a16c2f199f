"""The demo's incident: three problems, and what happens to them in which order. Data; ``demo`` sends it."""

from dataclasses import dataclass
from urllib.parse import quote

from alert_threader.cli.notification import SentAlert

EXTERNAL_URL = "https://alertmanager.example.com"
GROUP_BY = ("alertname", "cluster", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the alerts of one group have in common. ``{instance}`` in a description is filled in."""

    alertname: str
    severity: str
    service: str
    job: str
    summary: str
    description: str
    expression: str
    dashboard: str

    def alert(self, instance: str, started: float, ended: float | None = None) -> SentAlert:
        """One of its alerts, as Prometheus would describe it. Times are seconds since the epoch."""
        return SentAlert(
            labels={
                "alertname": self.alertname,
                "severity": self.severity,
                "service": self.service,
                "cluster": "eu-west-1",
                "instance": instance,
                "job": self.job,
            },
            annotations={
                "summary": self.summary,
                "description": self.description.format(instance=instance),
                "runbook_url": f"https://runbooks.example.com/{self.alertname}",
                "dashboard_url": f"https://grafana.example.com/d/{self.dashboard}",
            },
            started=started,
            ended=ended,
            generator_url=f"https://prometheus.example.com/graph?g0.expr={quote(self.expression)}&g0.tab=1",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One notification: some instances of a problem begin to fire, others resolve. ``pause`` before it, in seconds."""

    pause: float
    line: str
    problem: Problem
    fires: tuple[str, ...] = ()
    resolves: tuple[str, ...] = ()


DATABASE = Problem(
    alertname="DatabaseUnreachable",
    severity="critical",
    service="orders-db",
    job="mysql-exporter",
    summary="Orders database is unreachable",
    description="All connections have been refused for 2 minutes. Orders cannot be saved.",
    expression='mysql_up{service="orders-db"} == 0',
    dashboard="orders-db",
)
CHECKOUT = Problem(
    alertname="HighErrorRate",
    severity="warning",
    service="checkout",
    job="checkout-api",
    summary="Checkout fails for 12% of customers",
    description="{instance} answers 12% of all requests with 5xx, the limit is 1%.",
    expression='rate(http_requests_total{service="checkout",code=~"5.."}[5m]) > 0.01',
    dashboard="checkout",
)
WORKERS = Problem(
    alertname="AutoscalerAtMaximum",
    severity="info",
    service="order-workers",
    job="kube-state-metrics",
    summary="Order workers run at their maximum of 12",
    description="The queue grows while {instance} cannot add another worker.",
    expression='kube_hpa_status_current_replicas{hpa="order-workers"} >= 12',
    dashboard="order-workers",
)
_DB1, _DB2, _DB3 = (f"db{n:02}.example.com" for n in (1, 2, 3))
_API, _HPA = "checkout-api-7f9c", "order-workers"

INCIDENT = (
    Scene(pause=3, line="A critical alert opens a thread.", problem=DATABASE, fires=(_DB1,)),
    Scene(pause=9, line="Two more databases fail: they join the thread.", problem=DATABASE, fires=(_DB2, _DB3)),
    Scene(pause=8, line="A warning of another service has a thread of its own.", problem=CHECKOUT, fires=(_API,)),
    Scene(pause=6, line="So has an info.", problem=WORKERS, fires=(_HPA,)),
    Scene(pause=10, line="Two databases are back, one still fires.", problem=DATABASE, resolves=(_DB2, _DB3)),
    Scene(pause=9, line="The last one too: the thread turns green.", problem=DATABASE, resolves=(_DB1,)),
    Scene(pause=9, line="It fails again: the same thread is red again.", problem=DATABASE, fires=(_DB1,)),
    Scene(pause=9, line="The checkout recovers.", problem=CHECKOUT, resolves=(_API,)),
    Scene(pause=5, line="The workers catch up.", problem=WORKERS, resolves=(_HPA,)),
    Scene(pause=6, line="The database stays up: everything is green.", problem=DATABASE, resolves=(_DB1,)),
)
