"""The tables of docs/performance.md: the figures that matter most, each table between two marks."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peer import NAME as ALERTMANAGER
from bench.processes import FILE, FLOOR, NOOP, PLAIN, REDIS
from bench.report import Result, Row


@dataclass(frozen=True)
class _Language:
    contenders: Mapping[str, str]
    goal: str
    met: str
    missed: str
    quick: str


_ENGLISH = _Language(
    {
        NOOP: "no-op route",
        PLAIN: "plain poster",
        FLOOR: "floor",
        FILE: "file",
        REDIS: "Redis",
        ALERTMANAGER: "Alertmanager's own",
    },
    goal="goal",
    met="met",
    missed="MISSED",
    quick="a trial with less work (`--quick`)",
)
_KOREAN = _Language(
    {
        NOOP: "빈 라우트",
        PLAIN: "단순 전송기",
        FLOOR: "하한",
        FILE: "파일",
        REDIS: "Redis",
        ALERTMANAGER: "내장 리시버",
    },
    goal="목표",
    met="달성",
    missed="미달",
    quick="작업량을 줄인 시험 실행(`--quick`)",
)


@dataclass(frozen=True)
class Line:
    """A row of a measurement, and what the page calls it; ``…`` goes on from the line above."""

    measurement: str
    what: str
    english: str
    korean: str


@dataclass(frozen=True)
class Table:
    """A table between the marks of this name: its columns and its rows."""

    mark: str
    contenders: Sequence[str]
    lines: Sequence[Line]

    @property
    def needed(self) -> tuple[str, ...]:
        """The measurements that it needs."""
        return tuple(dict.fromkeys(line.measurement for line in self.lines))

    @property
    def section(self) -> re.Pattern[str]:
        """What is between its marks."""
        return re.compile(rf"(?<=^<!-- {self.mark} -->\n).*?(?=^<!-- /{self.mark} -->$)", re.MULTILINE | re.DOTALL)


LINES = (
    Line("accept", "new: accepted", "webhooks accepted a second, 8 connections", "초당 받은 웹훅, 연결 8개"),
    Line("accept", "new: accepted, × no-op", "… × the no-op route", "… 빈 라우트 대비 (배)"),
    Line("accept", "new: accepted, × floor", "… × the floor", "… 하한 대비 (배)"),
    Line("accept", "new: p50", "… p50, ms", "… p50, ms"),
    Line("accept", "new: p99", "… p99, ms", "… p99, ms"),
    Line("accept", "repeated: accepted", "the same webhooks again, a second", "같은 웹훅을 다시 받을 때, 초당"),
    Line("accept", "repeated: accepted, × no-op", "… × the no-op route", "… 빈 라우트 대비 (배)"),
    Line("accept", "repeated: accepted, × floor", "… × the floor", "… 하한 대비 (배)"),
    Line("accept", "repeated: p99", "… p99, ms", "… p99, ms"),
    Line(
        "accept", "new: processor time for 1,000 alerts", "CPU time for 1,000 alerts, s", "알림 1,000건의 CPU 시간, s"
    ),
    Line(
        "burst300", "longest answer", "300 connections at once: the last answer, s", "동시 연결 300개: 마지막 응답, s"
    ),
    Line("burst300", "not answered 2xx", "… not answered 2xx", "… 2xx가 아닌 응답"),
    Line("quiet", "webhook to Slack, median", "quiet webhook until Slack, ms", "한가할 때 웹훅에서 Slack까지, ms"),
    Line("quiet", "webhook to Slack, median, × plain", "… × the plain poster", "… 단순 전송기 대비 (배)"),
    Line("quiet", "webhook to Slack, median, × floor", "… × the floor", "… 하한 대비 (배)"),
    Line("storm", "threads opened", "storm: threads opened", "폭주: 열린 스레드"),
    Line("storm", "posts for the opening", "… messages for the opening", "… 여는 데 쓴 메시지"),
    Line("storm", "posts per thread, opening", "… messages per thread", "… 스레드당 메시지"),
    Line("storm", "every thread has its root after", "… all threads open after, s", "… 모든 스레드가 열릴 때까지, s"),
    Line("storm", "first critical root after", "… first critical one after, s", "… 첫 critical 스레드까지, s"),
    Line(
        "size",
        "memory after the load, 10 threads, above empty",
        "memory for 10 open threads, MB",
        "열린 스레드 10개의 메모리, MB",
    ),
    Line("size", "memory after the load, 1,000 threads, above empty", "… for 1,000, MB", "… 1,000개, MB"),
    Line("size", "memory after the load, 10,000 threads, above empty", "… for 10,000, MB", "… 10,000개, MB"),
    Line(
        "size",
        "1 connection, p50, 10 threads",
        "time to accept a change at 10 open threads, ms",
        "열린 스레드가 10개일 때 변경을 받는 시간, ms",
    ),
    Line("size", "1 connection, p50, 1,000 threads", "… at 1,000, ms", "… 1,000개, ms"),
    Line("size", "1 connection, p50, 10,000 threads", "… at 10,000, ms", "… 10,000개, ms"),
    Line(
        "size", "1 connection, p50, 10,000 threads, × 10 threads", "… at 10,000, × at 10", "… 10,000개, 10개 대비 (배)"
    ),
    Line(
        "size", "8 connections, p50, 10,000 threads, × 10 threads", "… the same, 8 connections", "… 같은 값, 연결 8개"
    ),
)
LATE_LINES = (
    Line(
        "late",
        "one 500, 503 or reset: shown after",
        "Slack fails once: shown after, s",
        "Slack이 한 번 실패: 보일 때까지, s",
    ),
    Line("late", "three 503 in a row: shown after", "… three times in a row, s", "… 세 번 연속, s"),
    Line("late", "a lost answer: known after", "a lost answer: known after, s", "응답이 유실됨: 알게 될 때까지, s"),
    Line(
        "late",
        "no look-up for a minute: shown after",
        "… outcome unknown, and nothing can be looked up: shown after, s",
        "… 결과를 알 수 없고 찾아볼 수도 없음: 보일 때까지, s",
    ),
    Line(
        "late",
        "after an outage, the first critical",
        "60 s of outage: the first critical after, s",
        "60초 장애: 첫 critical까지, s",
    ),
    Line("late", "after an outage, all threads", "… all 40 threads after, s", "… 스레드 40개 모두, s"),
    Line(
        "late",
        "storm: all threads are open after",
        "1,000 alerts in 40 threads: all open after, s",
        "알림 1,000건, 스레드 40개: 모두 열릴 때까지, s",
    ),
    Line("late", "storm: 429 from Slack", "… 429 from Slack", "… Slack의 429"),
    Line("late", "storm: the slowest webhook", "… the slowest webhook, s", "… 가장 느린 웹훅, s"),
    Line(
        "late",
        "one sender, 20 in a row: p50",
        "one sender, 20 webhooks in a row: p50, ms",
        "한 발신자의 연속 웹훅 20개: p50, ms",
    ),
)
TABLES = (
    Table("bench", (NOOP, PLAIN, FLOOR, FILE, REDIS), LINES),
    Table("late", (FILE, REDIS, ALERTMANAGER), LATE_LINES),
)
#: The measurements that each table needs.
NEEDED = tuple(table.needed for table in TABLES)


def tables_of(measurements: Collection[str]) -> list[Table]:
    """The tables for which all was measured."""
    return [table for table in TABLES if set(table.needed) <= set(measurements)]


def write(paths: Sequence[Path], machine: Mapping[str, object], results: Mapping[str, Result], *, quick: bool) -> None:
    """Replace the tables that were measured in each page; one in a folder ``ko`` is Korean."""
    for path in paths:
        language = _KOREAN if path.parent.name == "ko" else _ENGLISH
        about = _about(machine, language.quick if quick else "")
        text = path.read_text("utf-8")
        for table in tables_of(results):
            text = replaced(text, table, f"{_rows(table, language, results)}\n\n{about}\n")
        path.write_text(text, "utf-8")


def missing_marks(text: str) -> str:
    """The marks of a table that a text does not have once; empty where it has all."""
    missing = (table.mark for table in TABLES if len(table.section.findall(text)) != 1)
    return next((f"<!-- {mark} --> and <!-- /{mark} -->" for mark in missing), "")


def replaced(text: str, table: Table, section: str) -> str:
    """The text with these lines between a table's marks."""
    return table.section.sub(lambda _: section, text)


def _rows(table: Table, language: _Language, results: Mapping[str, Result]) -> str:
    rows = {(name, row.what): row for name, result in results.items() for row in result.rows}
    columns = [language.contenders[name] for name in table.contenders]
    cells = [["", *columns, language.goal, ""], ["---", *("---:" for _ in columns), "---", "---"]]
    cells += [_cells(line, rows[line.measurement, line.what], table, language) for line in table.lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _cells(line: Line, row: Row, table: Table, language: _Language) -> list[str]:
    label = line.korean if language is _KOREAN else line.english
    figures = row.cells(table.contenders)
    if row.goal is None:
        return [label, *figures, "", ""]
    missed = ", ".join(language.contenders[name] for name in row.missed)
    return [label, *figures, str(row.goal), f"{language.missed}: {missed}" if missed else language.met]


def _about(machine: Mapping[str, object], remark: str) -> str:
    facts = [
        machine["date"],
        f"{machine['cpus']} × {machine['cpu']}",
        f"{machine['memory_gb']} GB",
        f"Linux {machine['kernel']}",
        f"Python {machine['python']}",
    ]
    return " · ".join(map(str, [*facts, *([remark] if remark else [])]))
