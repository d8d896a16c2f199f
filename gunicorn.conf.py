"""How gunicorn runs Alert Threader: ``gunicorn -c gunicorn.conf.py``. Settings: docs/configuration.md."""

from alert_threader.server import *  # noqa: F403  # gunicorn reads its settings from this module's names
