"""Alertmanager's side. Imports only ``errors``.

``webhook``, from bytes to typed values, is pure. ``api`` asks it for what ``model`` describes, by way of ``transport``;
``configuration`` reads what is used of its own configuration.
"""
