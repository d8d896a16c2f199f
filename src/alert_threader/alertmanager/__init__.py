"""Alertmanager's side: ``webhook``, from bytes to typed values, is pure; ``api`` asks it. Imports only ``errors``."""
