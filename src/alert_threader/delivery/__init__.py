"""From what a thread needs to a call, and back. The only room that waits.

``deliverer`` watches for lanes with something pending; ``sender`` works one lane; ``calls`` is what it needs to know of
the world behind it, ``slack_calls`` that of Slack's lanes; ``retry`` judges failures, ``holds`` keeps what waits after
them, ``pacing`` says how fast, ``troubles`` keeps what is wrong, ``waiting`` lets a request wait.

For people's answers, ``alertmanager_calls`` makes the calls of Alertmanager's lanes, ``poller`` looks at what it holds,
``sockets`` keeps the connections of Socket Mode, ``access`` knows who may press, ``afterwards`` does what may wait
until a press was answered. Imports threads, formatter, slack, ``alertmanager.model``, store, telemetry.
"""
