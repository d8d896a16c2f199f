"""From what a thread needs to a call, and back. The only room that waits.

``deliverer`` watches for lanes with something pending; ``sender`` works one lane; ``calls`` is what it needs to know of
the world behind it, ``slack_calls`` that of Slack's lanes; ``retry`` judges failures, ``holds`` keeps what waits after
them, ``pacing`` says how fast, ``troubles`` keeps what is wrong, ``waiting`` lets a request wait. Imports threads,
formatter, slack, store, telemetry.
"""
