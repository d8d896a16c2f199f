"""What ``chaos`` prints and writes, and that its chance begins with a seed."""

import json
import random
import sys
from itertools import islice
from pathlib import Path

import pytest

from chaos import __main__ as command
from chaos.faults import FAULTS, Fault
from chaos.faults.redis_down import outages
from chaos.mutation import mutants
from chaos.plan import CannotRunError, Plan
from chaos.report import Result, line, table
from chaos.verdict import Verdict

SOUND = Verdict(sent=3, delivered=3, figures={"kills": 2})
LOSING = Verdict(sent=3, delivered=2, lost=["a: sent fired, delivered nothing"])


def unsound(_plan: Plan) -> Verdict:
    """Lose something."""
    return LOSING


def impossible(_plan: Plan) -> Verdict:
    """Need what is not there."""
    raise CannotRunError("skipped: needs root")


def broken(_plan: Plan) -> Verdict:
    """Run into something."""
    raise AssertionError("it did not start:\n" + "\n".join(map(str, range(100))))


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Run faults by name as the command does; return the exit code and what is written."""
    file = folder / "results.json"
    monkeypatch.setattr(sys, "argv", ["chaos", *names, "--json", str(file)])
    code = command.main()
    written: dict[str, dict[str, object]] = json.loads(file.read_text())["faults"]
    return code, written


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        (Fault(lambda _plan: SOUND), 0, "sound"),
        (Fault(unsound), 1, "NOT SOUND"),
        (Fault(broken), 1, "NOT SOUND"),
        (Fault(impossible), 2, "not run"),
        (Fault(unsound, ("no-such-server",)), 2, "not run"),
    ],
)
def test_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Fault, code: int, word: str) -> None:
    """It is 1 if a fault found something, and 2 if one could not run."""
    monkeypatch.setitem(FAULTS, "tried", fault)
    ended, written = run(monkeypatch, tmp_path, "tried")
    assert ended == code
    assert written["tried"]["word"] == word


def test_what_is_not_sound_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Something found is worse than something not run."""
    monkeypatch.setitem(FAULTS, "one", Fault(impossible))
    monkeypatch.setitem(FAULTS, "two", Fault(unsound))
    assert run(monkeypatch, tmp_path, "one", "two")[0] == 1


def test_unknown_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fault that does not exist is no reason to run the others."""
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "flood")


def test_report() -> None:
    """A line says what there was and what is wrong, the table the counts of each."""
    results = {"kill": Result(2, SOUND), "clock": Result(3, LOSING), "load": Result(0, None, "skipped: needs root")}
    assert line("clock", results["clock"]).splitlines()[-1] == "  lost: a: sent fired, delivered nothing"
    assert "2 kills" in line("kill", results["kill"])
    rows = table(results).splitlines()
    assert len({len(row) for row in rows}) == 1
    assert [cell.strip() for cell in rows[3].split("|")[1:-1]] == ["clock", "3", "3", "2", "1", "0", "0", "NOT SOUND"]


def test_every_fault_says_what_it_does() -> None:
    """``--list`` has a line for each."""
    assert all(fault.about for fault in FAULTS.values())


def test_redis_is_away_for_long_once_for_each_end() -> None:
    """30 s, stopped as well as killed; the short version is over soon."""
    full, quick = (outages(Plan(Path(), quick=quick), random.Random(1)) for quick in (False, True))
    assert {outage.end for outage in full if outage.seconds >= 30} == {"kill", "stop"}
    assert {outage.end for outage in quick} == {"kill", "stop"}
    assert sum(outage.seconds for outage in quick) <= 6


def test_mutants_come_from_their_seed() -> None:
    """The same seed makes the same requests, so that a fault that one finds can be found again."""
    one, same, other = (list(islice(mutants(random.Random(seed)), 300)) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert 0 < sum(mutant.broken for mutant in one) < 60
