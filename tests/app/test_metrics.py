"""``GET /metrics``, and the id that leads from a webhook to its message."""

import logging
import re
import subprocess
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from alert_threader.service import service_of
from alert_threader.store.database import Database
from harness.servers import program
from slack_sandbox import SandboxServer
from tests.app.conftest import CHANNEL, MakeApp, webhook

Series = dict[tuple[str, ...], float]


def scraped(client: FlaskClient) -> Series:
    """Every series with its value, by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.get_data(as_text=True))
    return {
        (sample.name.removeprefix("alert_threader_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_promtool_finds_nothing_wrong(client: FlaskClient) -> None:
    """Names, types, help and units are as Prometheus wants them."""
    client.post("/alert", json=webhook())
    check = [program("promtool"), "check", "metrics"]
    result = subprocess.run(check, input=client.get("/metrics").get_data(), capture_output=True, check=False)
    assert (result.returncode, result.stderr, result.stdout) == (0, b"", b"")


def test_all_series_from_the_start(client: FlaskClient) -> None:
    """At 0, so that the first failure of a kind is a rise and not the beginning of a series."""
    before = scraped(client)
    assert {value for (name, *_), value in before.items() if name.endswith("_total") and "process" not in name} == {0}
    for kind in ("ok", "rate_limited", "transient", "auth", "destination", "payload", "gone", "unknown_code", "fault"):
        assert before["slack_calls_total", "chat.update", kind] == 0
    client.post("/alert", json=webhook())
    client.post("/alert", json=webhook("resolved"))
    client.post("/alert", data="garbage", content_type="application/json")
    client.post("/alert", data="garbage", content_type="text/plain")
    new = {series for series in set(scraped(client)) - set(before) if not series[0].startswith("process")}
    assert new == set()


def test_what_is_counted(client: FlaskClient) -> None:
    """Webhooks, alerts, what they meant, the calls to Slack, and how long it all took."""
    client.post("/alert", json=webhook("firing", "db01", "db02"))
    client.post("/alert", json=webhook("firing", "db01", "db02"))
    client.post("/alert", json=webhook("firing", "db02", "db03"))
    assert client.post("/alert", data="{", content_type="application/json").status_code == 400
    series = scraped(client)
    assert series["ignored_alerts_total",] == 0
    assert (series["webhooks_total", "200"], series["webhooks_total", "400"]) == (3, 1)
    assert series["webhook_duration_seconds_count",] == 4
    assert (series["alerts_received_total", "firing"], series["alerts_received_total", "resolved"]) == (6, 0)
    assert series["duplicate_alerts_total",] == 3
    assert [series["notifications_total", reason] for reason in ("opened", "duplicate", "fired", "resolved")] == [
        1,
        1,
        1,
        0,
    ]
    assert series["slack_calls_total", "chat.postMessage", "ok"] == 2
    assert series["slack_call_duration_seconds_count", "chat.postMessage"] == 2
    # One for each of the three alerts, not for each message.
    assert series["delivery_delay_seconds_count",] == 3
    assert series["delivery_delay_seconds_sum",] < 3
    assert series["store_operation_duration_seconds_count", "notify"] == 3
    assert series["store_errors_total", "notify"] == 0


def test_what_there_is_now(make_app: MakeApp, sandbox: SandboxServer) -> None:
    """Threads, open and pending ones, and for how long the oldest has been waiting."""
    client = make_app(RESPONSE_WAIT="0").test_client()
    assert scraped(client)["oldest_pending_seconds",] == 0
    client.post("/alert", json=webhook("firing", "db01", service="first"))
    client.post("/alert", json=webhook("firing", "db01", service="second"))
    client.post("/alert", json=webhook("resolved", "db01", service="second"))
    sandbox.workspace.wait_for(lambda: scraped(client)["pending_threads",] == 0)
    series = scraped(client)
    assert (series["threads",], series["open_threads",], series["store_up",]) == (2, 1, 1)

    sandbox.workspace.faults.add("http", status=503)
    client.post("/alert", json=webhook("firing", "db02", service="first"))
    series = scraped(client)
    assert series["pending_threads",] == 1
    assert series["oldest_pending_seconds",] >= 0
    sandbox.workspace.wait_for(lambda: scraped(client)["unknown_outcomes_total",] == 1)
    assert scraped(client)["slack_calls_total", "chat.postMessage", "transient"] >= 1
    sandbox.workspace.faults.clear()
    sandbox.workspace.wait_for(lambda: scraped(client)["outcome_lookups_total", "not_found"] == 1, 10)


def test_rate_limit(make_app: MakeApp, sandbox: SandboxServer) -> None:
    """The seconds that Slack asks for are counted, and so is what we wait to keep it from asking."""
    client = make_app(SLACK_RATE="5", SLACK_BURST="1", RESPONSE_WAIT="0").test_client()
    sandbox.workspace.faults.add("ratelimited", method="chat.postMessage", retry_after=1, count=1)
    for name in ("first", "second", "third"):
        client.post("/alert", json=webhook("firing", "db01", service=name))
    sandbox.workspace.wait_for(lambda: len(sandbox.workspace.roots(CHANNEL)) == 3)
    series = scraped(client)
    assert series["slack_rate_limit_wait_seconds_total", "chat.postMessage"] == 1
    assert 0.1 < series["slack_pacing_wait_seconds_total",] < 2


def test_store_that_is_away(client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a 0 and counted errors, not a scrape that fails."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Database, "write", full)
    assert client.post("/alert", json=webhook()).status_code == 503
    series = scraped(client)
    assert series["store_up",] == 0
    assert series["store_errors_total", "notify"] == 1
    assert series["webhooks_total", "503"] == 1
    assert ("pending_threads",) not in series
    assert tmp_path.exists()


@pytest.mark.parametrize("route", ["/metrics", "/stats"])
def test_protected(make_app: MakeApp, route: str) -> None:
    """With PROTECT_METRICS the token of the webhooks is asked for here too, without it never."""
    client = make_app(WEBHOOK_TOKEN="open-sesame", PROTECT_METRICS="yes").test_client()
    refused = client.get(route)
    assert refused.status_code == 401
    assert "a token is missing" in refused.get_json()["error"]
    assert client.get(route, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(route, headers={"Authorization": "Bearer open-sesame"}).status_code == 200
    assert client.get(route, auth=("prometheus", "open-sesame")).status_code == 200


def test_not_protected_by_default(make_app: MakeApp) -> None:
    """A token for the webhooks alone leaves the figures open."""
    client = make_app(WEBHOOK_TOKEN="open-sesame").test_client()
    assert client.get("/metrics").status_code == client.get("/stats").status_code == 200


def test_an_id_from_webhook_to_message(
    make_app: MakeApp, sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer names it, the webhook's line and the line of the call to Slack hold it, and that names the message."""
    caplog.set_level(logging.INFO)
    client = make_app(RESPONSE_WAIT="0").test_client()
    sandbox.workspace.faults.add("ratelimited", method="chat.postMessage", retry_after=1, count=1)
    client.post("/alert", json=webhook("firing", "db00"))
    told_late = [client.post("/alert", json=webhook("firing", name)) for name in ("db01", "db02")]
    given = client.post("/alert", json=webhook("firing", "db03"), headers={"X-Request-ID": "proxy-77:a"})
    forged = client.post("/alert", json=webhook("firing", "db04"), headers={"X-Request-ID": "two words"})
    ids = [answer.headers["X-Request-ID"] for answer in (*told_late, given, forged)]
    assert ids[2] == "proxy-77:a"
    assert all(re.fullmatch("[0-9a-f]{12}", each) for each in (*ids[:2], ids[3]))
    sandbox.workspace.wait_for(lambda: "db04" in str(sandbox.workspace.messages(CHANNEL)))
    sandbox.workspace.wait_for(lambda: service_of(client.application).store.counts().pending == 0)

    lines = [vars(record) for record in caplog.records]
    for each in ids:
        (received,) = [line for line in lines if line.get("id") == each]
        assert received["key"].startswith("TestCritical|")
        assert received["ms"] >= 0
        calls = [line for line in lines if each in line.get("webhooks", "").split(",")]
        assert calls[-1]["message"] == "chat.postMessage ok"
        assert calls[-1]["key"] == received["key"]
        assert calls[-1]["attempt"] in str(sandbox.workspace.messages(CHANNEL))


def test_alerts_that_cannot_be_read_are_counted(client: FlaskClient) -> None:
    """Only those of a webhook that was stored: another one is counted by its 400."""
    mixed = webhook("firing", "db01")
    mixed["alerts"] += [{"labels": "db02"}, 5]
    assert client.post("/alert", json=mixed).status_code == 200
    assert client.post("/alert", json={"alerts": [5]}).status_code == 400
    assert scraped(client)["ignored_alerts_total",] == 2
