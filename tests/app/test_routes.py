"""The HTTP interface, as its users see it."""

import json
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from alert_threader.service import service_of
from alert_threader.store.database import Database
from alert_threader.store.reading import read_store
from slack_sandbox import SandboxServer
from tests.app.conftest import CHANNEL, MakeApp, webhook

KEY = "TestCritical|critical|database|production|production"


class TestAlert:
    """POST /alert."""

    def test_opens_a_thread_and_answers_its_ts(self, client: FlaskClient, sandbox: SandboxServer) -> None:
        """On a quiet day the answer says where the alert is to be seen."""
        answer = client.post("/alert", json=webhook())
        assert answer.status_code == 200
        root = sandbox.workspace.roots(CHANNEL)[0]
        assert answer.json == {
            "ok": True,
            "count": 1,
            "status": "firing",
            "group_key": "",
            "thread_store": "file",
            "results": [
                {
                    "key": KEY,
                    "thread_ts": root.ts,
                    "status": "firing",
                    "alertname": "TestCritical",
                    "severity": "critical",
                    "delivery": "posted",
                }
            ],
        }
        assert root.color == "#E01E5A"

    def test_resolution_lands_in_the_thread_and_turns_it_green(
        self, client: FlaskClient, sandbox: SandboxServer
    ) -> None:
        """A reply, and the root with its values in green."""
        opened = client.post("/alert", json=webhook()).get_json()["results"][0]
        resolved = client.post("/alert", json=webhook("resolved")).get_json()["results"][0]
        assert (resolved["thread_ts"], resolved["delivery"]) == (opened["thread_ts"], "replied")
        (root,) = sandbox.workspace.roots(CHANNEL)
        assert root.color == "#2EB67D"
        assert "db01 is down" in json.dumps(root.blocks)
        (reply,) = sandbox.workspace.replies(CHANNEL, root.ts)
        assert "RESOLVED" in reply.text

    def test_same_webhook_again_is_unchanged(self, client: FlaskClient, sandbox: SandboxServer) -> None:
        """An HA peer's copy is answered with the thread and tells nothing."""
        client.post("/alert", json=webhook())
        again = client.post("/alert", json=webhook())
        assert again.status_code == 200
        assert again.get_json()["results"][0]["delivery"] == "unchanged"
        assert len(sandbox.workspace.messages(CHANNEL)) == 1

    def test_one_result_for_each_thread(self, client: FlaskClient) -> None:
        """A webhook can concern several; all alerts are counted."""
        payload = webhook("firing", "a", "b")
        payload["alerts"] += webhook("firing", "a", alertname="Other")["alerts"]
        answer = client.post("/alert", json=payload).get_json()
        assert answer["count"] == 3
        assert [result["alertname"] for result in answer["results"]] == ["TestCritical", "Other"]

    def test_channel_in_the_path_is_where_it_goes(self, client: FlaskClient, sandbox: SandboxServer) -> None:
        """With a thread of its own."""
        answer = client.post("/alert/C0DATABASE1", json=webhook()).get_json()
        assert answer["results"][0]["key"] == f"{KEY}@C0DATABASE1"
        assert len(sandbox.workspace.roots("C0DATABASE1")) == 1
        assert sandbox.workspace.roots(CHANNEL) == []

    def test_is_stored_before_it_is_answered(self, make_app: MakeApp, tmp_path: Path) -> None:
        """202: Slack has not heard of it yet, but nothing can lose it."""
        client = make_app(running=False, RESPONSE_WAIT="0").test_client()
        answer = client.post("/alert", json=webhook())
        assert answer.status_code == 202
        result = answer.get_json()["results"][0]
        assert (result["delivery"], result["thread_ts"]) == ("queued", None)
        assert KEY in read_store(tmp_path / "threads.json", CHANNEL, 0).threads

    def test_does_not_wait_when_others_wait_already(self, make_app: MakeApp, sandbox: SandboxServer) -> None:
        """In a storm no thread of the server is held up by Slack."""
        sandbox.workspace.faults.add("hang", seconds=2)
        app = make_app(RESPONSE_WAIT="8s", SLACK_TIMEOUT="5s", GRACEFUL_TIMEOUT="20s")
        codes: list[int] = []

        def send(n: int) -> None:
            codes.append(app.test_client().post("/alert", json=webhook(alertname=f"A{n}")).status_code)

        senders = [threading.Thread(target=send, args=(n,)) for n in range(12)]
        for sender in senders:
            sender.start()
        sandbox.workspace.wait_for(lambda: len(codes) >= 8)
        assert codes == [202] * len(codes)
        sandbox.workspace.faults.clear()
        service_of(app).close(10)
        for sender in senders:
            sender.join()

    @pytest.mark.parametrize("fault", [{"kind": "http", "status": 503}, {"kind": "error", "error": "invalid_auth"}])
    def test_does_not_wait_for_a_slack_that_fails(
        self, make_app: MakeApp, sandbox: SandboxServer, fault: dict[str, Any]
    ) -> None:
        """Every answer says at once that it is stored, the first one too."""
        sandbox.workspace.faults.add(**fault)
        client = make_app(RESPONSE_WAIT="8s").test_client()
        began = time.monotonic()
        for number in range(3):
            assert client.post("/alert", json=webhook(alertname=f"A{number}")).status_code == 202
        assert time.monotonic() - began < 8

    def test_does_not_wait_for_our_own_pace(self, make_app: MakeApp) -> None:
        """A sender that posts one webhook after the other is not held to Slack's pace."""
        client = make_app(RESPONSE_WAIT="8s", SLACK_RATE="0.01", SLACK_BURST="2").test_client()
        began = time.monotonic()
        codes = [client.post("/alert", json=webhook(alertname=f"A{number}")).status_code for number in range(5)]
        assert codes == [200, 200, 202, 202, 202]
        assert time.monotonic() - began < 8

    def test_does_not_wait_when_one_has_waited_in_vain(self, make_app: MakeApp, sandbox: SandboxServer) -> None:
        """While Slack does not answer only the first one is late, and the others say at once that it is stored."""
        sandbox.workspace.faults.add("hang", seconds=3)
        client = make_app(RESPONSE_WAIT="1500ms", SLACK_TIMEOUT="4s", GRACEFUL_TIMEOUT="9s").test_client()
        took = []
        for number in range(3):
            began = time.monotonic()
            assert client.post("/alert", json=webhook(alertname=f"A{number}")).status_code == 202
            took.append(time.monotonic() - began)
        assert took[0] >= 1.5
        assert max(took[1:]) < 1


class TestBadInput:
    """One clear line, nothing stored, never a 500."""

    @pytest.mark.parametrize(
        ("request_", "status", "line"),
        [
            ({"data": "{", "content_type": "application/json"}, 400, "the body is not valid JSON"),
            ({"data": "", "content_type": "application/json"}, 400, "the body is empty"),
            ({"json": {"alerts": [{"labels": 5}]}}, 400, "alerts[0].labels: expected object, got number"),
            ({"json": []}, 400, "the body: expected object, got array"),
            ({"data": "a=b"}, 415, "the content type must be application/json"),
            ({"data": "{}", "content_type": "text/plain"}, 415, "the content type must be application/json"),
            (
                {"path": "/alert/general", "json": webhook()},
                400,
                "invalid channel 'general' in the path: it must be a channel ID",
            ),
            ({"path": "/alert/C0DATABASE1/x", "json": webhook()}, 404, "there is no such route"),
            ({"path": "/alert//C0DATABASE1", "json": webhook()}, 404, "there is no such route"),
            ({"path": "/", "json": webhook()}, 404, "there is no such route"),
            ({"method": "GET"}, 405, "GET is not allowed here: use POST"),
            ({"method": "DELETE", "path": "/health"}, 405, "DELETE is not allowed here: use GET"),
            ({"json": {"alerts": ["x" * 3000]}}, 413, "the body is larger than 2000 bytes"),
        ],
    )
    def test_is_explained(self, make_app: MakeApp, request_: dict[str, Any], status: int, line: str) -> None:
        """As Alertmanager will log it."""
        client = make_app(MAX_BODY="2000").test_client()
        answer = client.open(**{"path": "/alert", "method": "POST", **request_})
        assert answer.status_code == status
        body = answer.get_json()
        assert body["ok"] is False
        assert line in body["error"]
        assert "\n" not in body["error"]
        assert client.get("/cache").get_json()["cached_threads"] == 0

    def test_no_service_is_503(self, make_app: MakeApp) -> None:
        """While it starts or stops, senders are asked to send it again."""
        app = make_app()
        service_of(app).close(5)
        answer = app.test_client().post("/alert", json=webhook())
        assert answer.status_code == 503
        assert "send it again" in answer.get_json()["error"]


class TestToken:
    """WEBHOOK_TOKEN."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer ümlaut"},
            {"Authorization": "Basic %%%"},
        ],
    )
    @pytest.mark.parametrize(("method", "path"), [("POST", "/alert"), ("GET", "/cache"), ("DELETE", "/cache")])
    def test_wrong_or_missing_is_401(self, make_app: MakeApp, headers: dict[str, str], method: str, path: str) -> None:
        """Nothing is stored, shown or forgotten, and the token is not repeated."""
        client = make_app(WEBHOOK_TOKEN="right-token").test_client()
        answer = client.open(path, method=method, json=webhook(), headers=headers)
        assert answer.status_code == 401
        assert "WEBHOOK_TOKEN" in answer.get_json()["error"]
        assert "wrong" not in answer.get_data(as_text=True).replace("the token is wrong", "")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("token", ["right-token", "ab=cd,ef=gh", "abcd==", 'a"b:c\\d', "Bearer"])
    def test_bearer_and_basic_are_taken(self, make_app: MakeApp, token: str) -> None:
        """Alertmanager can send either, with any token that the setting allows."""
        client = make_app(WEBHOOK_TOKEN=token).test_client()
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.post("/alert", json=webhook(), headers=bearer).status_code == 200
        assert client.get("/cache", auth=("alertmanager", token)).status_code == 200
        assert client.get("/health").status_code == 200


class TestHealth:
    """GET /health."""

    def test_healthy(self, client: FlaskClient) -> None:
        """Everything a monitor looks for."""
        client.post("/alert", json=webhook())
        health = client.get("/health")
        assert health.status_code == 200
        body = health.get_json()
        assert (body["status"], body["problems"]) == ("healthy", [])
        assert (body["environment"], body["channel"], body["thread_store"]) == ("production", CHANNEL, "file")
        assert (body["cached_threads"], body["pending"], body["oldest_pending_seconds"]) == (1, 0, 0)
        assert body["slack"]["last_success"]
        assert body["slack"]["last_error"] is None
        assert body["timestamp"].endswith("+00:00")

    def test_degraded_names_the_trouble_and_the_remedy(self, make_app: MakeApp, sandbox: SandboxServer) -> None:
        """Alerts are still stored, so it is 200; it recovers by itself."""
        sandbox.workspace.faults.add("error", method="chat.postMessage", error="is_archived", count=1)
        client = make_app().test_client()
        assert client.post("/alert", json=webhook()).status_code == 202
        body = client.get("/health").get_json()
        assert body["status"] == "degraded"
        assert body["problems"] == [
            f"{CHANNEL}: is_archived: the channel is archived: unarchive it, or send to another"
        ]
        assert (body["slack"]["last_error"]["code"], body["slack"]["last_error"]["method"]) == (
            "is_archived",
            "chat.postMessage",
        )
        assert body["pending"] == 1
        sandbox.workspace.wait_for(lambda: sandbox.workspace.roots(CHANNEL), timeout=10)
        sandbox.workspace.wait_for(lambda: client.get("/health").get_json()["status"] == "healthy")

    def test_token_that_is_revoked_at_night(self, make_app: MakeApp, sandbox: SandboxServer) -> None:
        """It is known without an alert, in /health and for Prometheus; and so is that it is good again."""
        app = make_app(running=False)
        token, client = service_of(app).running.token, app.test_client()
        assert client.get("/health").get_json()["slack"]["token_checked"] is None
        token.check()
        body = client.get("/health").get_json()
        assert (body["status"], body["slack"]["team"], body["slack"]["bot_user"]) == (
            "healthy",
            "Sandbox",
            "alert_threader",
        )
        checked = body["slack"]["token_checked"]
        assert checked.endswith("+00:00")
        sandbox.workspace.faults.add("error", method="auth.test", error="token_revoked", count=1)
        token.check()
        body = client.get("/health").get_json()
        assert (body["status"], body["problems"]) == (
            "degraded",
            ["token: token_revoked: the bot token was revoked: install the app again and set SLACK_BOT_TOKEN"],
        )
        assert "\nalert_threader_slack_token_valid 0.0\n" in client.get("/metrics").text
        token.check()
        assert client.get("/health").get_json()["status"] == "healthy"
        assert "\nalert_threader_slack_token_valid 1.0\n" in client.get("/metrics").text
        assert "\nalert_threader_slack_token_check_timestamp_seconds 0.0\n" not in client.get("/metrics").text

    @pytest.mark.parametrize(
        ("scopes", "said"),
        [
            (("channels:history",), "token: chat:write is missing: nothing can be posted"),
            (("chat:write",), "token: channels:history (for a private channel groups:history) is missing"),
            (("chat:write", "groups:history"), None),
        ],
    )
    def test_scope_that_is_missing(
        self, make_app: MakeApp, sandbox: SandboxServer, scopes: tuple[str, ...], said: str | None
    ) -> None:
        """It is known before an alert needs it; what is not used is not asked for."""
        sandbox.workspace.configure(scopes=scopes)
        client = make_app().test_client()
        sandbox.workspace.wait_for(lambda: client.get("/health").get_json()["slack"]["token_checked"])
        problems = client.get("/health").get_json()["problems"]
        assert [problem for problem in problems if not problem.startswith(said or "-")] == []
        assert len(problems) == (said is not None)

    def test_slack_that_is_not_reached(self, make_app: MakeApp, sandbox: SandboxServer) -> None:
        """Known without an alert when it lasts; no fault of the token, and over when a message gets through."""
        app = make_app()
        token, client = service_of(app).running.token, app.test_client()
        sandbox.workspace.wait_for(lambda: client.get("/health").get_json()["slack"]["token_checked"])
        sandbox.workspace.faults.add("http", method="auth.test", status=503)
        token.check()
        assert client.get("/health").get_json()["status"] == "healthy"
        token.check()
        body = client.get("/health").get_json()
        assert (body["status"], body["problems"]) == (
            "degraded",
            ["Slack is not reached: Slack answers 503: wait for Slack"],
        )
        assert "\nalert_threader_slack_token_valid 1.0\n" in client.get("/metrics").text
        assert client.post("/alert", json=webhook()).status_code == 200
        assert client.get("/health").get_json()["status"] == "healthy"

    def test_unhealthy_when_nothing_can_be_stored(self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The only 503: senders must hold their alerts. The webhook says the same."""

        def full(*_: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        monkeypatch.setattr(Database, "write", full)
        answer = client.post("/alert", json=webhook())
        assert answer.status_code == 503
        health = client.get("/health")
        assert health.status_code == 503
        assert health.get_json()["status"] == "unhealthy"
        for line in (answer.get_json()["error"], health.get_json()["problems"][0]):
            assert "database or disk is full; make room" in line
        monkeypatch.undo()
        assert client.get("/health").get_json()["status"] == "healthy"

    def test_damaged_file_is_named(self, make_app: MakeApp, tmp_path: Path) -> None:
        """For as long as the process lives."""
        (tmp_path / "threads.json").write_text("damaged")
        body = make_app().test_client().get("/health").get_json()
        assert body["status"] == "degraded"
        assert "threads.json.damaged-" in body["problems"][0]


class TestStatsAndCache:
    """GET /stats, GET and DELETE /cache."""

    def test_stats_count_what_happened(self, client: FlaskClient) -> None:
        """Since the start of the process."""
        client.post("/alert", json=webhook())
        client.post("/alert", json=webhook("resolved"))
        stats = client.get("/stats").get_json()
        assert stats["webhooks"]["200"] == 2
        assert stats["alerts_received"] == {"firing": 1, "resolved": 1}
        assert stats["notifications"]["opened"] == stats["notifications"]["resolved"] == 1
        calls = stats["slack_calls"]
        assert (calls["chat.postMessage"]["ok"], calls["chat.update"]["ok"], calls["chat.update"]["gone"]) == (2, 1, 0)
        assert (stats["cached_threads"], stats["thread_store"], stats["environment"]) == (1, "file", "production")
        assert stats["uptime"].startswith("20")
        assert stats["uptime_seconds"] >= 0
        assert set(stats["file"]) == {"path", "database", "size_bytes", "commits"}

    def test_file_whose_name_is_no_text(self, make_app: MakeApp, tmp_path: Path) -> None:
        """A path may hold any bytes."""
        path = tmp_path / os.fsdecode(b"caf\xe9.json")
        answer = make_app(THREAD_STORE_FILE=str(path)).test_client().get("/stats")
        assert (answer.status_code, json.loads(answer.data)["file"]["path"]) == (200, str(path))

    def test_cache_lists_and_forgets(self, client: FlaskClient, sandbox: SandboxServer) -> None:
        """After it the same alert opens a new thread."""
        first = client.post("/alert", json=webhook()).get_json()["results"][0]["thread_ts"]
        assert client.get("/cache").get_json() == {"cached_threads": 1, "threads": {KEY: first}, "thread_store": "file"}
        assert client.delete("/cache").get_json()["forgotten"] == 1
        assert client.get("/cache").get_json()["threads"] == {}
        client.post("/alert", json=webhook())
        assert len(sandbox.workspace.roots(CHANNEL)) == 2

    def test_forgetting_keeps_what_is_to_be_told(self, make_app: MakeApp) -> None:
        """The alert that waits still reaches Slack."""
        client = make_app(running=False, RESPONSE_WAIT="0").test_client()
        client.post("/alert", json=webhook())
        answer = client.delete("/cache").get_json()
        assert (answer["forgotten"], answer["kept"]) == (0, 1)
        assert client.get("/health").get_json()["pending"] == 1


def test_state_is_private(client: FlaskClient, tmp_path: Path) -> None:
    """Nobody else on the machine reads labels or threads."""
    client.post("/alert", json=webhook())
    for name in ("threads.db", "threads.db-wal", "threads.json.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
