"""Whether a request comes from Slack: https://docs.slack.dev/authentication/verifying-requests-from-slack."""

import re
from collections.abc import Mapping

from slack_sdk.signature import Clock, SignatureVerifier

_TIMESTAMP, _SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"

#: Seconds since the epoch.
_TIME = re.compile("[0-9]{1,12}")


class _At(Clock):
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        """The time of this check, in seconds since the epoch."""
        return self._now


def is_signed(secret: str, body: bytes, headers: Mapping[str, str], now: float) -> bool:
    """Whether Slack signed this body with the secret, at most five minutes from ``now`` (seconds since the epoch)."""
    timestamp, signature = headers.get(_TIMESTAMP), headers.get(_SIGNATURE)
    # Whatever else stands there is no reason for the verifier to raise: nobody has shown yet who they are.
    if not timestamp or not signature or not signature.isascii() or not _TIME.fullmatch(timestamp):
        return False
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False  # the verifier would raise: Slack's bodies are UTF-8
    return SignatureVerifier(secret, _At(now)).is_valid(text, timestamp, signature)
