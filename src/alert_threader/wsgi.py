"""For other WSGI servers: ``alert_threader.wsgi:app``. One process only with the file store; delivery runs with it."""

from alert_threader.app import create_app
from alert_threader.service import service_of

app = create_app()
service_of(app).start()
