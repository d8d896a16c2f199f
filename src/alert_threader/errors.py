"""The errors of Alert Threader, sorted by what the caller should do next.

Every message is one line for a person: what is wrong and what to do about it. No message holds a secret.
"""

from collections.abc import Sequence

#: Wherever Python says "can't start new thread".
NO_THREADS = (
    "the system allows no more threads: raise the user's limit (ulimit -u), the unit's (systemd's TasksMax) or the "
    "container's (pids limit)"
)


class AlertThreaderError(Exception):
    """The root of the tree. Catch it only where an error becomes an answer, an exit code or a log line."""


class ConfigError(AlertThreaderError):
    """The settings are wrong: correct them and start again. Holds every fault that was found, not the first one."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Take one line for each fault, each with the setting's name and what is allowed."""
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class SystemLimitError(AlertThreaderError):
    """The system allows this service less than it needs: raise the limit and start again."""


class PayloadError(AlertThreaderError):
    """A webhook that cannot be understood: its sender must change it, sending it again does not help (400)."""


class StoreError(AlertThreaderError):
    """The change is not stored: send it again later (503). Never means that a thread does not exist."""


class StoreLockedError(StoreError):
    """Another process owns the store: end it, or give this one a store of its own."""


class StoreDamagedError(StoreError):
    """The stored threads cannot be read: restore a backup, or start with an empty store on purpose."""


class RecordDamagedError(StoreError):
    """One thread's record cannot be read, though the store can: a person must look at it. All others are well."""


class LeaseLostError(StoreError):
    """The lease on a channel has passed to another sender: change nothing more under it, and stop."""
