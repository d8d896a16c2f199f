"""Alertmanager's side. Imports only ``errors``.

``webhook``, from bytes to typed values, is pure. ``api`` asks a cluster for what ``model`` describes, ``states`` asks
each member of it for everything, both by way of ``transport``. ``wire`` is the JSON; ``configuration`` reads what is
used of Alertmanager's own configuration.
"""
