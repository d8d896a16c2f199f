"""gunicorn's worker: the settings that it refuses, and how its loop ends."""

import contextlib
import logging
import os
import selectors
import socket

import pytest
from gunicorn.config import Config

from alert_threader.worker.worker import Worker


def config(**settings: object) -> Config:
    """Settings of gunicorn's."""
    made = Config()
    for name, value in settings.items():
        made.set(name, value)
    return made


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"certfile": "/nowhere/cert.pem"}, "TLS (certfile, keyfile) is not spoken here"),
        ({"protocol": "uwsgi"}, "the protocol uwsgi is not spoken here, let the proxy in front speak HTTP/1.1"),
        ({"http_protocols": "h2,h1"}, "HTTP/2 (http_protocols, http2_cleartext) is not spoken here"),
        ({"http2_cleartext": "both"}, "HTTP/2 (http_protocols, http2_cleartext) is not spoken here"),
        ({"proxy_protocol": "v2"}, "the PROXY protocol is spoken here as v1 only, set proxy_protocol to v1 (it is v2)"),
        (
            {"proxy_protocol": True},
            "the PROXY protocol is spoken here as v1 only, set proxy_protocol to v1 (it is auto)",
        ),
    ],
)
def test_settings_that_are_refused(caplog: pytest.LogCaptureFixture, settings: dict[str, object], said: str) -> None:
    """What a request could be sent as, and would not be understood, ends the start with one line."""
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit):
        Worker.check_config(config(**settings), None)
    assert [record.getMessage().startswith(f"cannot start: {said}") for record in caplog.records] == [True]


@pytest.mark.parametrize("settings", [{}, {"proxy_protocol": "v1"}, {"http_protocols": "h1"}])
def test_settings_that_are_taken(settings: dict[str, object]) -> None:
    """What can be done is."""
    Worker.check_config(config(**settings), None)


def test_thread_that_ends_late() -> None:
    """A thread that hands its connection back after the end writes into nobody else's file."""
    worker = Worker(1, os.getpid(), [], None, 30, config(), logging.getLogger("gunicorn"))
    worker.tpool, worker.poller = worker.get_thread_pool(), selectors.DefaultSelector()
    worker.method_queue.init()
    worker.alive = False
    worker.run()
    with contextlib.ExitStack() as closing:
        closing.callback(worker.method_queue.close)
        closing.callback(worker.tmp.close)
        # These take every descriptor that the end has freed.
        ends = [closing.enter_context(end) for _ in range(4) for end in socket.socketpair()]
        worker.method_queue.defer(lambda: None)
        for end in ends:
            with pytest.raises(BlockingIOError):
                end.recv(1, socket.MSG_DONTWAIT)
