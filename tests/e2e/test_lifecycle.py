"""The process: how it starts, refuses to start, reloads, stops, and what it keeps in between."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.service import CHANNEL, CONFIG, TOKEN, Background, Service, wait_for
from harness.story import GREEN, RED, assert_delivered, delivered, root_of
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox.workspace import Workspace

#: How many send at the same time while the service is reloaded.
_SENDERS = 6


def run(service: Service, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run gunicorn to its end with a service's environment and return what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", str(CONFIG), *arguments],
        cwd=service.folder,
        env={**service.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def empty(folder: Path) -> None:
    """Delete every file in a folder."""
    for file in folder.iterdir():
        file.unlink()


# -- starting ---------------------------------------------------------------------------------------------------


def test_wrong_settings(make_service: Callable[..., Service]) -> None:
    """All faults are named in one message, the process ends with 1, and neither a traceback nor a secret is seen."""
    service = make_service(
        SLACK_BOT_TOKEN=f"xoxp{TOKEN.removeprefix('xoxb')}",
        SLACK_CHANNEL="#alerts",
        SLACK_RATE="fast",
        RESPONSE_WAIT="1h",
        THREAD_STORE="mysql",
        BIND_PORT="70000",
        MAX_BODY="",
        SLACK_TIMEOUT="20s",
        GRACEFUL_TIMEOUT="10s",
    )
    ended = run(service)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "never-to-be-seen" not in ended.stdout + ended.stderr
    faults = ["SLACK_BOT_TOKEN: ", "SLACK_CHANNEL: '#alerts'", "SLACK_RATE: 'fast'", "RESPONSE_WAIT: '1h'"]
    faults += ["THREAD_STORE: 'mysql'", "BIND_PORT: '70000'", "GRACEFUL_TIMEOUT: must exceed SLACK_TIMEOUT"]
    lines = ended.stderr.splitlines()
    for fault in faults:
        assert sum(line.startswith(fault) for line in lines) == 1, f"{fault} is not one of:\n{ended.stderr}"
    assert not service.store.parent.exists()


def test_no_settings_at_all(service: Service) -> None:
    """Started with nothing, it says what it needs."""
    ended = run(service, SLACK_BOT_TOKEN="", SLACK_CHANNEL="")
    assert ended.returncode == 1
    assert "SLACK_BOT_TOKEN: is not set" in ended.stderr
    assert "SLACK_CHANNEL: is not set" in ended.stderr


def test_check_config(make_service: Callable[..., Service]) -> None:
    """``gunicorn --check-config`` passes, while the service runs too, and leaves nothing behind."""
    service = make_service()
    assert run(service, "--check-config").returncode == 0
    assert not service.store.exists()
    service.start()
    before = service.store.stat()
    checked = run(service, "--check-config")
    assert checked.returncode == 0, checked.stderr
    assert service.store.stat() == before
    assert service.send(webhook("Unharmed")).status == 200


def test_check_config_finds_faults(make_service: Callable[..., Service]) -> None:
    """``gunicorn --check-config`` fails where a start would."""
    checked = run(make_service(), "--check-config", SLACK_CHANNEL="alerts")
    assert checked.returncode == 1
    assert "SLACK_CHANNEL" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_a_second_process_on_the_same_file(
    service: Service, make_service: Callable[..., Service], workspace: Workspace
) -> None:
    """It is refused with a line that names the file, the owner and the ways out; the first goes on unharmed."""
    assert service.send(webhook("First")).status == 200
    second = run(make_service("second"), THREAD_STORE_FILE=str(service.store))
    said = second.stdout + second.stderr
    assert second.returncode == 1, said
    assert f"{service.store} is in use by process {service.workers[0]}" in said
    assert "THREAD_STORE_FILE" in said
    assert "Traceback" not in said
    assert service.send(webhook("First", {"db01": RESOLVED})).status == 200
    assert_delivered(workspace, CHANNEL, {print_of("First"): [FIRED, RESOLVED]})


def test_a_folder_that_cannot_be_written(make_service: Callable[..., Service]) -> None:
    """A store that cannot be kept is named in one line at the start, with exit code 1."""
    service = make_service()
    (service.folder / "file").write_text("not a folder")
    ended = run(service, THREAD_STORE_FILE=str(service.folder / "file" / "threads.json"))
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "cannot keep threads in" in said
    assert "Traceback" not in said


def test_nothing_but_its_own_files(service: Service) -> None:
    """No control socket, no pid file: a running service has its store and its log, readable to nobody else."""
    assert service.send(webhook("Tidy")).status == 200
    found = {str(file.relative_to(service.folder)) for file in service.folder.rglob("*") if not file.is_dir()}
    store = {"threads.json", "threads.json.lock", "threads.db", "threads.db-wal", "threads.db-shm"}
    # While the readable copy is written, there is a new one.
    assert found - {"store/threads.json.tmp"} == {
        "service.log",
        *(f"store/{name}" for name in store),
    }
    assert all((service.store.parent / name).stat().st_mode & 0o077 == 0 for name in store)


def test_log_lines_are_ours(make_service: Callable[..., Service]) -> None:
    """Every line of the log is one JSON object where that is asked for: gunicorn's too, and through a reload."""
    service = make_service(LOG_FORMAT="json")
    service.start()
    assert service.send(webhook("Logged")).status == 200
    assert service.send(b"{").status == 400
    service.reload()
    wait_for(lambda: service.log.count('"ready"') == 2, 10, lambda: service.log)
    service.stop()
    lines = [json.loads(line) for line in service.log.splitlines()]
    assert {"gunicorn.error", "alert_threader.intake"} <= {line["logger"] for line in lines}
    opened = next(line for line in lines if line["message"] == "webhook opened")
    assert opened["key"] == key("Logged")


# -- answering --------------------------------------------------------------------------------------------------


def test_the_request_of_the_readme(service: Service, workspace: Workspace) -> None:
    """The smallest webhook is answered with the thread's ``ts``; its resolution lands there and the root is green."""
    labels = {
        "alertname": "TestCritical",
        "severity": "critical",
        "service": "database",
        "cluster": "production",
        "instance": "db01.example.com",
    }
    alert = {"labels": labels, "annotations": {"summary": "Database failure"}, "startsAt": "2024-01-15T14:30:25Z"}
    answer = service.send({"status": "firing", "alerts": [alert]})
    assert answer.status == 200
    (root,) = workspace.roots(CHANNEL)
    assert answer.json == {
        "ok": True,
        "count": 1,
        "status": "firing",
        "group_key": "",
        "thread_store": "file",
        "results": [
            {
                "key": "TestCritical|critical|database|production|production",
                "thread_ts": root.ts,
                "status": "firing",
                "alertname": "TestCritical",
                "severity": "critical",
                "delivery": "posted",
            }
        ],
    }
    resolved = service.send({"status": "resolved", "alerts": [alert | {"endsAt": "2024-01-15T14:45:30Z"}]})
    assert resolved.status == 200
    assert resolved.json["results"][0] | {"status": "firing", "delivery": "posted"} == answer.json["results"][0]
    assert resolved.json["results"][0]["delivery"] == "replied"
    service.wait_until_delivered()
    root = root_of(workspace, CHANNEL, answer.json["results"][0]["key"])
    assert root.color == GREEN
    (reply,) = workspace.replies(CHANNEL, root.ts)
    assert reply.color == GREEN
    assert service.get("/cache").json == {
        "cached_threads": 1,
        "threads": {answer.json["results"][0]["key"]: root.ts},
        "thread_store": "file",
    }


def test_a_webhook_token(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """With WEBHOOK_TOKEN only those who send it are let in; ``/health`` is for everybody."""
    service = make_service(WEBHOOK_TOKEN="let-me-in-4711")
    service.start()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"Authorization": "\xff"}):
        answer = service.send(webhook("Closed"), **headers)
        assert answer.status == 401
        assert answer.error
    assert workspace.calls.all(channel=CHANNEL) == []
    assert service.request("DELETE", "/cache").status == 401
    assert service.health["status"] == "healthy"
    assert service.send(webhook("Open"), Authorization="Bearer let-me-in-4711").status == 200


# -- reloading and stopping -------------------------------------------------------------------------------------


def test_reload_under_traffic(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """Two reloads under traffic: each webhook is answered 2xx at the first try, and each change is delivered once."""
    service = make_service(RESPONSE_WAIT="100ms")
    service.start()
    sent: dict[str, list[str]] = {}
    over = False

    def send_on(sender: int) -> int:
        count = 0
        while not over:
            name = f"Traffic{sender}x{count}"
            for state in (FIRED, RESOLVED):
                answer = service.send(webhook(name, {"db01": state}))
                assert answer.ok, f"{answer}\n{service.log}"
            sent[print_of(name)] = [FIRED, RESOLVED]
            count += 1
            time.sleep(0.03)
        return count

    senders = [Background(lambda sender=sender: send_on(sender)) for sender in range(_SENDERS)]  # type: ignore[misc]
    try:
        for reloads in (1, 2):
            time.sleep(0.3)
            workers = service.workers
            service.reload()
            wait_for(lambda: service.log.count(" ready ") == reloads + 1, 15, lambda: service.log)  # noqa: B023
            wait_for(lambda: not set(workers) & set(service.workers), 15, lambda: service.log)  # noqa: B023
        time.sleep(0.3)
    finally:
        over = True
    assert min(sender.finish() for sender in senders) > 3
    service.wait_until_delivered(timeout=30)
    assert_delivered(workspace, CHANNEL, sent, folded=True)


def test_reload_reads_a_rotated_secret(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """A token that was replaced in its file is used after a reload; a reload to wrong settings goes on with the old."""
    service = make_service()
    secret = service.folder.parent / "bot-token"
    secret.write_text("xoxb-revoked\n")
    service.settings |= {"SLACK_BOT_TOKEN": "", "SLACK_BOT_TOKEN_FILE": str(secret)}
    service.start()
    assert service.send(webhook("Rotated")).status == 202
    service.wait_degraded("invalid_auth")
    secret.write_text(TOKEN)
    service.reload()
    service.wait_healthy(timeout=20)
    assert_delivered(workspace, CHANNEL, {print_of("Rotated"): [FIRED]})
    secret.write_text("")
    service.reload()
    wait_for(lambda: service.log.count(" ready ") == 3, 15, lambda: service.log)
    assert "going on with the former settings: SLACK_BOT_TOKEN_FILE: the file is empty" in service.log
    assert service.send(webhook("Rotated", {"db01": RESOLVED})).ok


@pytest.mark.parametrize("kind", ["hang", "hang_after"])
def test_stop_while_slack_hangs(make_service: Callable[..., Service], workspace: Workspace, kind: str) -> None:
    """A stop ends within the graceful timeout while Slack hangs; what was under way is delivered once, later."""
    service = make_service(SLACK_TIMEOUT="1s", GRACEFUL_TIMEOUT="3s", RESPONSE_WAIT="0")
    service.start()
    workspace.faults.add(kind, method="chat.postMessage", seconds=0.9 if kind == "hang" else 20, count=1)
    assert service.send(webhook("Stuck")).status == 202
    workspace.wait_for(lambda: workspace.calls.all("chat.postMessage"))
    assert service.stop(within=4) < 3.5
    workspace.faults.clear()
    service.start()
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("Stuck"): [FIRED]})


def test_stop_ends_waiting_requests(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """Requests that wait for Slack are answered when the service stops."""
    service = make_service(SLACK_TIMEOUT="1s", GRACEFUL_TIMEOUT="5s", RESPONSE_WAIT="2s")
    service.start()
    workspace.faults.add("http", status=503)
    waiting = Background(lambda: service.send(webhook("Waiting")))
    workspace.wait_for(lambda: workspace.calls.all("chat.postMessage"))
    service.stop(within=7)
    assert waiting.finish().ok
    workspace.faults.clear()
    service.start()
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("Waiting"): [FIRED]})


def test_pending_work_is_resumed(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """What could not be delivered before a stop is delivered after the start, without a webhook."""
    service = make_service(RESPONSE_WAIT="0")
    service.start()
    workspace.faults.add("http", status=503)
    for number in range(3):
        assert service.send(webhook(f"Pending{number}")).status == 202
    workspace.wait_for(lambda: workspace.calls.all("chat.postMessage"))
    service.stop()
    assert workspace.messages(CHANNEL) == []
    workspace.faults.clear()
    service.start()
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of(f"Pending{number}"): [FIRED] for number in range(3)})
    assert service.get("/stats").json["webhooks"]["202"] == 0


# -- what is kept -----------------------------------------------------------------------------------------------


def test_a_restart_keeps_threads(service: Service, workspace: Workspace) -> None:
    """After a restart an alert goes on in its thread."""
    first = service.send(webhook("Kept")).json["results"][0]["thread_ts"]
    service.restart()
    second = service.send(webhook("Kept", {"db01": RESOLVED})).json["results"][0]["thread_ts"]
    assert first == second
    service.wait_until_delivered()
    assert root_of(workspace, CHANNEL, key("Kept")).color == GREEN


def test_a_copy_is_a_backup(service: Service, workspace: Workspace, tmp_path: Path) -> None:
    """``cp`` of the file at any time is whole; copied back after a loss, the thread goes on where it was."""
    backup = tmp_path / "backup.json"
    over = False

    def copy_on() -> int:
        copies = 0
        while not over:
            shutil.copyfile(service.store, backup)
            assert json.loads(backup.read_bytes())["version"] == 2
            copies += 1
        return copies

    copying = Background(copy_on)
    try:
        for number in range(10):
            assert service.send(webhook(f"Backup{number}")).status == 200
    finally:
        over = True
    assert copying.finish() > 10
    service.wait_written()
    shutil.copyfile(service.store, backup)
    root = root_of(workspace, CHANNEL, key("Backup3"))

    service.stop()
    empty(service.store.parent)
    service.start()
    assert service.health["cached_threads"] == 0
    service.stop()
    empty(service.store.parent)
    shutil.copyfile(backup, service.store)
    service.start()
    assert service.health["cached_threads"] == 10
    answer = service.send(webhook("Backup3", {"db01": RESOLVED}))
    assert answer.json["results"][0]["thread_ts"] == root.ts
    service.wait_until_delivered()
    assert root_of(workspace, CHANNEL, key("Backup3")).color == GREEN


def test_a_backup_after_a_kill(service: Service, workspace: Workspace, tmp_path: Path) -> None:
    """``cp`` of an earlier file over that of a killed service restores it; the database is set aside, and said.

    A thread that was opened since goes on where it is in Slack.
    """
    first = service.send(webhook("Early")).json["results"][0]["thread_ts"]
    service.wait_until_delivered()
    service.wait_written()
    backup = tmp_path / "backup.json"
    shutil.copyfile(service.store, backup)
    late = service.send(webhook("Late")).json["results"][0]["thread_ts"]
    service.wait_until_delivered()
    service.wait_written()
    assert service.send(webhook("Later")).status == 200
    service.kill()
    shutil.copyfile(backup, service.store)
    service.start()
    assert service.get("/cache").json["threads"] == {key("Early"): first}
    (aside,) = service.store.parent.glob("threads.db.replaced-*")
    service.wait_degraded(str(aside), "is not the service's own copy")
    with contextlib.closing(sqlite3.connect(aside)) as former:
        keys = {each for (each,) in former.execute("SELECT key FROM thread")}
    assert keys == {key("Early"), key("Late"), key("Later")}
    assert service.send(webhook("Early", {"db01": RESOLVED})).json["results"][0]["thread_ts"] == first
    assert service.send(webhook("Late")).json["results"][0]["thread_ts"] == late
    assert service.send(webhook("Later", {"db01": RESOLVED})).status == 200
    service.wait_until_delivered()
    assert root_of(workspace, CHANNEL, key("Later")).color == GREEN
    assert len(workspace.roots(CHANNEL)) == 3


def test_a_kill_before_the_document_is_written(service: Service) -> None:
    """What was answered is in the database, and is there after the restart, without a word."""
    sent = {key(f"Quick{n}"): service.send(webhook(f"Quick{n}")).json["results"][0]["thread_ts"] for n in range(5)}
    service.kill()
    service.start()
    assert service.get("/cache").json["threads"] == sent
    service.wait_healthy()


def test_a_flat_file_of_an_older_installation(make_service: Callable[..., Service], workspace: Workspace) -> None:
    """A file ``{key: ts}`` loads, and its threads go on: the resolution of an old alert lands under its old root."""
    service = make_service()
    service.start()
    root_ts = service.send(webhook("Old")).json["results"][0]["thread_ts"]
    service.stop()
    empty(service.store.parent)
    service.store.write_text(json.dumps({key("Old"): root_ts, key("Other"): "1700000000.000100"}))
    service.start()
    assert service.get("/cache").json["threads"] == {key("Old"): root_ts, key("Other"): "1700000000.000100"}
    assert service.health["status"] == "healthy"
    answer = service.send(webhook("Old", {"db01": RESOLVED}))
    assert answer.json["results"][0]["thread_ts"] == root_ts
    service.wait_until_delivered()
    root = root_of(workspace, CHANNEL, key("Old"))
    assert root.color == GREEN
    assert len(workspace.replies(CHANNEL, root.ts)) == 1
    service.wait_written()
    assert json.loads(service.store.read_bytes())["version"] == 2


@pytest.mark.parametrize("damage", ["no JSON", "cut off", "empty", "one record", "another document"])
@pytest.mark.parametrize("database", ["there", "gone"])
def test_a_damaged_file(service: Service, workspace: Workspace, damage: str, database: str) -> None:
    """A file that cannot be read is kept under another name and spoken of in log and ``/health``; the service runs.

    It costs no thread that the database has, but where the file can be read, and is another one, it is started from.
    """
    assert service.send(webhook("Whole")).status == 200
    assert service.send(webhook("Torn")).status == 200
    service.wait_until_delivered()
    service.stop()
    whole = service.store.read_bytes()
    damaged = {
        "no JSON": b"\0" * 512,
        "cut off": whole[:-20],
        "empty": b"",
        "one record": whole.replace(b'"opened_at":', b'"opened_at":"x","was":', 1),
        "another document": b'["threads"]',
    }[damage]
    if database == "gone":
        empty(service.store.parent)
    service.store.write_bytes(damaged)
    service.start()
    (aside,) = service.store.parent.glob("threads.json.damaged-*")
    assert aside.read_bytes() == damaged
    health = service.wait_degraded(str(aside))
    kept = 2 if database == "there" else 0
    assert health["cached_threads"] == (1 if damage == "one record" else kept)
    assert str(aside) in service.log
    assert service.send(webhook("After")).status == 200
    assert len(workspace.roots(CHANNEL)) == 3


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "empty"])
def test_a_damaged_database(service: Service, workspace: Workspace, damage: str) -> None:
    """A database that cannot be read is kept under another name, and the threads come from the readable copy."""
    first = service.send(webhook("Whole")).json["results"][0]["thread_ts"]
    service.wait_until_delivered()
    service.stop()
    database = service.store.with_name("threads.db")
    whole = database.read_bytes()
    damaged = {"cut off": whole[: len(whole) // 2], "overwritten": b"\0" * len(whole), "empty": b""}[damage]
    database.write_bytes(damaged)
    service.start()
    (aside,) = service.store.parent.glob("threads.db.damaged-*")
    assert aside.read_bytes() == damaged
    service.wait_degraded(str(aside), "is damaged")
    assert str(aside) in service.log
    assert service.send(webhook("Whole", {"db01": RESOLVED})).json["results"][0]["thread_ts"] == first
    assert len(workspace.roots(CHANNEL)) == 1


def test_a_file_of_a_newer_version(make_service: Callable[..., Service]) -> None:
    """A file that a newer version wrote is not touched: the start fails with one line that says so."""
    service = make_service()
    service.store.parent.mkdir()
    content = b'{"version": 99, "threads": {}}'
    service.store.write_bytes(content)
    ended = run(service)
    said = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None)
    assert "was written by a newer version" in said
    assert "Traceback" not in said
    assert service.store.read_bytes() == content


def test_a_full_disk(service: Service, workspace: Workspace) -> None:
    """Where a change cannot be stored, webhook and ``/health`` answer 503 with the reason, and both recover."""
    assert service.send(webhook("Small")).status == 200
    service.wait_until_delivered()
    before = service.stored()
    (worker,) = service.workers
    # The worker's files may not grow: as on a full disk, writing fails in the middle. The log is shorter than that.
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    large = webhook("Large", {f"db{n}": FIRED for n in range(40)}, description="x" * 2900)
    for _ in range(3):
        answer = service.send(large)
        assert answer.status == 503
        assert "cannot keep threads in" in answer.error
    assert service.get("/health").status in (200, 503)
    assert service.stored() == before
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert service.send(large).ok
    service.wait_healthy()
    story = delivered(workspace, CHANNEL)
    assert len(story) == 41
    assert set(map(tuple, story.values())) == {(FIRED,)}


def test_forgetting_keeps_what_is_pending(service: Service, workspace: Workspace) -> None:
    """DELETE /cache forgets what is delivered, and the next alert opens a new thread; what is pending is delivered."""
    assert service.send(webhook("Forgotten")).status == 200
    service.wait_until_delivered()
    workspace.faults.add("http", method="chat.postMessage", status=503, count=1)
    assert service.send(webhook("Pending")).ok
    answer = service.request("DELETE", "/cache")
    assert answer.status == 200
    assert answer.json["ok"] is True
    assert answer.json["forgotten"] >= 1
    service.wait_until_delivered()
    assert service.send(webhook("Forgotten")).status == 200
    service.wait_until_delivered()
    assert delivered(workspace, CHANNEL) == {print_of("Forgotten"): [FIRED, FIRED], print_of("Pending"): [FIRED]}
    assert [root.color for root in workspace.roots(CHANNEL)] == [RED] * 3


def test_a_worker_that_dies_alone(service: Service, workspace: Workspace) -> None:
    """The master replaces a worker that was killed (out of memory, say), and nothing is lost."""
    assert service.send(webhook("Orphan")).status == 200
    (worker,) = service.workers
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: service.workers not in ([], [worker]), 10, lambda: service.log)
    service.send_until_taken(webhook("Orphan", {"db01": RESOLVED}))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of("Orphan"): [FIRED, RESOLVED]})


def test_idle_connections_hold_nobody_up(service: Service) -> None:
    """More idle keep-alive connections than threads do not keep others waiting, nor the service from stopping."""
    idle = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=10) for _ in range(40)]
    with contextlib.ExitStack() as closing:
        for connection in idle:
            closing.callback(connection.close)
            connection.request("GET", "/health")
            assert connection.getresponse().read()
        began = time.monotonic()
        assert service.send(webhook("Among")).status == 200
        assert time.monotonic() - began < 3
        service.stop()
