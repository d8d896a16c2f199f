"""gunicorn's worker: the settings that it refuses, and how its loop ends."""

import logging

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
