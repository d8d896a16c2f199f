"""Reading Alertmanager's webhook."""

import json
from pathlib import Path
from typing import Any

import pytest

from alert_threader.alertmanager.webhook import Status, fingerprint, parse
from alert_threader.errors import PayloadError

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*[0-9a-z].json"))


def body(**changes: Any) -> bytes:
    """A small webhook, with some of its fields changed."""
    alert = {"labels": {"alertname": "A"}, "annotations": {}, "startsAt": "2026-01-31T12:00:00Z"}
    return json.dumps({"status": "firing", "alerts": [alert], **changes}).encode()


def alert_body(**changes: Any) -> bytes:
    """A small webhook, with some fields of its only alert changed."""
    return body(alerts=[{"labels": {"alertname": "A"}, **changes}])


@pytest.mark.parametrize("path", [p for p in PAYLOADS if ".expected" not in p.name], ids=lambda p: p.stem)
def test_computes_the_fingerprint_alertmanager_sends(path: Path) -> None:
    """A sender without fingerprints ends in the same thread as Alertmanager itself."""
    for alert in json.loads(path.read_text())["alerts"]:
        assert fingerprint(alert["labels"]) == alert["fingerprint"]


def test_needs_only_status_and_alerts() -> None:
    """A hand-written webhook without group key, fingerprint or receiver is understood."""
    notification = parse(body())
    assert notification.status is Status.FIRING
    assert notification.alerts[0].fingerprint == fingerprint({"alertname": "A"})
    assert notification.alerts[0].starts_at == 1769860800
    assert (notification.group_key, notification.receiver, notification.truncated) == ("", "", 0)


def test_own_status_wins_over_the_groups() -> None:
    """Rule 1: in a mixed group each alert has its own status."""
    alerts = [{"labels": {"i": "1"}, "status": "resolved"}, {"labels": {"i": "2"}}]
    notification = parse(body(alerts=alerts))
    assert [alert.status for alert in notification.alerts] == [Status.RESOLVED, Status.FIRING]
    assert notification.status is Status.FIRING


def test_top_level_status_of_a_truncated_group_is_not_believed() -> None:
    """Rule 6: "resolved" may be true of what was left out only, so an alert without a status fires."""
    assert parse(body(status="resolved", truncatedAlerts=3)).alerts[0].status is Status.FIRING


def test_go_zero_time_is_no_time() -> None:
    """Alertmanager sends the year 1 as the end of an alert that has none."""
    assert parse(alert_body(endsAt="0001-01-01T00:00:00Z")).alerts[0].ends_at is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T12:00:00Z", 1769860800.0),
        ("2026-01-31T12:00:00", 1769860800.0),
        ("2026-01-31T14:00:00+02:00", 1769860800.0),
        ("2026-01-31T12:00:00.500000001Z", 1769860800.5),
    ],
)
def test_reads_times_as_senders_write_them(text: str, seconds: float) -> None:
    """Nanoseconds, other zones and a missing zone are all times."""
    assert parse(alert_body(startsAt=text)).alerts[0].starts_at == seconds


def test_null_stands_for_absent() -> None:
    """Some senders write null where Alertmanager leaves a field out."""
    nothing = parse(alert_body(annotations=None, startsAt=None, endsAt=None, generatorURL=None, fingerprint=None))
    assert nothing.alerts[0].annotations == {}
    assert nothing.alerts[0].starts_at is None


def test_keeps_the_links_of_grafana() -> None:
    """Grafana's webhook carries links and measured values of its own."""
    alert = parse(
        alert_body(dashboardURL="https://g/d", panelURL="https://g/p", silenceURL="https://g/s", values={"A": 91.5})
    ).alerts[0]
    assert alert.links == {"dashboard": "https://g/d", "panel": "https://g/p", "silence": "https://g/s"}
    assert alert.values == "A=91.5"


def test_unescapes_the_receivers_dots() -> None:
    r"""Older Alertmanagers send the receiver "web.hook" as "web\.hook"."""
    assert parse(body(receiver="web\\.hook")).receiver == "web.hook"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"{", "the body is not valid JSON"),
        (b"\xff\xfe", "the body is not valid JSON"),
        (b"[" * 100_000, "the body: expected object, got array"),
        (b"null", "the body: expected object, got null"),
        (b"{}", "the body: object missing required field alerts"),
        (body(alerts={}), "alerts: expected array, got object"),
        (body(alerts=[]), "alerts: is empty, expected at least one alert"),
        (body(alerts=[1]), "alerts[0]: expected object, got number"),
        (body(alerts=[1])[:-1], "the body is not valid JSON"),
        (b'{"alerts": [{"labels": {"a": 1, "b": "\xff"}}]}', "alerts[0]: is not valid JSON"),
        (b'{"alerts": [{"labels": 1, "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", "is not valid JSON"),
        (alert_body(labels=[]), "alerts[0].labels: expected object"),
        (alert_body(labels="A"), "alerts[0].labels: expected object, got string"),
        (alert_body(status="burning"), "alerts[0].status: is 'burning', expected firing or resolved"),
        (body(status=None), "alerts[0].status: is missing, expected firing or resolved"),
    ],
)
def test_names_the_place_of_a_fault(bad: bytes, fault: str) -> None:
    """The line says where in the JSON something is wrong and what is expected there."""
    with pytest.raises(PayloadError) as caught:
        parse(bad)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


class TestLenient:
    """What only looks odd is taken: an alert is refused for nothing that is not needed."""

    @pytest.mark.parametrize(
        ("given", "text"),
        [(2, "2"), (2.5, "2.5"), (True, "true"), (["a", 1], '["a",1]'), ({"a": None}, '{"a":null}'), ("2", "2")],
    )
    @pytest.mark.parametrize("field", ["labels", "annotations"])
    def test_labels_and_annotations_are_text(self, field: str, given: object, text: str) -> None:
        """A sender that does not quote its numbers means what it writes."""
        alert = parse(alert_body(**{field: {"alertname": "A", "x": given}})).alerts[0]
        assert getattr(alert, field) == {"alertname": "A", "x": text}

    def test_null_label_is_absent(self) -> None:
        """As it is everywhere else."""
        assert parse(alert_body(labels={"alertname": "A", "x": None, "y": 1})).alerts[0].labels == {
            "alertname": "A",
            "y": "1",
        }

    @pytest.mark.parametrize("given", ["yesterday", "", "Tue, 24 Nov 2026 08:15:42 GMT", "9" * 100, 5, [], {}, True])
    def test_unreadable_time_is_absent(self, given: object) -> None:
        """The alert counts from its arrival."""
        alert = parse(alert_body(startsAt=given, endsAt=given)).alerts[0]
        assert (alert.starts_at, alert.ends_at) == (None, None)

    @pytest.mark.parametrize("odd", ["", "x", 5, -1, 2.5, True, [1], {"a": 1}, {"a": {"b": 1}}])
    def test_other_fields_may_have_any_type(self, odd: object) -> None:
        """One of the wrong type is treated as absent, and costs none of the others."""
        names = ("fingerprint", "generatorURL", "dashboardURL", "panelURL", "silenceURL", "values", "valueString")
        in_group = ("receiver", "groupKey", "groupLabels", "externalURL", "truncatedAlerts", "notification_reason")
        alert = {"labels": {"alertname": "A"}, "annotations": odd, **dict.fromkeys(names, odd)}
        others = {"commonLabels": odd, "commonAnnotations": odd, "version": odd, "title": odd}
        notification = parse(body(alerts=[alert], **dict.fromkeys(in_group, odd), **others))
        assert notification.alerts[0].labels == {"alertname": "A"}
        assert (notification.status, notification.ignored) == (Status.FIRING, ())

    def test_unreadable_alert_costs_itself_only(self) -> None:
        """The others are taken, and it is named."""
        good = {"labels": {"alertname": "A"}}
        alerts = [good, {"labels": "A"}, None, {**good, "status": "burning"}, {"labels": {"alertname": "B", "n": 1}}]
        notification = parse(body(alerts=alerts))
        assert [alert.labels["alertname"] for alert in notification.alerts] == ["A", "B"]
        assert notification.ignored == (
            "alerts[1].labels: expected object, got string",
            "alerts[2]: expected object, got null",
            "alerts[3].status: is 'burning', expected firing or resolved",
        )

    def test_values_as_grafana_8_writes_them(self) -> None:
        """Several of them in one text; its newer form wins."""
        old = "[ var='A' metric='up' labels={instance=app07:9404} value=7.91e+09 ], [ var='B' labels={} value=0 ]"
        assert parse(alert_body(valueString=old)).alerts[0].values == "A=7.91e+09, B=0"
        assert parse(alert_body(valueString=old, values={"C": 1})).alerts[0].values == "C=1"
