"""A database's log that is damaged: SQLite passes over it without a word, the store says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alert_threader.store.wal import damage
from tests.stores.kit import opened

_HEADER, _FRAME = 32, 24 + 4096


def crashed(folder: Path, commits: int) -> Path:
    """The files of a store that was killed after so many commits; return its readable copy."""
    path = folder / "threads.json"
    with opened(folder / "running" / "threads.json") as kit:
        for number in range(commits):
            kit.fire(str(number))
        for file in (folder / "running").glob("threads.*"):
            shutil.copyfile(file, folder / file.name)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that was killed after five commits."""
    (tmp_path / "running").mkdir()
    return crashed(tmp_path, 5)


def last_commits(log: bytes, count: int) -> int:
    """Where the frames of the last commits begin."""
    ends = [at for at in range(_HEADER, len(log), _FRAME) if log[at + 4 : at + 8] != bytes(4)]
    return ends[-count - 1] + _FRAME


def garbled(log: bytes, at: int) -> bytes:
    """The log with a byte changed."""
    return log[:at] + bytes([log[at] ^ 0xFF]) + log[at + 1 :]


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda log: garbled(log, last_commits(log, 3) + 200),
    "the salt of a frame": lambda log: garbled(log, last_commits(log, 3) + 9),
    "zeros": lambda log: log[: (at := last_commits(log, 3))] + bytes(200) + log[at + 200 :],
    "the header": lambda log: garbled(log, 20),
    "all of it": lambda log: bytes(len(log)),
}


@pytest.mark.parametrize("harm", _DAMAGES.values(), ids=_DAMAGES)
def test_damage_is_said_and_kept(path: Path, harm: Callable[[bytes], bytes]) -> None:
    """Threads that were acknowledged are gone: nobody may take that for a clean start."""
    file = path.with_name("threads.db-wal")
    harmed = harm(file.read_bytes())
    file.write_bytes(harmed)
    with opened(path) as kit:
        assert len(kit.keys) < 5
        (aside,) = path.parent.glob("threads.db-wal.damaged-*")
        assert aside.read_bytes() == harmed
        assert any(f"{file} is damaged" in each and str(aside) in each for each in kit.store.warnings())


@pytest.mark.parametrize("left", [-1, -_FRAME, -_FRAME - 1])
def test_last_commit_that_is_cut_off_is_none(path: Path, left: int) -> None:
    """Whoever sent it got no answer: a crash in the middle of a commit is no damage."""
    file = path.with_name("threads.db-wal")
    file.write_bytes(file.read_bytes()[:left])
    with opened(path) as kit:
        assert len(kit.keys) == 4
        assert not [each for each in kit.store.warnings() if "damaged" in each]


def test_whole_log_is_silent(path: Path) -> None:
    """After a kill every commit is there, and nothing is said."""
    assert damage(path.with_name("threads.db-wal").read_bytes()) == ""
    with opened(path) as kit:
        assert len(kit.keys) == 5
        assert kit.store.warnings() == []


@pytest.mark.parametrize("log", [b"", bytes(32)])
def test_log_without_a_frame_is_silent(log: bytes) -> None:
    """Nothing was committed to it."""
    assert damage(log) == ""
