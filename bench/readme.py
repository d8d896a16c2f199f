"""The READMEs' table: the figures that matter most, between two marks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import FILE, FLOOR, NOOP, PLAIN, REDIS
from bench.report import Result, Row

_SECTION = re.compile(r"(?<=^<!-- bench -->\n).*?(?=^<!-- /bench -->$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class _Language:
    contenders: Mapping[str, str]
    goal: str
    met: str
    missed: str
    quick: str


_ENGLISH = _Language(
    {NOOP: "no-op route", PLAIN: "plain poster", FLOOR: "floor", FILE: "file", REDIS: "Redis"},
    goal="goal",
    met="met",
    missed="MISSED",
    quick="a trial with less work (`--quick`)",
)
_KOREAN = _Language(
    {NOOP: "빈 라우트", PLAIN: "단순 전송기", FLOOR: "하한", FILE: "파일", REDIS: "Redis"},
    goal="목표",
    met="달성",
    missed="미달",
    quick="작업량을 줄인 시험 실행(`--quick`)",
)


@dataclass(frozen=True)
class Line:
    """A row of a measurement, and what the READMEs call it; ``…`` goes on from the line above."""

    measurement: str
    what: str
    english: str
    korean: str


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
#: The measurements that the table needs.
NEEDED = tuple(dict.fromkeys(line.measurement for line in LINES))


def write(paths: Sequence[Path], machine: Mapping[str, object], results: Mapping[str, Result], *, quick: bool) -> None:
    """Replace what is between the marks of each README; the ``.ko`` in a name makes it Korean."""
    for path in paths:
        language = _KOREAN if ".ko" in path.suffixes else _ENGLISH
        section = f"{_table(language, results)}\n\n{_about(machine, language.quick if quick else '')}\n"
        path.write_text(replaced(path.read_text("utf-8"), section), "utf-8")


def has_marks(text: str) -> bool:
    """Whether a text has the two marks, once."""
    return len(_SECTION.findall(text)) == 1


def replaced(text: str, section: str) -> str:
    """The text with these lines between its marks."""
    return _SECTION.sub(lambda _: section, text)


def _table(language: _Language, results: Mapping[str, Result]) -> str:
    rows = {(name, row.what): row for name, result in results.items() for row in result.rows}
    cells = [["", *language.contenders.values(), language.goal, ""]]
    cells.append(["---", *("---:" for _ in language.contenders), "---", "---"])
    cells += [_cells(line, rows[line.measurement, line.what], language) for line in LINES]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _cells(line: Line, row: Row, language: _Language) -> list[str]:
    label = line.korean if language is _KOREAN else line.english
    figures = row.cells(list(language.contenders))
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
