"""What tests, ``chaos`` and ``bench`` share: the service as it runs, the servers beside it, and what is sent to it.

``service`` is one installation, ``replicas`` several on one Redis, ``first_release`` one of the first release. The
servers beside them are in ``servers``; ``proxy`` stands between two, ``network`` between the service and Slack.
``webhooks`` makes what Alertmanager sends,
``scripts`` a story of several, and ``story`` reads what Slack shows of it. Imports nothing from ``tests``, ``chaos`` or
``bench``.
"""
