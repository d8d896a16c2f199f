"""Alert Threader: Prometheus Alertmanager webhooks as Slack threads."""

__version__ = "0.2.0"
