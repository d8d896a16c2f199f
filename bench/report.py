"""What a measurement returns, and how it is shown."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """What the figure of each of these contenders has to be: at most (``≤``) or at least (``≥``) the limit."""

    subjects: Sequence[str]
    sign: str
    limit: float

    def met(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value <= self.limit if self.sign == "≤" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One figure of each contender that has it, and its goal if there is one."""

    what: str
    unit: str
    values: Mapping[str, float]
    goal: Goal | None = None

    @property
    def missed(self) -> list[str]:
        """The contenders that miss the goal; one without a figure does, too."""
        if self.goal is None:
            return []
        return [name for name in self.goal.subjects if name not in self.values or not self.goal.met(self.values[name])]

    @property
    def goal_in_words(self) -> str:
        """The goal with its subjects; empty where there is none."""
        return f"{', '.join(self.goal.subjects)} {self.goal}" if self.goal else ""

    def cells(self, names: Sequence[str]) -> list[str]:
        """The figures of these contenders, for people."""
        return [_figure(self.values[name]) if name in self.values else "" for name in names]


def at_most(what: str, unit: str, values: Mapping[str, float], subjects: Sequence[str], limit: float) -> Row:
    """A row whose goal is that the figure of each subject is at most so much."""
    return Row(what, unit, values, Goal(subjects, "≤", limit))


def at_least(what: str, unit: str, values: Mapping[str, float], subjects: Sequence[str], limit: float) -> Row:
    """A row whose goal is that the figure of each subject is at least so much."""
    return Row(what, unit, values, Goal(subjects, "≥", limit))


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, which reads well in a terminal too: a column for each contender."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    goals = any(row.goal for row in rows)
    cells = [["", *names, *(["goal", ""] if goals else [])]]
    for row in rows:
        label = f"{row.what}, {row.unit}" if row.unit else row.what
        cells.append([label, *row.cells(names), *(_goal(row) if goals else [])])
    widths = [max(3, *(len(line[column]) for line in cells)) for column in range(len(cells[0]))]
    numbers = range(1, 1 + len(names))
    ruler = ["-" * (width - 1) + ":" if column in numbers else "-" * width for column, width in enumerate(widths)]
    lines = [
        [c.rjust(w) if n in numbers else c.ljust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))]
        for line in (cells[0], ruler, *cells[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Result:
    """What came of one measurement, how long it took (s), and whether the machine was busy before (load average)."""

    rows: Sequence[Row]
    seconds: float
    load_before: float

    def as_json(self) -> dict[str, object]:
        """All of it, with each goal in words and the contenders that miss it."""
        rows = [{**asdict(row), "goal": row.goal_in_words, "missed": row.missed} for row in self.rows]
        return {**asdict(self), "rows": rows}


def write_json(path: Path, machine: Mapping[str, object], results: Mapping[str, Result]) -> None:
    """Write everything to a file."""
    document = {"machine": machine, "results": {name: result.as_json() for name, result in results.items()}}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def machine() -> dict[str, object]:
    """What the figures were measured on, and when."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpus[0] if cpus else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gb": round(memory / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _goal(row: Row) -> list[str]:
    if row.goal is None:
        return ["", ""]
    return [row.goal_in_words, f"MISSED: {', '.join(row.missed)}" if row.missed else "met"]


def _figure(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
