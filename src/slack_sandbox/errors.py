"""The one way in which the stand-in for Slack says no."""

from collections.abc import Sequence


class RefusedError(Exception):
    """Slack's answer `{"ok": false, "error": code}`: the call was understood, checked and changed nothing."""

    def __init__(self, code: str, faults: Sequence[str] = (), **details: object) -> None:
        """Take Slack's error code, what is wrong in detail (one line each) and further keys of the answer."""
        super().__init__(code if not faults else f"{code}: {'; '.join(faults)}")
        self.code = code
        self.faults = tuple(faults)
        self.details = details
