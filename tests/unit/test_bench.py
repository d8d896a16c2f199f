"""What the measurements report: goals and tables. The measuring itself is `make bench`."""

import json
from pathlib import Path

import pytest

from bench import report
from bench.report import Result, Row, at_least, at_most, table

MACHINE = {"date": "2026-01-15", "cpu": "Z80", "cpus": 2, "memory_gb": 0.1, "kernel": "6.1", "python": "3.11.2"}
BOTH = ("file", "redis")


@pytest.mark.parametrize(
    ("file", "redis", "missed"),
    [(5, 5, []), (5.1, 5, ["file"]), (5, 5.1, ["redis"]), (6, 6, ["file", "redis"])],
)
def test_at_most(file: float, redis: float, missed: list[str]) -> None:
    """A goal is for each of its subjects; the limit itself is met, and what others need does not matter."""
    assert at_most("p99", "ms", {"plain": 9, "file": file, "redis": redis}, BOTH, 5).missed == missed


def test_at_least() -> None:
    """The other direction."""
    assert at_least("rate", "", {"file": 0.7, "redis": 0.69}, BOTH, 0.7).missed == ["redis"]


def test_figure_that_is_not_there() -> None:
    """A subject that was not measured has not met its goal."""
    assert at_most("p99", "ms", {"file": 1}, BOTH, 5).missed == ["redis"]


def test_no_goal() -> None:
    """Without a goal nothing is missed."""
    assert Row("p50", "ms", {"file": 1}).missed == []


def test_table() -> None:
    """A column for each contender; goals name their subjects, and who misses one is named."""
    rows = [
        Row("rate", "1/s", {"noop": 2500, "file": 812.4}),
        at_most("p99", "ms", {"file": 9.5, "redis": 61.0}, BOTH, 50),
        at_most("refused", "", {"file": 0, "redis": 0}, BOTH, 0),
    ]
    assert table(rows).splitlines() == [
        "|           |  noop | file | redis | goal             |               |",
        "| --------- | ----: | ---: | ----: | ---------------- | ------------- |",
        "| rate, 1/s | 2,500 |  812 |       |                  |               |",
        "| p99, ms   |       | 9.50 |    61 | file, redis ≤ 50 | MISSED: redis |",
        "| refused   |       |    0 |     0 | file, redis ≤ 0  | met           |",
    ]


def test_json(tmp_path: Path) -> None:
    """The file has the figures as they were measured, the goals, and who missed them."""
    path = tmp_path / "results.json"
    report.write_json(
        path, MACHINE, {"accept": Result([at_most("p99", "ms", {"file": 51.25}, ["file"], 50)], 3.5, 0.1)}
    )
    assert json.loads(path.read_text("utf-8")) == {
        "machine": MACHINE,
        "results": {
            "accept": {
                "rows": [
                    {"what": "p99", "unit": "ms", "values": {"file": 51.25}, "goal": "file ≤ 50", "missed": ["file"]}
                ],
                "seconds": 3.5,
                "load_before": 0.1,
            }
        },
    }
