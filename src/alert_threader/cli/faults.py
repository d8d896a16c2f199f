"""What keeps a command from its work."""

from alert_threader.errors import AlertThreaderError


class CommandError(AlertThreaderError):
    """A command cannot go on, or did not find what it was asked to show: exit code 1."""
