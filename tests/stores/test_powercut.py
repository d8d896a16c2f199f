"""No acknowledged change is lost when the power is, at any moment, on any disk that keeps what it has synced."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alert_threader.errors import StoreError
from alert_threader.store import SqliteStore
from tests.stores.powercut import Disk, Operation, build, record
from tests.stores.powercut_workload import POLICY

#: How many cuts are played.
CUTS = 240

Recorded = Callable[..., list[Operation]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records."""
    if shutil.which("cc") is None and not os.environ.get("CI"):
        pytest.skip("there is no C compiler")
    return build(tmp_path_factory.mktemp("powercut"))


@pytest.fixture
def recorded(library: Path, tmp_path: Path) -> Recorded:
    """Let a store live, in health or with a fault planted in it, and return what it asked of the kernel."""

    def run(sabotage: str = "", drop: str = "") -> list[Operation]:
        folder = tmp_path / "store"
        folder.mkdir()
        workload = Path(__file__).with_name("powercut_workload.py")
        return record(library, folder, tmp_path / "log", str(workload), str(folder), sabotage, drop=drop)

    return run


def moments(operations: list[Operation], count: int) -> set[int]:
    """After how many operations the power is cut: half of the moments lie right before and after a sync or an answer.

    None lies between the deletion of the database and the next answer: what a disk loses then, somebody has deleted.
    """
    chance = random.Random(7)
    promised, near, deleted = [], [], False
    for number, each in enumerate(operations):
        if not deleted:
            promised.append(number)
            near += [number] if each.kind in "SDA" else []
        deleted = each.data == b"-\n" or (deleted and each.kind != "A")
    # The one after is promised too, unless it is the deletion's.
    chosen = {after for number in chance.sample(near, count // 4) for after in (number, number + 1)} & set(promised)
    rest = [number for number in promised if number not in chosen]
    return chosen | set(chance.sample(rest, count - len(chosen)))


def losses(operations: list[Operation], folder: Path, count: int) -> list[str]:
    """Play power cuts; return what is lost, a line for each change that was acknowledged and is not there."""
    disk, lost = Disk(), []
    cuts = moments(operations, count)
    assert len(cuts) == count
    for number, operation in enumerate(operations):
        if number in cuts:
            left = folder / f"cut-{number}"
            disk.lay_out(left, seed=number)
            lost += [f"cut {number}: {each}" for each in missing(left, disk.words)]
            shutil.rmtree(left)
        disk.do(operation)
    return lost


def missing(folder: Path, words: list[str]) -> list[str]:
    """What a start does not find of the changes that these words acknowledge, and what it complains of."""
    newest: dict[str, int] = {}
    for word in words:
        if word != "-":
            newest[f"k{int(word) % 12}"] = int(word)
    try:
        store = SqliteStore(folder / "threads.json", POLICY, "C0000001", 2.0)
    except StoreError as error:
        return [f"it does not start: {error}"]
    stamps, warnings = store.stamps(), store.warnings()
    store.close()
    lost = [
        f"{key} is {stamps.get(key)}, not {number}"
        for key, number in newest.items()
        if int(stamps.get(key, 0)) < number
    ]
    return lost + [warning for warning in warnings if "lost" in warning or "damaged" in warning]


def test_no_acknowledged_change_is_lost(recorded: Recorded, tmp_path: Path) -> None:
    """Through commits, exports, checkpoints, a deleted database, stops and starts."""
    operations = recorded()
    assert sum(each.kind == "A" and each.data != b"-\n" for each in operations) == 180
    assert losses(operations, tmp_path, CUTS) == []


@pytest.mark.parametrize(
    ("sabotage", "drop"),
    [
        ("no sync of the log", ""),
        ("syncs at checkpoints alone", ""),
        ("", "-wal"),
        ("", ".db.new"),
        ("no folder sync", ""),
        ("no folder sync after an export", ""),
    ],
    ids=[
        "SQLite does not sync",
        "SQLite syncs at checkpoints alone",
        "the log's syncs are swallowed",
        "the database's are",
        "no folder is synced",
        "the folder is not synced after an export",
    ],
)
def test_the_rig_finds_planted_faults(recorded: Recorded, tmp_path: Path, sabotage: str, drop: str) -> None:
    """Each of these loses what was acknowledged, and is found out."""
    assert losses(recorded(sabotage, drop), tmp_path, CUTS) != []
