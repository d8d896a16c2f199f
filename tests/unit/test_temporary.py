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


def test_usual_place(usual: list[str], tmp_path: Path) -> None:
    """Where there is one, it stays."""
    usual.append(str(tmp_path))
    assert temporary.settle(NOWHERE) == tmp_path
    assert os.environ["TMPDIR"] == str(NOWHERE)


@pytest.mark.usefixtures("usual")
def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is next: on a slow disk a heartbeat could come too late."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(temporary, "_MEMORY", memory)
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
