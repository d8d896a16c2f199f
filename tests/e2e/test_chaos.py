"""Every fault of ``python -m chaos``, in its short version: nothing is lost, told twice or out of order."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.faults import FAULTS
from tests.e2e.harness import ROOT

#: Most of a fault is waiting: so many go on side by side. It is more with more processors.
_AT_ONCE = 2 + (os.cpu_count() or 1)
#: How long one may take that waits for the others, in seconds.
_LONGEST = 300


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """The faults that are asked for, each a process of its own, under way."""
    folder = tmp_path_factory.mktemp("chaos")
    names = [item.callspec.params["name"] for item in request.session.items if item.path == Path(__file__)]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {name: pool.submit(run, name, folder) for name in names}
