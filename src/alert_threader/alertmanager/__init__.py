"""Alertmanager's side: its webhook, from bytes to typed values. Imports only ``errors``."""
