"""The documents in both languages and their code blocks, for tests that run or read what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The pages of the site in the order of their table, without the folder.
PAGES = (
    "index",
    "install",
    "configuration",
    "messages",
    "two-way",
    "alertmanager",
    "stores",
    "network",
    "operations",
    "http",
    "performance",
    "comparison",
    "chaos",
)
README, CONFIGURATION, HTTP, OPERATIONS = "README.md", "docs/configuration.md", "docs/http.md", "docs/operations.md"
TWO_WAY, ALERTMANAGER = "docs/two-way.md", "docs/alertmanager.md"
#: Each English document with the Korean one.
PAIRS = {README: "README.ko.md", **{f"docs/{page}.md": f"docs/ko/{page}.md" for page in PAGES}}
ENGLISH = tuple(PAIRS)
DOCUMENTS = (*PAIRS, *PAIRS.values())


def text(name: str) -> str:
    """A document's text."""
    return (ROOT / name).read_text("utf-8")


def both(name: str) -> tuple[str, str]:
    """A document's name in English and in Korean."""
    return name, PAIRS[name]


def blocks(language: str = r"\w+", *, of: str | tuple[str, ...] = ENGLISH) -> list[str]:
    """The contents of the code blocks of one document, or of several; without ``of``, of all English ones."""
    names = (of,) if isinstance(of, str) else of
    found = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [block for name in names for block in found.findall(text(name))]
