"""``GET /health``: whether alerts are stored and delivered, and if not, what to do about it."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from alert_threader.errors import StoreError
from alert_threader.service import Service, current_service
from alert_threader.telemetry import logs

blueprint = Blueprint("health", __name__)

#: What is pending for longer than this, in seconds, is worth a look though nothing has failed.
_LONG = 120


@blueprint.get("/health")
def health() -> Response:
    """Answer 200 while alerts are stored, 503 when they are not: the only state in which a sender must hold them."""
    service = current_service()
    answer: dict[str, Any] = {
        "status": "unhealthy",
        "environment": service.settings.environment,
        "channel": service.settings.slack_channel,
        "thread_store": service.settings.thread_store,
        "timestamp": iso(service.clock()),
    }
    try:
        service.store.ping()
        answer |= _state(service)
    except StoreError as error:
        answer |= {"problems": [str(error), *_of_the_log()], **_redis_status(service, str(error))}
        response = jsonify(answer)
        response.status_code = 503
        return response
    return jsonify(answer)


def _state(service: Service) -> dict[str, Any]:
    now = service.clock()
    counts = service.store.counts()
    waiting = counts.oldest_pending_seconds(now)
    known = service.running.troubles
    troubles = known.now()
    token = service.running.token.state
    is_accepted = token.refused and (known.last_success or 0) > (token.checked_at or 0)
    problems = [
        *service.store.warnings(),
        *_of_the_log(),
        *(f"token: {problem}" for problem in ([] if is_accepted else token.problems)),
        *dict.fromkeys(f"{each.channel}: {each.text}" for each in troubles),
        *_of_two_way(service),
    ]
    if token.unreached and not troubles and token.failed_at > (known.last_success or 0):
        problems.append(f"Slack is not reached: {token.unreached}")
    if waiting > _LONG and all(each.lasts for each in troubles):
        problems.append(f"{counts.pending} threads are pending, the oldest for {waiting:.0f} s")
    last = troubles[-1] if troubles else None
    return {
        "status": "degraded" if problems else "healthy",
        "problems": problems,
        **_redis_status(service, "connected"),
        "cached_threads": counts.threads,
        **_alertmanager(service),
        "pending": counts.pending,
        "oldest_pending_seconds": round(waiting, 1),
        "slack": {
            "team": token.identity and token.identity.team,
            "bot_user": token.identity and token.identity.user,
            "token_checked": iso(token.checked_at),
            "last_success": iso(known.last_success),
            "last_error": last
            and {
                "channel": last.channel,
                "method": last.method,
                "code": last.code,
                "message": last.text,
                "since": iso(last.since),
                "failures": last.failures,
            },
        },
    }


def _of_two_way(service: Service) -> list[str]:
    """What keeps people's answers from having an effect."""
    running = service.running
    of_alertmanager = dict.fromkeys([*running.reconciler.problems, *running.commands.problems.values()])
    of_sockets = running.sockets.problems if running.sockets is not None else []
    of_access = [running.access.problem] if running.access.problem else []
    named = [text if text.startswith("Alertmanager ") else f"Alertmanager: {text}" for text in of_alertmanager]
    return [*named, *of_access, *of_sockets]


def _alertmanager(service: Service) -> dict[str, Any]:
    """How the Alertmanager clusters are, where any are configured."""
    clusters = service.running.reconciler.names
    if not clusters:
        return {}
    states = {**service.running.reconciler.states, **service.running.commands.problems}
    return {"alertmanager": {name: states[name] for name in clusters}}


def _of_the_log() -> list[str]:
    return [problem] if (problem := logs.problem()) else []


def _redis_status(service: Service, status: str) -> dict[str, str]:
    return {"redis_status": status} if service.settings.thread_store == "redis" else {}


def iso(moment: float | None) -> str | None:
    """A time (seconds since the epoch) as ISO 8601 in UTC, None for never."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
