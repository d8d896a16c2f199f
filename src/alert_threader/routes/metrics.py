"""``GET /metrics``: the service's own metrics, in Prometheus' text format."""

import platform

from flask import Blueprint, Response

from alert_threader import __version__
from alert_threader.errors import StoreError
from alert_threader.routes.token import require_token
from alert_threader.service import Service, current_service
from alert_threader.telemetry.metrics import CONTENT_TYPE
from alert_threader.telemetry.snapshot import Snapshot

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer the counters, and gauges of this moment. A store that is down is a 0, not a failed scrape."""
    service = current_service()
    require_token(service.settings.metrics_token)
    text = service.metrics.exposition(_snapshot(service), __version__, platform.python_version())
    return Response(text, content_type=CONTENT_TYPE)


def _snapshot(service: Service) -> Snapshot:
    seconds = None
    try:
        seconds = service.store.pace.seconds
        service.store.ping()
        now = service.clock()
        counts = service.store.counts()
    except StoreError:
        return Snapshot(store_up=0, store_seconds=seconds)
    return Snapshot(
        store_up=1,
        store_seconds=seconds,
        threads=counts.threads,
        open_threads=counts.open,
        pending_threads=counts.pending,
        oldest_pending_seconds=counts.oldest_pending_seconds(now),
    )
