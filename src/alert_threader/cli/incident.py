"""The demo's incident: three problems, and what happens to them in which order. Data; ``demo`` sends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from alert_threader.cli.notification import SentAlert

EXTERNAL_URL = "https://alertmanager.example.com"
GROUP_BY = ("alertname", "cluster", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the alerts of one group have in common. ``{target}`` in a text is what fails, which ``label`` names."""

    alertname: str
    severity: str
    labels: Mapping[str, str]
    label: str
    summary: str
    description: str
    runbook: str
    expression: str
    dashboard: str
    #: What else an alert carries, by what fails.
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def alert(self, target: str, started: float, ended: float | None = None) -> SentAlert:
        """One of its alerts, as Prometheus would describe it. Times are seconds since the epoch."""
        labels = {
            "alertname": self.alertname,
            "severity": self.severity,
            "cluster": "eu-west-1",
            **self.labels,
            **self.own.get(target, {}),
            self.label: target,
        }
        return SentAlert(
            labels=labels,
            annotations={
                "summary": self.summary,
                "description": self.description.format(target=target, **labels),
                "runbook_url": self.runbook.format(**labels),
                "dashboard_url": f"https://grafana.example.com/d/{self.dashboard}",
            },
            started=started,
            ended=ended,
            generator_url=f"https://prometheus.example.com/graph?g0.expr={quote(self.expression)}&g0.tab=1",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """Somebody presses a button, or chooses an option of a menu."""

    user: str
    action: str
    option: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One notification: some alerts of a problem begin to fire, others resolve. ``pause`` before it, in seconds.

    Or somebody presses a button on the problem's message.
    """

    pause: float
    line: str
    problem: Problem
    fires: tuple[str, ...] = ()
    resolves: tuple[str, ...] = ()
    press: Pressed | None = None


#: kube-state-metrics speaks of pods; ``instance``, ``job`` and ``service`` are its own.
_ORDERS, _PAYMENT, _LEDGER = "orders-6d4b9c7f5-x2k4q", "payment-7c9f5d8b6-p9m1z", "ledger-0"
PODS = Problem(
    alertname="KubePodCrashLooping",
    severity="P1",
    labels={
        "service": "kube-state-metrics",
        "job": "kube-state-metrics",
        "instance": "10.60.3.41:8080",
        "namespace": "shop",
    },
    label="pod",
    summary="Pods of the shop crash again and again",
    description="{target} ({container}) has been restarted 9 times within 10 minutes.",
    runbook="https://runbooks.example.com/{container}",
    expression='kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1',
    dashboard="shop-pods",
    own={_ORDERS: {"container": "orders"}, _PAYMENT: {"container": "payment"}, _LEDGER: {"container": "postgres"}},
)
CHECKOUT = Problem(
    alertname="HighErrorRate",
    severity="warning",
    labels={"service": "checkout", "job": "checkout-api"},
    label="instance",
    summary="Checkout fails for 12% of customers",
    description="{target} answers 12% of all requests with 5xx, the limit is 1%.",
    runbook="https://runbooks.example.com/checkout",
    expression='rate(http_requests_total{service="checkout",code=~"5.."}[5m]) > 0.01',
    dashboard="checkout",
)
WORKERS = Problem(
    alertname="AutoscalerAtMaximum",
    severity="info",
    labels={"service": "order-workers", "job": "kube-state-metrics"},
    label="horizontalpodautoscaler",
    summary="Order workers run at their maximum of 12",
    description="The queue grows while {target} cannot add another worker.",
    runbook="https://runbooks.example.com/workers",
    expression='kube_hpa_status_current_replicas{hpa="order-workers"} >= 12',
    dashboard="order-workers",
)
_API, _HPA = "checkout-api-7f9c", "order-workers"

INCIDENT = (
    Scene(pause=3, line="A critical alert (P1) opens a thread.", problem=PODS, fires=(_ORDERS,)),
    Scene(pause=9, line="Two more pods join, each with its runbook.", problem=PODS, fires=(_PAYMENT, _LEDGER)),
    Scene(pause=8, line="A warning of another service has a thread of its own.", problem=CHECKOUT, fires=(_API,)),
    Scene(pause=6, line="So has an info.", problem=WORKERS, fires=(_HPA,)),
    Scene(pause=10, line="Two pods are back, one still fires.", problem=PODS, resolves=(_PAYMENT, _LEDGER)),
    Scene(pause=9, line="The last one too: the thread turns green.", problem=PODS, resolves=(_ORDERS,)),
    Scene(pause=9, line="It crashes again: the same thread is red again.", problem=PODS, fires=(_ORDERS,)),
    Scene(pause=7, line="Kim acknowledges it.", problem=PODS, press=Pressed(user="U0KIM", action="acknowledge")),
    Scene(
        pause=6,
        line="Lee silences it in Alertmanager for an hour.",
        problem=PODS,
        press=Pressed(user="U0LEE", action="silence", option="1h"),
    ),
    Scene(pause=7, line="The checkout recovers.", problem=CHECKOUT, resolves=(_API,)),
    Scene(pause=5, line="The workers catch up.", problem=WORKERS, resolves=(_HPA,)),
    Scene(pause=6, line="Lee ends the silence.", problem=PODS, press=Pressed(user="U0LEE", action="unsilence")),
    Scene(pause=6, line="The pod stays up: everything is green.", problem=PODS, resolves=(_ORDERS,)),
)
