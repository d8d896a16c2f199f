"""Which scopes of the Slack app are used, and what is lost without one.

Each scope's page is https://docs.slack.dev/reference/scopes/<its name>.
"""

from collections.abc import Collection

POST = "chat:write"
#: To look up what became of a lost answer: in public channels, in private ones.
LOOK_UP = ("channels:history", "groups:history")

_HOW_TO_ADD = 'add it on the Slack app\'s page "OAuth & Permissions" and install the app again'


def missing(granted: Collection[str]) -> list[str]:
    """What is missing among the scopes that a token has, a line each; nothing where Slack has not named them."""
    if not granted:
        return []
    lines = []
    if POST not in granted:
        lines.append(f"{POST} is missing: nothing can be posted; {_HOW_TO_ADD}")
    if not set(LOOK_UP) & set(granted):
        lost = "after a lost answer a message may be posted twice"
        lines.append(f"{LOOK_UP[0]} (for a private channel {LOOK_UP[1]}) is missing: {lost}; {_HOW_TO_ADD}")
    return lines
