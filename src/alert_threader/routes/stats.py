"""``GET /stats``: what happened since the start."""

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from alert_threader.routes.token import require_token
from alert_threader.service import current_service

blueprint = Blueprint("stats", __name__)


@blueprint.get("/stats")
def stats() -> Response:
    """Answer the counters, and the store's own section under its name."""
    service = current_service()
    require_token(service.settings.metrics_token)
    counts = service.store.counts()
    return jsonify(
        {
            **service.metrics.totals(),
            "cached_threads": counts.threads,
            "pending": counts.pending,
            "thread_store": service.store.name,
            "environment": service.settings.environment,
            "uptime": datetime.fromtimestamp(service.started_at, UTC).isoformat(timespec="seconds"),
            "uptime_seconds": round(max(service.clock() - service.started_at, 0), 1),
            service.store.name: service.store.info(),
        }
    )
