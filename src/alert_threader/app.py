"""The one place that wires the concrete parts together."""

import json
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask
from flask.json.provider import JSONProvider

from alert_threader.alertmanager.model import Login
from alert_threader.delivery.access import Access
from alert_threader.delivery.afterwards import Afterwards
from alert_threader.delivery.alertmanager_calls import KIND as ALERTMANAGER
from alert_threader.delivery.alertmanager_calls import AlertmanagerCalls, matching
from alert_threader.delivery.calls import Calls
from alert_threader.delivery.deliverer import Deliverer
from alert_threader.delivery.pacing import Pacing
from alert_threader.delivery.poller import Poller
from alert_threader.delivery.reconciler import Polling, Reconciler
from alert_threader.delivery.slack_calls import KIND, METHODS, OUTCOMES, SlackCalls
from alert_threader.delivery.sockets import Sockets
from alert_threader.delivery.token_health import TokenHealth
from alert_threader.formatter import LANGUAGES, Pressing, lasting
from alert_threader.intake import Intake
from alert_threader.presses import ACTIONS, VERDICTS, Longest, Presses
from alert_threader.routes import alert, cache, errors, health, stats
from alert_threader.routes import metrics as metrics_route
from alert_threader.routes import slack as slack_route
from alert_threader.service import Running, Service, install
from alert_threader.settings.settings import Settings
from alert_threader.slack.client import Slack
from alert_threader.slack.socket import SocketMode
from alert_threader.store import Threads, open_store
from alert_threader.telemetry import logs
from alert_threader.telemetry.metrics import Metrics
from alert_threader.threads import DEFAULT_MAP, Gone, Identity, Policy, Reason, RepeatPolicy, Severities, ThreadBy

if TYPE_CHECKING:
    from alert_threader.alertmanager.api import Alertmanager

#: How long a call that somebody waits for may take, in seconds: Slack's trigger for a form is good for 3 s.
_QUICK = 1.5


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
    for route in (alert, health, stats, cache, metrics_route, slack_route):
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


def _pressing(settings: Settings) -> Pressing | None:
    """What people can press: nothing without a way for presses to come, no silences without an Alertmanager."""
    if not settings.takes_presses:
        return None
    durations = tuple(text for text, _ in settings.silence_durations) if settings.alertmanager_url else ()
    return Pressing(durations=durations)


def _sockets(settings: Settings, threads: Threads, presses: Presses, metrics: Metrics) -> Sockets | None:
    if settings.slack_app_token is None:
        return None
    mode = SocketMode(settings.slack_app_token.reveal(), settings.slack_api_url, settings.slack_timeout)
    return Sockets(mode.open, threads.store, presses.take, metrics.presses.connected)


def _clusters(settings: Settings) -> "dict[str, Alertmanager]":
    if not settings.alertmanager_url:
        return {}
    # Its HTTP library takes a while to load, which nobody else needs to wait for.
    from alert_threader.alertmanager.api import Alertmanager  # noqa: PLC0415

    clusters = [Alertmanager(members, login_of(settings)) for members in settings.alertmanager_url]
    return {cluster.name: cluster for cluster in clusters}


def login_of(settings: Settings) -> Login:
    """How to log in to Alertmanager."""
    token, password = settings.alertmanager_token, settings.alertmanager_password
    return Login(
        token=token.reveal() if token else "",
        user=settings.alertmanager_user or "",
        password=password.reveal() if password else "",
        ca=str(settings.alertmanager_ca) if settings.alertmanager_ca else None,
        headers=settings.alertmanager_headers or (),
    )


def make_service(settings: Settings) -> Service:
    """Wire a service from its settings; nothing is opened or started."""
    polls = bool(settings.alertmanager_url and settings.reconcile_every)
    policy = Policy(
        reopen_window=settings.reopen_window,
        stale_after=settings.stale_after,
        repeat=RepeatPolicy(settings.repeat_policy),
        severities=Severities(
            label=settings.severity_label, levels={**DEFAULT_MAP, **dict(settings.severity_map or ())}
        ),
        name_labels=settings.name_labels or (),
        ack_timeout=settings.ack_timeout,
        silence_max=settings.silence_max,
        marks_unconfirmed=settings.unconfirmed == "mark" and not polls,
        polls=polls,
        call_timeout=settings.slack_timeout,
    )
    identity = Identity(
        environment=settings.environment,
        channel=settings.slack_channel,
        by=ThreadBy(settings.thread_by),
        labels=settings.thread_key_labels,
    )
    metrics = Metrics(Reason, set(METHODS.values()), OUTCOMES, actions=ACTIONS, verdicts=VERDICTS, causes=Gone)
    metrics.started(time.time())
    logs.when_dropped(metrics.log.dropped)

    def wire(threads: Threads) -> Running:
        slack = Slack(settings.slack_bot_token.reveal(), settings.slack_api_url, settings.slack_timeout)
        pacing = Pacing(settings.slack_rate, settings.slack_burst)
        quick = Slack(settings.slack_bot_token.reveal(), settings.slack_api_url, min(_QUICK, settings.slack_timeout))
        words = LANGUAGES[settings.language]
        calls = SlackCalls(
            slack,
            policy,
            pacing,
            metrics,
            environment=settings.environment,
            words=words,
            pressing=_pressing(settings),
        )
        clusters = _clusters(settings)
        commands = AlertmanagerCalls(clusters, quick.link, words, metrics.alertmanager)
        kinds: dict[str, Calls] = {KIND: calls, ALERTMANAGER: commands}
        deliverer = Deliverer(threads, kinds, metrics, burst=settings.slack_burst)
        token = TokenHealth(slack.identify, metrics.slack)
        reconciler = Reconciler(
            clusters.values(),
            threads,
            deliverer.wake,
            metrics.alertmanager,
            Polling(settings.reconcile_every, settings.gone_after),
            link=lambda channel, ts: token.state.identity.permalink(channel, ts) if token.state.identity else "",
        )
        poller = Poller(reconciler, threads.store, settings.reconcile_every)
        intake = Intake(
            threads, deliverer, metrics, identity=identity, response_wait=settings.response_wait, opened=poller.look
        )
        access, afterwards = Access(settings.allowed_to_press, slack.members), Afterwards()
        presses = Presses(
            intake,
            quick,
            access,
            afterwards,
            metrics.presses,
            words=words,
            longest=Longest(settings.silence_max, lasting(settings.silence_max, words)),
            team=lambda: (token.state.identity and token.state.identity.team_id) or "",
            matching=partial(matching, clusters),
        )
        sockets = _sockets(settings, threads, presses, metrics)
        return Running(
            threads,
            deliverer,
            calls.troubles,
            intake,
            token,
            presses,
            access,
            afterwards,
            poller,
            reconciler,
            commands,
            sockets,
        )

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
