"""The floor: what the promise costs with this project's parts, and nothing around them. Nobody could run it.

A webhook is read, applied to its thread and synced to disk before it is answered, as with the file store. Where it is
to be told, another thread syncs the attempt first and then posts the message. There is no plan for what else is due, no
lease, pacing, retry, look-up, log or metric: what lies between the floor and the service is what those cost.
"""

import os
import queue
import threading
import time
import uuid
from pathlib import Path

from flask import Flask, Response, jsonify, request

from alert_threader.alertmanager import webhook
from alert_threader.formatter import render
from alert_threader.slack.client import Slack
from alert_threader.store import journal
from alert_threader.store.commits import Commits, View, Written
from alert_threader.threads import AlertThread, Identity, Policy, apply, begin, changes

#: The variable that makes it tell; without it, it only accepts.
TELLS = "FLOOR_TELLS"


class Floor:
    """Threads as lines in memory, and in a journal."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        """Take the journal's folder, and what keys are made of."""
        self._identity = identity
        self._policy = Policy()
        self._lines: dict[str, bytes] = {}
        self._journal = journal.Journal(folder / "floor.journal", uuid.uuid4().hex)
        self._commits = Commits(self._lines, self._write)

    def accept(self, body: bytes) -> list[AlertThread]:
        """Store a webhook durably; return its threads."""
        found = changes(webhook.parse(body), self._identity, None, uuid.uuid4().hex)

        def work(view: View) -> list[AlertThread]:
            threads = []
            for change in found:
                before = view.read(change.key)
                thread = apply(before, change, time.time(), self._policy).thread
                if thread is not before:
                    view.write(change.key, thread)
                threads.append(thread)
            return threads

        return self._commits.commit(work)

    def tell(self, thread: AlertThread, slack: Slack) -> None:
        """Post a thread's root, after its attempt is stored."""
        begun = begin(thread, uuid.uuid4().hex, time.time(), self._policy)
        if begun is None:
            return
        thread, action = begun
        attempt = thread.attempt
        assert attempt is not None  # all that it ever tells is an opening
        self._commits.commit(lambda view: view.write(thread.key, thread))
        message = render(
            thread,
            action.step,
            attempt.batch,
            environment=self._identity.environment,
            attempt_id=attempt.id,
            simple=thread.simple,
        )
        slack.post(thread.channel, message)

    def _write(self, staged: dict[str, Written]) -> None:
        lines = {key: written.line for key, written in staged.items() if written.line is not None}
        self._journal.append(journal.changes(lines.values()))
        self._lines.update(lines)


def app() -> Flask:
    """The WSGI application."""
    made = Flask("bench.floor")
    environ = os.environ
    identity = Identity(environment=environ["ENVIRONMENT"], channel=environ["SLACK_CHANNEL"])
    floor = Floor(Path(environ["THREAD_STORE_FILE"]).parent, identity)
    slack = Slack(environ["SLACK_BOT_TOKEN"], environ["SLACK_API_URL"], timeout=10)
    untold: queue.SimpleQueue[tuple[AlertThread, threading.Event]] = queue.SimpleQueue()

    def tell() -> None:
        while True:
            thread, told = untold.get()
            floor.tell(thread, slack)
            told.set()

    if environ.get(TELLS):
        threading.Thread(target=tell, daemon=True).start()

    @made.post("/alert")
    def receive() -> Response:
        threads = floor.accept(request.get_data())
        if environ.get(TELLS):
            for thread in threads:
                untold.put((thread, told := threading.Event()))
                told.wait()
        return jsonify(ok=True, count=len(threads))

    @made.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    return made
