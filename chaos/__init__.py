"""The whole installation under fire: ``python -m chaos [--seconds N] [--kills N] [--seed N]``.

Three replicas with two workers each share a Redis behind a balancer. Two real Alertmanagers in one cluster notify them
of alerts that fire and resolve by chance, while replicas are killed with -9 and started again. Slack is the sandbox.

Alertmanager gathers changes, so what Slack has to tell is not what was pushed. Three accounts are compared: what the
balancer saw (which webhook was answered how, and when), what Redis did (each commit of a record, from MONITOR), and
what Slack shows (each message names in its metadata what it tells).
"""
