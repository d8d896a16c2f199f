"""Where temporary files are made when the usual places cannot be written."""

import os
import tempfile
from pathlib import Path

import pytest

from alert_threader import temporary
from alert_threader.errors import AlertThreaderError

#: Nobody can make anything there, not even root.
NOWHERE = Path("/proc/nowhere")


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:  # noqa: ARG001 - made before that
    """The usual places, none of them there; what is set here is undone."""
    places = [str(NOWHERE)]
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: places)
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(NOWHERE))
    return places


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in memory."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(temporary, "_MEMORY", folder)
    return folder


def test_usual_place(usual: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one, it stays."""
    monkeypatch.setattr(temporary, "_MEMORY", NOWHERE)
    monkeypatch.delenv("TMPDIR")
    usual.append(str(tmp_path))
    assert temporary.settle(NOWHERE) == tmp_path
    assert "TMPDIR" not in os.environ


def test_heartbeats_are_in_memory(
    usual: list[str], memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual place, which may be on a disk, stays that of other files; a folder that TMPDIR names is for both."""
    usual.append(str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert temporary.settle(NOWHERE) == tmp_path
    monkeypatch.delenv("TMPDIR")
    assert temporary.settle(NOWHERE) == memory
    assert tempfile.gettempdir() == str(tmp_path)
    assert "TMPDIR" not in os.environ
    assert not list(memory.iterdir())


@pytest.mark.usefixtures("usual")
def test_memory(memory: Path, tmp_path: Path) -> None:
    """Memory is next: on a slow disk a heartbeat could come too late."""
    assert temporary.settle(tmp_path / "state") == memory
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == os.environ["SQLITE_TMPDIR"] == str(memory)
    assert not list(memory.iterdir())


@pytest.mark.usefixtures("usual")
def test_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads are kept something can be written, and the folder is made if it is not there yet."""
    monkeypatch.setattr(temporary, "_MEMORY", NOWHERE)
    state = tmp_path / "new" / "state"
    assert temporary.settle(state) == state
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == state
    assert state.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("usual")
def test_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to do."""
    monkeypatch.setattr(temporary, "_MEMORY", NOWHERE)
    with pytest.raises(AlertThreaderError, match="set TMPDIR to a folder that can be written") as raised:
        temporary.settle(NOWHERE)
    assert len(str(raised.value).splitlines()) == 1
