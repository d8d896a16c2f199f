"""From what a thread needs to a call to Slack, and back. Imports threads, formatter, slack, store, telemetry."""
