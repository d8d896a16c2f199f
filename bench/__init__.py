"""The measurements: ``python -m bench [NAME …]``. What each one measures is said on top of its module.

Everything runs on this machine and in the same run: the service, a plain poster (``plain.py``), a route that does
nothing (``noop.py``) and the least that could keep the service's promise (``floor.py``), all under the same gunicorn
settings, and the sandbox in Slack's place. Each is a process of its own, and so is the load: nobody shares an
interpreter with what is measured.

``--page docs/performance.md docs/ko/performance.md`` puts the figures that matter most there.
"""
