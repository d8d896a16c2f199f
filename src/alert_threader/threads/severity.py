"""How bad an alert is: the words that senders use, and the level that each of them means."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

#: The levels, worst first. A word that means none of them, or no word at all, comes after a warning and before the
#: harmless ones: nobody knows how bad it is.
_ORDER = ("critical", "error", "warning", "", "info", "success", "debug")
LEVELS = tuple(filter(None, _ORDER))

#: What words mean by default, beside the levels themselves (SEVERITY_MAP adds to it).
DEFAULT_MAP: Mapping[str, str] = MappingProxyType(
    {
        word: level
        for level, words in {
            "critical": "page p1 sev1 emergency fatal disaster crit",
            "error": "high major p2 sev2 err",
            "warning": "warn minor average medium p3 sev3",
            "info": "low notice informational p4 p5 sev4 none ok",
        }.items()
        for word in words.split()
    }
)


def level_of(word: str, severity_map: Mapping[str, str] = DEFAULT_MAP) -> str:
    """The level that a severity means, in any case; empty where it means none of them."""
    word = word.strip().lower()
    level = severity_map.get(word, word)
    return level if level in LEVELS else ""


def severity_rank(level: str) -> int:
    """The order in which levels are delivered, 0 for critical."""
    return _ORDER.index(level) if level in _ORDER else _ORDER.index("")


class Severities(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that say how bad an alert is: the label, and the level of each word in it."""

    label: str = "severity"
    levels: Mapping[str, str] = DEFAULT_MAP

    def of(self, labels: Mapping[str, str]) -> str:
        """The word that an alert's labels give, as its sender wrote it; empty for none."""
        return labels.get(self.label) or ""

    def level(self, word: str) -> str:
        """The level that a word means, empty for none."""
        return level_of(word, self.levels)

    def worst(self, words: Iterable[str]) -> str:
        """The word for the worst of some severities, the first one of equally bad ones; empty where that is none."""
        return min(words, key=lambda word: severity_rank(self.level(word)), default="")
