"""Webhooks as Alertmanager sends them: about 0.7 kB for each alert."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from alert_threader.alertmanager.webhook import fingerprint

SEVERITIES = ("info", "warning", "error", "critical")
ENVIRONMENT = "production"

_STARTED = "2026-01-15T14:30:25.123Z"
_NEVER = "0001-01-01T00:00:00Z"


def labels(name: str, instance: int, severity: str) -> dict[str, str]:
    """The labels of one alert. The instances of a name and severity are one group, and one thread."""
    return {
        "alertname": name,
        "severity": severity,
        "service": "database",
        "cluster": "production",
        "instance": f"db{instance:03d}.example.com:9104",
        "job": "mysql-exporter",
        "team": "storage",
    }


def thread_key(name: str, severity: str) -> str:
    """The key of a group's thread."""
    return f"{name}|{severity}|database|production|{ENVIRONMENT}"


def webhook(
    name: str, alerts: int, severity: str = "critical", resolved: Sequence[int] = (), *, first: int = 0
) -> bytes:
    """A group's notification with so many alerts, numbered from ``first``; ``resolved`` names those that have ended."""
    status = "resolved" if len(resolved) == alerts else "firing"
    return json.dumps(
        {
            "version": "4",
            "receiver": "slack",
            "status": status,
            "groupKey": f'{{}}:{{alertname="{name}", severity="{severity}"}}',
            "groupLabels": {"alertname": name, "severity": severity},
            "commonLabels": {"alertname": name, "severity": severity, "service": "database", "cluster": "production"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com:9093",
            "truncatedAlerts": 0,
            "alerts": [
                _alert(name, number, severity, resolved=number in resolved) for number in range(first, first + alerts)
            ],
        }
    ).encode()


def _alert(name: str, number: int, severity: str, *, resolved: bool) -> dict[str, object]:
    own = labels(name, number, severity)
    return {
        "status": "resolved" if resolved else "firing",
        "labels": own,
        "annotations": {
            "summary": f"{name}: replication is behind",
            "description": f"Replication on {own['instance']} is 4m 12s behind its primary and falling further behind.",
            "runbook_url": "https://runbooks.example.com/database/replication",
        },
        "startsAt": _STARTED,
        "endsAt": datetime.now(UTC).isoformat() if resolved else _NEVER,
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=mysql_slave_lag_seconds+%3E+60&g0.tab=1",
        "fingerprint": fingerprint(own),
    }
