"""``python -m bench [--quick] [--json FILE] [--page FILE …] [NAME …]``: measure, print tables, write JSON."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import accept, burst, commit, growth, late, page, poll, press, quiet, redis_store, render, size, storm
from bench.report import Result, Row, machine, table, write_json

_MEASUREMENTS: dict[str, Callable[..., list[Row]]] = {
    "quiet": quiet.measure,
    "burst300": burst.measure,
    "accept": accept.measure,
    "size": size.measure,
    "growth": growth.measure,
    "commit": commit.measure,
    "render": render.measure,
    "redis": redis_store.measure,
    "storm": storm.measure,
    "late": late.measure,
    "press": press.measure,
    "poll": poll.measure,
}


def main() -> int:
    """Measure; return 1 if a goal is missed and that was asked for."""
    arguments = _arguments()
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    results: dict[str, Result] = {}
    for name in arguments.names or _MEASUREMENTS:
        began, load = time.monotonic(), os.getloadavg()[0]
        print(f"\n## {name}\n", flush=True)
        # A folder on a real disk: /tmp may be memory, where a sync costs nothing.
        with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.folder) as folder:
            rows = _MEASUREMENTS[name](Path(folder) / name, quick=arguments.quick)
        results[name] = Result(rows, round(time.monotonic() - began, 1), round(load, 2))
        print(table(rows))
        print(f"\n({results[name].seconds:.0f} s, load average before {load:.2f})", flush=True)
        # After each: what fails later, or is broken off, takes nothing away.
        write_json(arguments.json, about, results)
    page.write(arguments.page, about, results, quick=arguments.quick)
    missed = [
        f"{name}: {row.what} ({', '.join(row.missed)} {row.goal})"
        for name, result in results.items()
        for row in result.rows
        if row.missed
    ]
    print("\n".join(["", f"written to {arguments.json}", *(f"missed: {each}" for each in missed)]))
    return 1 if missed and arguments.strict else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=sys.modules["bench"].__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(_MEASUREMENTS)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, to see that it runs")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument(
        "--json",
        type=Path,
        default=Path(__file__).with_name("results.json"),
        metavar="FILE",
        help="where the figures go",
    )
    parser.add_argument(
        "--page", type=Path, nargs="+", default=[], metavar="FILE", help="pages whose tables are to be replaced"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(__file__).parent, help="where files are kept meanwhile: the disk to measure"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(_MEASUREMENTS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; choose from {', '.join(_MEASUREMENTS)}")
    for program in ("redis-server", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            parser.error(f"{program} is not installed (Debian: apt-get install {program})")
    names = arguments.names or _MEASUREMENTS
    if arguments.page and not page.tables_of(names):
        parser.error("--page needs all measurements of a table: " + ", or ".join(map(", ".join, page.NEEDED)))
    for path in arguments.page:
        if missing := page.missing_marks(path.read_text("utf-8")):
            parser.error(f"{path} has no place for a table: {missing}, once")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
