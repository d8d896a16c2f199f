"""What a measurement returns, and how it is shown."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_MET = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Row:
    """One figure of each contender that has it. ``met`` is None where there is no goal."""

    what: str
    unit: str
    values: Mapping[str, float]
    goal: str = ""
    met: bool | None = None


def at_most(what: str, unit: str, values: Mapping[str, float], subject: str, limit: float) -> Row:
    """A row whose goal is that the subject's figure is at most so much."""
    return Row(what, unit, values, f"{subject} ≤ {limit:g}", values[subject] <= limit)


def at_least(what: str, unit: str, values: Mapping[str, float], subject: str, limit: float) -> Row:
    """A row whose goal is that the subject's figure is at least so much."""
    return Row(what, unit, values, f"{subject} ≥ {limit:g}", values[subject] >= limit)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, which reads well in a terminal too: a column for each contender."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    goals = any(row.goal for row in rows)
    cells = [["", *names, *(["goal", ""] if goals else [])]]
    for row in rows:
        label = f"{row.what}, {row.unit}" if row.unit else row.what
        figures = [_figure(row.values[name]) if name in row.values else "" for name in names]
        cells.append([label, *figures, *([row.goal, _MET[row.met]] if goals else [])])
    widths = [max(3, *(len(line[column]) for line in cells)) for column in range(len(cells[0]))]
    numbers = range(1, 1 + len(names))
    ruler = ["-" * (width - 1) + ":" if column in numbers else "-" * width for column, width in enumerate(widths)]
    lines = [
        "| "
        + " | ".join(
            c.rjust(w) if n in numbers else c.ljust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (cells[0], ruler, *cells[1:])
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Result:
    """What came of one measurement, how long it took (s), and whether the machine was busy before (load average)."""

    rows: Sequence[Row]
    seconds: float
    load_before: float


def write_json(path: Path, machine: Mapping[str, object], results: Mapping[str, Result]) -> None:
    """Write everything to a file."""
    document = {"machine": machine, "results": {name: asdict(result) for name, result in results.items()}}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpus[0] if cpus else platform.processor(),
        "cpus": os.cpu_count(),
        "memory_gb": round(memory / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _figure(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
