"""Slack's Web API behind one adapter, its failures sorted by what to do next. Imports only ``errors``."""
