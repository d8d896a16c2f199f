"""The README's code blocks, for tests that run or read what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def text(name: str) -> str:
    """A README's text."""
    return (ROOT / name).read_text("utf-8")


def blocks(name: str, language: str = r"\w+") -> list[str]:
    """The contents of a README's code blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)
