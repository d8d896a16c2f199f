"""The folder in which workers keep their numbers: who owns it, and what a scrape makes of workers that come and go."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from alert_threader.telemetry import multiprocess
from alert_threader.telemetry.multiprocess import SharedCollector, make_folder, remove_folder, remove_stale

#: Makes a folder as a master does, says which, and lives until its input ends.
MASTER = """
import sys
from alert_threader.telemetry.multiprocess import make_folder, remove_stale
remove_stale()
print(make_folder(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return tmp_path


@pytest.fixture
def made(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this process, as of a master's."""
    monkeypatch.setattr(multiprocess, "_lock", None)
    folder = make_folder()
    assert folder.parent == temporary
    return folder


def master(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another master and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", MASTER],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def counted(folder: Path, pid: int, value: float) -> None:
    """Write a worker's counter as the library does."""
    numbers = MmapedDict(str(folder / f"counter_{pid}.db"))  # type: ignore[no-untyped-call]
    numbers.write_value(mmap_key("seen", "seen_total", [], [], "Seen."), value, 0)  # type: ignore[no-untyped-call]
    numbers.close()  # type: ignore[no-untyped-call]


def seen(folder: Path) -> list[float]:
    """What a scrape shows."""
    return [sample.value for metric in SharedCollector(folder).collect() for sample in metric.samples]


def test_folder_of_a_killed_master_is_removed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next master removes it, and leaves that of a master at work alone."""
    monkeypatch.setattr(multiprocess, "_lock", None)
    killed, stale = master(temporary)
    living, used = master(temporary)
    with killed, living:
        killed.kill()
        killed.wait()
        remove_stale()
        own = make_folder()
        assert set(temporary.iterdir()) == {own, used}
        assert stale not in {own, used}
        living.kill()
    assert multiprocess._lock is not None
    os.close(multiprocess._lock)


def test_only_our_folders_are_removed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one without a lock, not what a link leads to, and not another user's."""
    monkeypatch.setattr(multiprocess, "_lock", None)
    elsewhere = temporary / "elsewhere"
    unlocked, other = (temporary / f"alert-threader-metrics-{name}" for name in ("unlocked", "other"))
    for folder in (elsewhere, unlocked, other):
        folder.mkdir()
        if "unlocked" not in folder.name:
            (folder / "master.lock").touch()
    (temporary / "alert-threader-metrics-link").symlink_to(elsewhere)
    before = set(temporary.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: elsewhere.stat().st_uid + 1)
        remove_stale()
        other_user = make_folder()
    assert set(temporary.iterdir()) == before | {other_user}
    assert multiprocess._lock is not None
    os.close(multiprocess._lock)
    remove_stale()
    own = make_folder()
    assert set(temporary.iterdir()) == before - {temporary / "alert-threader-metrics-other"} | {own}
    assert elsewhere.is_dir()
    os.close(multiprocess._lock)


def test_master_that_was_killed_at_once(temporary: Path) -> None:
    """Its folder has no lock, and never will: after a minute it is nobody's."""
    young, old = (temporary / f"alert-threader-metrics-{name}" for name in ("young", "old"))
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    remove_stale()
    assert list(temporary.iterdir()) == [young]


def test_numbers_are_added_up(made: Path) -> None:
    """Over all workers, also those that have ended."""
    counted(made, 1, 3)
    counted(made, 2, 4)
    assert seen(made) == [7]


def test_worker_that_is_just_starting(made: Path) -> None:
    """Its file is still empty: a scrape shows the others."""
    counted(made, 1, 3)
    (made / "counter_2.db").touch()
    assert seen(made) == [3]


def test_worker_that_ends_during_a_scrape(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that vanishes after it was listed is no failure: the files are read again."""
    counted(made, 1, 3)
    counted(made, 2, 4)
    listed = Path.glob

    def vanish(folder: Path, pattern: str) -> list[Path]:
        files = list(listed(folder, pattern))
        (made / "counter_2.db").unlink(missing_ok=True)
        return files

    monkeypatch.setattr(Path, "glob", vanish)
    assert seen(made) == [3]


@pytest.mark.parametrize(
    "content", [b"\0", b"\x20\0\0\0\0\0\0\0\xff\xff\0\0", b"\x28\0\0\0\0\0\0\0\4\0\0\0" + b"x" * 40]
)
def test_file_that_cannot_be_read(made: Path, content: bytes) -> None:
    """Half written, or damaged: a scrape shows the others, and does not fail."""
    counted(made, 1, 3)
    (made / "counter_2.db").write_bytes(content)
    assert seen(made) == [3]


def test_workers_that_never_stop_ending(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files vanish, one after the other: what is there is shown."""
    counted(made, 1, 3)
    listed = Path.glob
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [*listed(folder, pattern), folder / "counter_2.db"])
    assert seen(made) == [3]


def test_folder_that_was_removed(made: Path) -> None:
    """There is nothing to show, and nothing fails."""
    remove_folder(made)
    assert seen(made) == []
