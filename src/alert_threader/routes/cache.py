"""``/cache``: the threads by key, and forgetting them."""

import logging

from flask import Blueprint, Response, jsonify

from alert_threader.routes.token import require_token
from alert_threader.service import current_service

log = logging.getLogger(__name__)

blueprint = Blueprint("cache", __name__)


@blueprint.get("/cache")
def show() -> Response:
    """Answer each thread's ``ts`` by its key; a thread whose root is still to be posted has none yet."""
    service = current_service()
    require_token(service.settings.webhook_token)
    threads = service.store.stamps()
    return jsonify(cached_threads=len(threads), threads=threads, thread_store=service.store.name)


@blueprint.delete("/cache")
def forget() -> Response:
    """Forget the threads, so that the next alert of each opens a new one. What is pending stays."""
    service = current_service()
    require_token(service.settings.webhook_token)
    now = service.clock()
    forgotten = service.threads.forget(now)
    service.running.reconciler.forget(now)
    log.warning("%s threads forgotten on request", forgotten)
    kept = service.store.counts().threads
    return jsonify(ok=True, forgotten=forgotten, kept=kept, thread_store=service.store.name)
