"""Every fault of ``make chaos``, in its short version: nothing is lost, told twice or out of order."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.faults import FAULTS
from harness.service import ROOT

#: Most of a fault is waiting: so many go on side by side.
_AT_ONCE = 2 + (os.cpu_count() or 1)
#: How long one may take, in seconds.
_LONGEST = 300
#: The longest first, so that they do not go on alone in the end.
_FIRST = ("rolling", "replicas", "alertmanager", "kill", "torn-file", "redis-down")

Runs = dict[str, Future[subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The faults that tests were selected for, under way, each as a process of its own."""
    folder = tmp_path_factory.mktemp("chaos")
    names = [name for name in dict.fromkeys((*_FIRST, *FAULTS)) if _is_selected(name, request.session)]
    # Read here: pytest changes it from test to test, and whoever reads it in another thread meanwhile can fail.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {name: pool.submit(let_loose, name, folder / f"{name}.json", environ) for name in names}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(runs: Runs, name: str) -> None:
    """What was sent to the service while the fault was let loose is told once and in order."""
    done = runs[name].result()
    if done.returncode == 2 and not os.environ.get("CI"):
        pytest.skip(done.stdout.splitlines()[0])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "sound: sent 0" not in done.stdout, "nothing was sent"


def let_loose(name: str, file: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one fault to its end."""
    command = [sys.executable, "-m", "chaos", name, "--quick", "--json", str(file)]
    return subprocess.run(command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=_LONGEST)


def _is_selected(name: str, session: pytest.Session) -> bool:
    return any(item.name == f"test_fault[{name}]" for item in session.items)
