"""The documentation as a site."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT

pytest.importorskip("material", reason="mkdocs-material is not installed: make test installs it")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds; its options are the Makefile's."""
    (recipe,) = re.findall(r"^docs:.*\n\t@(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    environment, _, options = recipe.partition("$(BIN)/mkdocs ")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", *options.split(), "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **dict(each.split("=") for each in environment.split())},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr, built.stderr
    return folder


def test_pages(site: Path) -> None:
    """Each page is there in both languages, and each leads to all others of its language and to the other language."""
    for folder in (site, site / "ko"):
        for page in PAGES:
            html = (folder / f"{page}.html").read_text("utf-8")
            links = set(re.findall(r'href="([^"#]+)"', html))
            assert {f"{other}.html" for other in PAGES if other != page} <= links, page
            assert 'hreflang="ko"' in html


def test_nothing_from_elsewhere(site: Path) -> None:
    """A page loads nothing from another host."""
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8"))
        assert [link for link in loaded if "canonical" not in link] == [], page
