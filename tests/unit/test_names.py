"""What an alert is called in its thread: by what failed, and so that it can be told from every other one there."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_threader.threads import AlertThread, Policy, apply, full_name
from alert_threader.threads.record import MAX_LABEL, MAX_LABELS
from tests.build import NOW, alert, change

#: As kube-state-metrics is scraped by the Prometheus operator: all but the pod is the exporter's own.
KUBE = {
    "alertname": "A",
    "job": "kube-state-metrics",
    "service": "stack-kube-state-metrics",
    "instance": "10.0.0.1:8080",
}
POLICY = Policy()
SIDE_CAR = {"alertname": "A", "job": "mysqld-exporter", "pod": "exporter-5c9"}


def named(
    *notifications: Sequence[Mapping[str, str]],
    policy: Policy = POLICY,
    thread: AlertThread | None = None,
) -> list[str]:
    """The names in a thread after alerts with these labels, in the order in which they came."""
    number = 0
    for labels in notifications:
        alerts = [alert(f"f{number + place}", labels=dict(each)) for place, each in enumerate(labels)]
        number += len(alerts)
        thread = apply(thread, change(*alerts), NOW, policy).thread
    assert thread is not None
    return [full_name(state) for state in thread.alerts.values()]


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({**KUBE, "pod": "shop-0"}, "shop-0"),
        ({**KUBE, "pod": "stack-kube-state-metrics-77", "exported_pod": "shop-0"}, "shop-0"),
        ({**KUBE, "deployment": "shop"}, "shop"),
        ({**KUBE, "job_name": "backup-28012"}, "backup-28012"),
        ({**KUBE, "node": "worker-1"}, "worker-1"),
        ({**KUBE, "persistentvolumeclaim": "data-shop-0", "pod": "x"}, "data-shop-0"),
        (KUBE, "10.0.0.1:8080"),
        ({**KUBE, "poddisruptionbudget": "web", "namespace": "shop", "uid": "7"}, "poddisruptionbudget=web"),
        ({**KUBE, "namespace": "shop"}, "namespace=shop"),
        ({**KUBE, "deployment": "web", "pod": "kube-state-metrics-5c9"}, "web"),
        ({**KUBE, "deployment": "web", "pod": "ksm-0", "exported_namespace": "shop"}, "web"),
        ({**KUBE, "persistentvolume": "pv-1", "phase": "Failed", "container": "kube-state-metrics"}, "pv-1"),
        ({"alertname": "A", "job": "cert-manager", "name": "shop-tls", "issuer_kind": "ClusterIssuer"}, "shop-tls"),
        ({**KUBE, "node": "w3", "pod": "kube-state-metrics-5c9", "condition": "Ready"}, "w3"),
        (
            {"alertname": "A", "job": "blackbox", "pod": "blackbox-exporter-0", "instance": "https://x.test"},
            "https://x.test",
        ),
        ({"alertname": "A", "job": "push", "instance": "p:9091", "pod": "p-0", "exported_instance": "nas1"}, "nas1"),
        ({**SIDE_CAR, "instance": "db01:9104"}, "db01:9104"),
        ({"alertname": "A", "job": "kubelet", "instance": "10.0.0.9:10250", "pod": "shop-0"}, "shop-0"),
        ({"alertname": "A", "job": "node", "instance": "web-1:9100", "device": "sda"}, "web-1:9100"),
        ({"alertname": "DatasourceNoData", "rulename": "Backup age", "ref_id": "A", "instance": "x"}, "Backup age"),
        ({"alertname": "A", "zone": "z", "disk": "d"}, "disk=d, zone=z"),
        ({"alertname": "A", "instance": ""}, "A"),
        ({"alertname": "A", "severity": "critical"}, "A"),
    ],
)
def test_is_what_failed(labels: dict[str, str], name: str) -> None:
    """Of an exporter that speaks of other things it is never the exporter's address, as long as there is another."""
    assert named([labels]) == [name]


@pytest.mark.parametrize(
    ("alerts", "names"),
    [
        # What says most names them, and where that is the same, what differs stands beside it.
        ([{"instance": "h", "device": d} for d in ("sda", "sdb")], ["h (device=sda)", "h (device=sdb)"]),
        ([{"queue": q, "zone": "z"} for q in ("a", "b")], ["queue=a", "queue=b"]),
        # No single one does: the first names them, the next stands beside it.
        (
            [{"instance": i, "device": d} for i, d in (("h1", "sda"), ("h1", "sdb"), ("h2", "sda"))],
            ["h1 (device=sda)", "h1 (device=sdb)", "h2"],
        ),
        (
            [{**KUBE, "pod": "shop-0", "container": c} for c in ("api", "proxy")],
            ["shop-0 (container=api)", "shop-0 (container=proxy)"],
        ),
        (
            [{**KUBE, "pod": p, "container": c} for p, c in (("p", "api"), ("p", "proxy"), ("q", "api"))],
            ["p (container=api)", "p (container=proxy)", "q"],
        ),
        # What is not known to name things stands beside what is, though that is the same for all.
        ([{"host": "h", "cpu": c} for c in ("0", "1")], ["h (cpu=0)", "h (cpu=1)"]),
        (
            [{**KUBE, "deployment": "web", "exported_namespace": n} for n in ("shop", "blog")],
            ["web (exported_namespace=shop)", "web (exported_namespace=blog)"],
        ),
        # Each by what says most for its own exporter.
        (
            [{**KUBE, "pod": "shop-0"}, {**SIDE_CAR, "instance": "db01:9104"}],
            ["shop-0", "db01:9104"],
        ),
        # What is down comes before where it is.
        (
            [{**KUBE, "alertname": a, "pod": "p"} for a in ("A", "B")],
            ["p (alertname=A)", "p (alertname=B)"],
        ),
        # Of alerts that say nothing but where they come from, all are named alike.
        (
            [
                {"job": j, "namespace": n}
                for j, n in (("kube-state-metrics", "m"), ("node-exporter", "m"), ("kubelet", "k"))
            ],
            ["job=kube-state-metrics", "job=node-exporter", "job=kubelet"],
        ),
        # Nothing but what a machine knows them by.
        ([{"instance": "h"}, {"instance": "h"}], ["h", "h (fingerprint=f1)"]),
        ([{}, {}], ["A", "A (fingerprint=f1)"]),
    ],
)
def test_tells_alerts_apart(alerts: list[dict[str, str]], names: list[str]) -> None:
    """Within the thread, not within one message; as short as that can be."""
    assert named([{"alertname": "A", **labels} for labels in alerts]) == names


def test_stays_as_it_is_when_others_join() -> None:
    """Whoever read the name in the first message finds it again in the last."""
    pods = [{**KUBE, "pod": name} for name in ("a", "b", "c")]
    assert named(pods[:1], pods[1:2], pods[2:]) == ["a", "b", "c"]
    hosts = [{"alertname": "A", "instance": "h", "device": device} for device in ("sda", "sdb", "sdc")]
    assert named(hosts[:1], hosts[1:2], hosts[2:]) == ["h (device=sda)", "h (device=sdb)", "h (device=sdc)"]


@pytest.mark.parametrize(
    "alerts",
    [
        [{"host": "h", "cpu": c} for c in ("0", "1")],
        [{**KUBE, "deployment": "web", "exported_namespace": n} for n in ("shop", "blog")],
        [{**KUBE, "pod": p} for p in ("shop-0", "shop-1")],
        [{"alertname": "A"}, {"alertname": "B"}],
        [{"instance": "h", "device": d} for d in ("sda", "sdb")],
        [{"instance": i, "device": d} for i, d in (("h1", "sda"), ("h1", "sdb"), ("h2", "sdc"), ("h3", "sda"))],
        [{"queue": q} for q in ("a", "b")],
    ],
)
def test_is_the_same_together_and_one_by_one(alerts: list[dict[str, str]]) -> None:
    """Nobody can say which webhook an alert comes in."""
    sent = [{"alertname": "A", **labels} for labels in alerts]
    assert named(sent) == named(*([each] for each in sent))


def test_long_names_show_where_they_differ() -> None:
    """At the end, which is kept beside the beginning, or in the middle."""
    begin, end = f"https://shop.test/{'a' * 60}/", f"/{'b' * 60}"
    for places in (("17", "18"), (f"17{end}", f"18{end}")):
        one, other = named([{"alertname": "A", "instance": f"{begin}{place}"} for place in places])
        assert ("/17" in one, "/18" in other) == (True, True)
        assert max(len(one), len(other)) < 160
        assert "fingerprint" not in one + other


def test_what_is_kept_no_longer_does_not_tell_apart() -> None:
    """Of an alert from before only so many labels are known: that one of them is not known is no difference."""
    many = {f"label_{number}": "x" for number in range(MAX_LABELS)}
    sent = [{"alertname": "A", "instance": "h", **many, "zone": zone, "zz": zone} for zone in ("a", "b")]
    assert named(sent) == ["h (zone=a)", "h (zone=b)"]
    assert named(sent[:1], sent[1:]) == ["h", "h (fingerprint=f1)"]
    sent = [{"alertname": "A", "instance": "h", "query": "q" * MAX_LABEL + end, "zz": end} for end in "ab"]
    assert named(sent[:1], sent[1:]) == ["h (zz=a)", "h (zz=b)"]


def test_firing_again_keeps_it() -> None:
    """The same alert is not called otherwise because it came back."""
    pods = [alert(name, labels={**KUBE, "pod": name}) for name in ("a", "b")]
    over = alert("a", "resolved", labels={**KUBE, "pod": "a"})
    thread = None
    for alerts in (pods, [over], pods[:1]):
        thread = apply(thread, change(*alerts), NOW, Policy()).thread
    assert thread is not None
    assert [full_name(state) for state in thread.alerts.values()] == ["a", "b"]


def test_operator_has_the_last_word() -> None:
    """NAME_LABELS comes before all that we know."""
    labels = {**KUBE, "pod": "shop-0", "shard": "7"}
    assert named([labels], policy=Policy(name_labels=("shard",))) == ["7"]


def test_older_installation_named_them_otherwise() -> None:
    """A thread of the first release takes the new names with its next change."""
    pods = [{**KUBE, "pod": name} for name in ("a", "b")]
    thread = apply(None, change(*(alert(each["pod"], labels=each) for each in pods)), NOW, Policy()).thread
    thread.noted_revision = None
    for state in thread.alerts.values():
        state.name = "10.0.0.1:8080"
    assert named([{**KUBE, "pod": "c"}], thread=thread) == ["a", "b", "c"]


_labels = st.dictionaries(
    st.sampled_from(
        ["instance", "pod", "container", "device", "job", "namespace", "zone", "uid", "alertname", "rulename"]
    ),
    st.sampled_from(["a", "b", "kube-state-metrics", "x" * 90 + "1", "x" * 90 + "2", ""]),
)


@given(st.lists(st.lists(_labels, min_size=1, max_size=8), min_size=1, max_size=4))
def test_names_are_unique_whatever_comes(notifications: list[list[dict[str, str]]]) -> None:
    """Of alerts with whatever labels, in whatever order they join."""
    names = named(*notifications)
    assert len(set(names)) == len(names)
