"""``GET /metrics``: the service's own metrics, in Prometheus' text format."""

import platform

from flask import Blueprint, Response

from alert_threader import __version__
from alert_threader.errors import StoreError
from alert_threader.routes.token import require_token
from alert_threader.service import Service, current_service
from alert_threader.telemetry.metrics import CONTENT_TYPE

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer what was counted, and what the store holds now. A store that is away is a 0, not a failed scrape."""
    service = current_service()
    require_token(service.settings.metrics_token)
    text = service.metrics.exposition(_gauges(service), __version__, platform.python_version())
    return Response(text, content_type=CONTENT_TYPE)


def _gauges(service: Service) -> dict[str, tuple[str, float]]:
    up = "Whether a change could be stored at the moment of the scrape."
    try:
        service.store.ping()
        now = service.clock()
        counts = service.store.counts(now)
    except StoreError:
        return {"store_up": (up, 0)}
    return {
        "store_up": (up, 1),
        "threads": ("Threads that are kept.", counts.threads),
        "open_threads": ("Threads in which an alert fires.", counts.open),
        "pending_threads": ("Threads with something that Slack does not show yet.", counts.pending),
        "oldest_pending_seconds": ("Since when the oldest of these waits; 0 if there is none.", counts.waiting(now)),
    }
