"""What came of each fault: a line as it ends, a table at the end, and a file for machines."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.verdict import Verdict

_HEADS = ("fault", "seconds", "sent", "delivered", "lost", "twice", "out of order", "verdict")


@dataclass(frozen=True)
class Result:
    """The verdict and how long it took, in seconds; or why there is none."""

    seconds: float
    verdict: Verdict | None
    missing: str = ""

    @property
    def word(self) -> str:
        """The verdict in a word."""
        if self.verdict is None:
            return "not run"
        return "sound" if self.verdict.ok else "NOT SOUND"


def line(name: str, result: Result) -> str:
    """What to say as soon as a fault is over."""
    head = f"{name:14}{result.seconds:5.0f} s  {result.word}"
    return f"{head}: {result.verdict or result.missing}"


def table(results: Mapping[str, Result]) -> str:
    """A row for each fault, as Markdown, which reads well in a terminal too."""
    cells = [_HEADS, *(_row(name, result) for name, result in results.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADS))]
    rows = ["| " + " | ".join(map(_justified, row, widths, range(len(row)))) + " |" for row in cells]
    ruler = "|" + "|".join("-" * (width + 1) + "-:"[0 < n < len(widths) - 1] for n, width in enumerate(widths)) + "|"
    return "\n".join([rows[0], ruler, *rows[1:]])


def write_json(path: Path, machine: Mapping[str, object], results: Mapping[str, Result]) -> None:
    """Write everything to a file."""
    document = {
        name: {"word": result.word, "seconds": round(result.seconds, 1), "missing": result.missing}
        | (asdict(result.verdict) if result.verdict is not None else {})
        for name, result in results.items()
    }
    text = json.dumps({"machine": machine, "faults": document}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")


def _row(name: str, result: Result) -> tuple[str, ...]:
    found = result.verdict
    if found is None:
        return name, f"{result.seconds:.0f}", "", "", "", "", "", f"{result.word}: {result.missing}"
    counts = (found.sent, found.delivered, len(found.lost), len(found.twice), len(found.disordered))
    return name, f"{result.seconds:.0f}", *map(str, counts), result.word


def _justified(text: str, width: int, column: int) -> str:
    return text.rjust(width) if 0 < column < len(_HEADS) - 1 else text.ljust(width)
