"""What the measurements report: goals, tables, the page about performance. The measuring itself is `make bench`."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import accept, late, page, report, size, storm
from bench.page import TABLES, missing_marks, replaced
from bench.processes import BEFORE
from bench.report import Result, Row, at_least, at_most, table

LINES = [line for table in TABLES for line in table.lines]
#: What a page needs, where nothing was measured yet.
MARKS = "<!-- bench -->\n<!-- /bench -->\n<!-- late -->\n<!-- /late -->\n"
MACHINE = {"date": "2026-01-15", "cpu": "Z80", "cpus": 2, "memory_gb": 0.1, "kernel": "6.1", "python": "3.11.2"}
BOTH = ("file", "redis")


def results(missed: Sequence[str] = ()) -> dict[str, Result]:
    """All that the page shows; these contenders miss each goal."""
    values = {name: 2.0 if name in missed else 1.0 for name in ("noop", "plain", "floor", *BOTH, "alertmanager")}
    rows: dict[str, list[Row]] = defaultdict(list)
    for line in LINES:
        rows[line.measurement].append(at_most(line.what, "s", values, BOTH, 1.5))
    return {name: Result(each, 1.0, 0.0) for name, each in rows.items()}


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


def test_section_is_replaced() -> None:
    """Only what is between the marks changes, however often."""
    text = "# A\n\n<!-- bench -->\nold\n\nlines\n<!-- /bench -->\n\n`<!-- bench -->` in a sentence\n"
    bench, late = TABLES
    once = replaced(text, bench, "new \\1 line\n")
    assert once == text.replace("old\n\nlines\n", "new \\1 line\n")
    assert replaced(once, bench, "") == text.replace("old\n\nlines\n", "")
    assert replaced(text, late, "new") == text


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (MARKS, ""),
        ("<!-- bench -->\n", "bench"),
        ("<!-- /bench -->\n<!-- bench -->\n", "bench"),
        (MARKS * 2, "bench"),
        ("<!-- bench -->\n<!-- /bench -->\n", "late"),
    ],
)
def test_marks(text: str, missing: str) -> None:
    """A page needs both marks of each table in this order, once."""
    assert missing_marks(text) == (missing and f"<!-- {missing} --> and <!-- /{missing} -->")


def test_pages(tmp_path: Path) -> None:
    """Each page gets the table in its language, and the machine; what is around it stays."""
    english, korean = tmp_path / "page.md", tmp_path / "ko/page.md"
    korean.parent.mkdir()
    for path in (english, korean):
        path.write_text(f"before\n{MARKS}after\n", "utf-8")
    page.write([english, korean], MACHINE, results(missed=["redis"]), quick=True)
    lines = english.read_text("utf-8").splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == ("before", "<!-- bench -->", "<!-- /late -->", "after")
    assert lines[2] == "|  | no-op route | plain poster | floor | file | Redis | goal |  |"
    assert lines[4] == "| webhooks accepted a second, 8 connections | 1 | 1 | 1 | 1 | 2 | ≤ 1.5 | MISSED: Redis |"
    assert lines[-3] == "2026-01-15 · 2 × Z80 · 0.1 GB · Linux 6.1 · Python 3.11.2 · a trial with less work (`--quick`)"
    assert "| Slack fails once: shown after, s | 1 | 2 | 1 | ≤ 1.5 | MISSED: Redis |" in lines
    assert "| 초당 받은 웹훅, 연결 8개 | 1 | 1 | 1 | 1 | 2 | ≤ 1.5 | 미달: Redis |" in korean.read_text("utf-8")


def test_page_of_a_full_run(tmp_path: Path) -> None:
    """A full run says met where it is met, and nothing of a trial."""
    path = tmp_path / "page.md"
    path.write_text(MARKS.replace("\n<!-- /", "\nold\n<!-- /"), "utf-8")
    page.write([path], MACHINE, results(), quick=False)
    text = path.read_text("utf-8")
    assert text.count("| met |") == len(LINES)
    assert "MISSED" not in text
    assert "--quick" not in text
    assert "old" not in text


def test_lines_are_measured() -> None:
    """The rows that the page shows are named as the measurements name them."""
    one = dict.fromkeys(("noop", "plain", "floor", *BOTH, *BEFORE.values()), 1.0)
    accepted: dict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [value] for name, value in one.items()})
    sizes: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: one))
    measured = {
        "accept": [row for kind in ("new", "repeated") for row in accept._rows(accepted, kind)],
        "size": size._rows(sizes),
        "storm": storm._rows({"file": defaultdict(float)}, 40),
        "late": late._rows({"file": defaultdict(float)}),
    }
    for name, rows in measured.items():
        assert {line.what for line in LINES if line.measurement == name} <= {row.what for row in rows}
