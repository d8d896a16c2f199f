"""The one place that wires the concrete parts together."""

import json
import os
import time
from typing import Any

import msgspec
from flask import Flask
from flask.json.provider import JSONProvider

from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.pacing import Pacing
from alert_threader.delivery.slack_calls import KIND, METHODS, OUTCOMES, SlackCalls
from alert_threader.delivery.token_health import TokenHealth
from alert_threader.formatter import LANGUAGES
from alert_threader.intake import Intake
from alert_threader.routes import alert, cache, errors, health, stats
from alert_threader.routes import metrics as metrics_route
from alert_threader.service import Running, Service, install
from alert_threader.settings.settings import Settings
from alert_threader.slack.client import Slack
from alert_threader.store import Threads, open_store
from alert_threader.telemetry import logs
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import DEFAULT_MAP, Identity, Policy, Reason, RepeatPolicy, Severities, ThreadBy


def create_app(settings: Settings | None = None, *, open_now: bool = True) -> Flask:
    """Make the WSGI application; without settings they are read from the environment.

    With ``open_now`` the store is open on return and requests are taken; delivery begins with ``service.start()``.
    gunicorn's hooks open it later, in the worker. Raises ConfigError and StoreError.
    """
    settings = settings or Settings.from_environ(os.environ)
    app = Flask("alert_threader")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    # A doubled slash is a wrong address like any other: a redirection would be followed without the body.
    app.url_map.merge_slashes = False
    app.json = _Json(app)
    for route in (alert, health, stats, cache, metrics_route):
        app.register_blueprint(route.blueprint)
    errors.register(app)
    service = make_service(settings)
    install(app, service)
    if open_now:
        service.open()
    return app


class _Json(JSONProvider):
    """JSON by the library that reads the webhooks; an answer's fields stay in the order of their documentation."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """The text of a value."""
        try:
            return msgspec.json.encode(obj).decode()
        except UnicodeEncodeError:
            # A file's name need not be text.
            return json.dumps(obj)

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """The value of a text."""
        return msgspec.json.decode(s)


def make_service(settings: Settings) -> Service:
    """Wire a service from its settings; nothing is opened or started."""
    policy = Policy(
        reopen_window=settings.reopen_window,
        stale_after=settings.stale_after,
        repeat=RepeatPolicy(settings.repeat_policy),
        severities=Severities(
            label=settings.severity_label, levels={**DEFAULT_MAP, **dict(settings.severity_map or ())}
        ),
        name_labels=settings.name_labels or (),
        call_timeout=settings.slack_timeout,
    )
    identity = Identity(
        environment=settings.environment,
        channel=settings.slack_channel,
        by=ThreadBy(settings.thread_by),
        labels=settings.thread_key_labels,
    )
    metrics = Metrics(Reason, set(METHODS.values()), OUTCOMES)
    metrics.started(time.time())
    logs.when_dropped(metrics.log.dropped)

    def wire(threads: Threads) -> Running:
        slack = Slack(settings.slack_bot_token.reveal(), settings.slack_api_url, settings.slack_timeout)
        pacing = Pacing(settings.slack_rate, settings.slack_burst)
        words = LANGUAGES[settings.language]
        calls = SlackCalls(slack, policy, pacing, metrics, environment=settings.environment, words=words)
        deliverer = Deliverer(threads, {KIND: calls}, metrics, burst=settings.slack_burst)
        intake = Intake(threads, deliverer, metrics, identity=identity, response_wait=settings.response_wait)
        token = TokenHealth(slack.identify, metrics.slack)
        return Running(threads, deliverer, calls.troubles, intake, token)

    return Service(
        settings=settings,
        identity=identity,
        policy=policy,
        metrics=metrics,
        clock=time.time,
        started_at=time.time(),
        open_store=lambda lock_wait: open_store(settings, policy, lock_wait),
        wire=wire,
    )
