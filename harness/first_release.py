"""The first release, as its users have it: what it wrote must be read here, and what is written here it must read."""

import functools
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

#: The last commit of the first release.
COMMIT = "c1e416eb9e0a5e04a0f4f089e0209e4710be0a3b"
_ROOT = Path(__file__).parents[1]


@functools.cache
def extracted() -> Path:
    """The folder that its files are extracted in, ``src`` and ``gunicorn.conf.py`` among them.

    They are kept from one run to the next. Without the history the test is skipped on a laptop, and fails in CI.
    """
    folder = Path(tempfile.gettempdir()) / f"alert-threader-first-release-{os.getuid()}-{COMMIT[:12]}"
    if folder.exists():
        return folder
    archive = subprocess.run(["git", "archive", COMMIT], cwd=_ROOT, capture_output=True, check=False)
    if archive.returncode:
        missing = f"there is no commit {COMMIT[:12]} here: {archive.stderr.decode().strip()}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as fresh,
        tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar,
    ):
        tar.extractall(fresh, filter="data")
        try:
            Path(fresh).rename(folder)
        except OSError:  # another run was first
            assert folder.exists()
        else:
            Path(fresh).mkdir()  # for the end of the block to take away
    return folder


def run(arguments: Sequence[str], given: bytes = b"") -> bytes:
    """Run Python with the first release's code instead of this one's; return what it prints."""
    environ = {**os.environ, "PYTHONPATH": str(extracted() / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, *arguments], input=given, env=environ, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout
