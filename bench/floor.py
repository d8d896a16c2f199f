"""The floor: what the promise costs with this project's parts, and nothing around them. Nobody could run it.

A webhook is read, applied to its thread and committed before it is answered, as with the file store: in SQLite, with
each commit synced, and shared by those who come during one. Where its thread is to be delivered, another thread commits
the attempt first and then posts the message. There is no plan for what else is due, no lease, pacing, retry, look-up,
log or metric, and no readable copy: what lies between the floor and the service is what those cost.
"""

import os
import queue
import sqlite3
import threading
import time
import uuid
from pathlib import Path

from flask import Flask, Response, jsonify, request

from alert_threader.alertmanager import webhook
from alert_threader.formatter import render
from alert_threader.slack.client import Slack
from alert_threader.store.commits import Commits
from alert_threader.threads import AlertThread, Identity, Policy, apply, changes, start_attempt
from alert_threader.threads.schema import decode, encode

#: The variable that makes it deliver; without it, it only accepts.
DELIVERS = "FLOOR_DELIVERS"


class Floor:
    """Threads as encoded records, in memory and in a database."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        """Take the database's folder, and what keys are made of."""
        self._identity = identity
        self._policy = Policy()
        self._records: dict[str, bytes] = {}
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE thread (key TEXT PRIMARY KEY, record BLOB NOT NULL)")
        self._commits: Commits[dict[str, bytes]] = Commits(dict, self._write)

    def accept(self, body: bytes) -> list[AlertThread]:
        """Store a webhook durably; return its threads."""
        found = changes(webhook.parse(body), self._identity, None, uuid.uuid4().hex)

        def work(staged: dict[str, bytes]) -> list[AlertThread]:
            threads = []
            for change in found:
                record = staged.get(change.key) or self._records.get(change.key)
                before = None if record is None else decode(record)
                thread = apply(before, change, time.time(), self._policy).thread
                if thread is not before:
                    staged[change.key] = encode(thread)
                threads.append(thread)
            return threads

        return self._commits.commit(work)

    def deliver(self, thread: AlertThread, slack: Slack) -> None:
        """Post a thread's root, after its attempt is stored."""
        started, step = start_attempt(thread, uuid.uuid4().hex, time.time(), self._policy)
        attempt = started.attempt
        assert step is not None  # all that it ever delivers is an opening
        assert attempt is not None
        self._commits.commit(lambda staged: staged.update({started.key: encode(started)}))
        environment = self._identity.environment
        message = render(started, step, attempt.batch, environment=environment, attempt_id=attempt.id)
        slack.post(started.channel, message)

    def _write(self, staged: dict[str, bytes]) -> None:
        if staged:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO thread VALUES (?, ?)", staged.items())
            self._database.execute("COMMIT")
            self._records.update(staged)


def app() -> Flask:
    """The WSGI application."""
    made = Flask("bench.floor")
    environ = os.environ
    identity = Identity(environment=environ["ENVIRONMENT"], channel=environ["SLACK_CHANNEL"])
    floor = Floor(Path(environ["THREAD_STORE_FILE"]).parent, identity)
    slack = Slack(environ["SLACK_BOT_TOKEN"], environ["SLACK_API_URL"], timeout=10)
    pending: queue.SimpleQueue[tuple[AlertThread, threading.Event]] = queue.SimpleQueue()

    def deliver() -> None:
        while True:
            thread, delivered = pending.get()
            floor.deliver(thread, slack)
            delivered.set()

    if environ.get(DELIVERS):
        threading.Thread(target=deliver, daemon=True).start()

    @made.post("/alert")
    def receive() -> Response:
        threads = floor.accept(request.get_data())
        if environ.get(DELIVERS):
            for thread in threads:
                pending.put((thread, delivered := threading.Event()))
                delivered.wait()
        return jsonify(ok=True, count=len(threads))

    @made.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    return made
