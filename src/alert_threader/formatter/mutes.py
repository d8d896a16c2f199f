"""What mutes alerts, as sentences that a note and a first message share."""

from alert_threader.formatter.mrkdwn import link, literal
from alert_threader.formatter.words import Words
from alert_threader.threads import CUT, one_line

#: A name, a comment or a reason, and a link, in characters; of a longer link only the words are shown.
MAX_NAME = 80
MAX_COMMENT = 300
MAX_LINK = 250
BETWEEN_NAMES = ", "


def silenced_elsewhere(words: Words, who: str, until: str, count: int = 0) -> str:
    """That ``who`` silenced alerts in Alertmanager; either may be empty. ``count`` is how many, 0 for all that fire."""
    if not until:
        return words.silenced_open
    if not count:
        said = words.silenced_elsewhere if who else words.silenced_until
    elif count == 1:
        said = words.note_some_silenced_one if who else words.note_some_silenced_until_one
    else:
        said = words.note_some_silenced if who else words.note_some_silenced_until
    return said.format(who=who, until=until, count=count)


def inhibited_by(words: Words, names: str) -> str:
    """That alerts with these names inhibit it; empty where they are not known."""
    return words.inhibited_by.format(names=names) if names else words.inhibited_open


def muted_by(words: Words, names: str, *, is_one: bool) -> str:
    """That time intervals with these names mute it; empty where they are not known."""
    if not names:
        return words.muted_open
    return (words.muted_by_one if is_one else words.muted_by).format(names=names)


def plain_name(name: str, _: str = "") -> str:
    """A name as plain text on one line."""
    name = one_line(name)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}{CUT}"


def linked_name(name: str, url: str = "") -> str:
    """A name as mrkdwn, linked where it has an address; empty where it has no name."""
    said = link(url, plain_name(name)) if url and one_line(name) else None
    return said if said and len(said) <= MAX_LINK else literal(name, MAX_NAME)
