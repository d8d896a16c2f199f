"""Secrets: a type that never shows its value, and a function that redacts values from a text."""

import hmac
import re
from collections.abc import Callable, Iterable
from typing import NoReturn, Self

#: Shorter secrets are not redacted: removing every "a" would make a log unreadable and protect nothing.
SHORTEST_REDACTED = 4

#: Any Slack token, known to us or not (https://docs.slack.dev/authentication/tokens).
_ANY_OF_SLACK = r"(?:xoxe\.)?(?:xox[a-z]|xapp)-[\w-]+"
#: The user and password of any URL.
_URL_LOGIN = r"(?<=://)[^\s/@'\"]*:[^\s/'\"]*(?=@)"


class Secret:
    """A text that no log, traceback or pickle shows. Equality takes the same time for every wrong guess."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself. Pass it straight on, and keep no copy."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # "surrogatepass": what could not be decoded compares like any other text.
        mine, theirs = (each.reveal().encode("utf-8", "surrogatepass") for each in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret([redacted])"

    def __str__(self) -> str:
        return "[redacted]"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never written anywhere")


def redactor(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """Return a function that writes "[redacted]" for these secrets, and for whatever looks like one."""
    # The longest first: where one secret begins like another, no tail of it stays behind.
    known = sorted({secret.reveal() for secret in secrets}, key=len, reverse=True)
    literal = [re.escape(value) for value in known if len(value) >= SHORTEST_REDACTED]
    pattern = re.compile("|".join([*literal, _ANY_OF_SLACK, _URL_LOGIN]))
    return lambda text: pattern.sub("[redacted]", text)
