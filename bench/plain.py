"""The plain poster, what one would write in an afternoon: one Slack call per alert in the request, threads in a dict.

It forgets everything at a restart, knows no rate limits and answers 500 if a call fails, after which Alertmanager sends
all of the group again.
"""

import os

from flask import Flask, Response, jsonify, request
from slack_sdk import WebClient

_COLOURS = {"critical": "#E01E5A", "error": "#E01E5A", "warning": "#ECB22E"}


def app() -> Flask:
    """The WSGI application."""
    made = Flask("bench.plain")
    slack = WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
    channel = os.environ["SLACK_CHANNEL"]
    threads: dict[str, str] = {}

    @made.post("/alert")
    def receive() -> Response:
        alerts = request.get_json()["alerts"]
        for alert in alerts:
            labels = alert["labels"]
            severity = labels.get("severity", "info")
            resolved = alert["status"] == "resolved"
            key = "|".join((labels["alertname"], severity, labels.get("service", ""), labels.get("cluster", "")))
            text = (
                f"{'RESOLVED' if resolved else severity.upper()}: {labels['alertname']} ({labels.get('instance', '')})"
            )
            colour = "#2EB67D" if resolved else _COLOURS.get(severity, "#36C5F0")
            lines = [f"*{name}*: {value}" for name, value in {**labels, **alert["annotations"]}.items()]
            answer = slack.chat_postMessage(
                channel=channel,
                text=text,
                attachments=[{"color": colour, "fallback": text, "text": "\n".join(lines)}],
                thread_ts=threads.get(key),
            )
            threads.setdefault(key, str(answer["ts"]))
        return jsonify(ok=True, count=len(alerts))

    @made.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    return made
