"""The making of one message alone, here and by the first release: the root of a thread of so many alerts."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import rendering
from bench.processes import FILE, FORMER
from bench.report import Row, at_most
from bench.webhooks import webhook
from harness import first_release

_SIZES = (1, 10, 60)
_ROUNDS = 5
#: Where the two releases keep what is measured.
_HERE = "alert_threader.alertmanager.webhook"
_THERE = "alert_threader.webhook"


def measure(_folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows."""
    times = 20 if quick else 200
    took: dict[str, dict[int, list[float]]] = {FILE: {}, FORMER: {}}
    code = {FILE: (os.environ.get("PYTHONPATH", ""), _HERE), FORMER: (str(first_release.extracted() / "src"), _THERE)}
    for _ in range(_ROUNDS):  # in turns, so that a slow moment of the machine is one of both
        for name, (path, module) in code.items():
            for size, median in _timed(path, module, times).items():
                took[name].setdefault(size, []).append(median)
    rows = []
    for size in _SIZES:
        figures = {name: sorted(medians[size])[_ROUNDS // 2] for name, medians in took.items()}
        rows.append(Row(f"the root of {size} alerts", "ms", figures))
        ratio = {FILE: figures[FILE] / figures[FORMER]}
        what = f"the root of {size} alerts, × first release"
        rows.append(at_most(what, "", ratio, [FILE], 1.3) if size == 10 else Row(what, "", ratio))
    return rows


def _timed(path: str, module: str, times: int) -> dict[int, float]:
    """The median time of each size in ms, by the code that lies in a folder."""
    given = json.dumps([[size, webhook("Replication", size).decode()] for size in _SIZES])
    # As text: a script's own folder would be looked in for modules.
    script = Path(rendering.__file__).read_text()
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", script, module, str(times)],
        input=given,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return {int(size): median for size, median in json.loads(ended.stdout).items()}
