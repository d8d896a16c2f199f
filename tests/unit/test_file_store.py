"""What only the file store promises: its file."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.errors import StoreError, StoreLockedError
from alert_threader.store import FileStore
from alert_threader.threads import Change, Policy, Reason

NOW = 1_800_000_000.0
CHANGE = Change(
    key="k",
    channel="C0000001",
    alerts=(
        Alert(
            status=Status.FIRING,
            fingerprint="f",
            labels={"alertname": 'quote " and {"a": {"b": 1}}'},
            annotations={"summary": "ünï\n"},
            starts_at=NOW,
            ends_at=None,
            links={},
            values="",
        ),
    ),
)


def open_store(path: Path) -> FileStore:
    """Open the store of a file."""
    return FileStore(path, Policy(), "C0000001", NOW)


def other(key: str) -> Change:
    """Another thread opens."""
    return Change(key=key, channel="C0000001", alerts=CHANGE.alerts)


def kept_in(path: Path) -> list[str]:
    """The keys of a document."""
    return list(json.loads(path.read_text()).get("threads", []))


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something is true; fail after so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file will be."""
    return tmp_path / "state" / "threads.json"


@pytest.fixture
def store(path: Path) -> Iterator[FileStore]:
    """An empty store."""
    store = open_store(path)
    yield store
    store.close()


def test_is_a_readable_document(store: FileStore, path: Path) -> None:
    """An operator finds each thread by its key, its ts among its fields."""
    store.update([CHANGE], NOW)
    wait_for(lambda: kept_in(path) == ["k"])
    document = json.loads(path.read_text())
    assert document["version"] == 2
    assert document["threads"]["k"]["alerts"]["f"]["status"] == "firing"
    assert document["threads"]["k"]["version"] == 2


def test_nobody_else_can_read_it(store: FileStore, path: Path) -> None:
    """Labels can be confidential."""
    store.update([CHANGE], NOW)
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.journal", f"{path.name}.lock"}
    assert all(each.stat().st_mode & 0o077 == 0 for each in path.parent.iterdir())


def test_copy_is_a_backup(store: FileStore, path: Path, tmp_path: Path) -> None:
    """A copy taken at any time, laid back while the service is stopped, is the state of that time, without a word."""
    store.update([CHANGE], NOW)
    wait_for(lambda: kept_in(path) == ["k"])
    shutil.copy(path, tmp_path / "backup.json")
    store.forget(NOW)
    store.update([other("other")], NOW)
    store.close()
    shutil.copy(tmp_path / "backup.json", path)
    restored = open_store(path)
    assert [thread.key for thread in restored.threads()] == ["k"]
    assert restored.warnings() == []
    restored.close()


def test_copy_under_load_is_whole_and_recent(store: FileStore, path: Path) -> None:
    """While changes go on, the document is always whole, and each new one has all that came before the last one."""
    stored: list[str] = []
    kept: set[str] = set()
    due: set[str] = set()
    documents = 0
    until = time.monotonic() + 30
    while documents < 4:
        assert time.monotonic() < until
        stored.append(f"k{len(stored)}")
        store.update([other(stored[-1])], NOW)
        before, kept = kept, set(kept_in(path))
        assert kept <= set(stored)
        if kept != before:
            assert due <= kept
            due = set(stored)
            documents += 1


def test_stopped_store_is_one_file(store: FileStore, path: Path) -> None:
    """Nothing but the document, which has all of it, and the lock; a document that nothing changed is left as it is."""
    store.update([CHANGE], NOW)
    store.close()
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}
    before = path.stat()
    again = open_store(path)
    assert [thread.key for thread in again.threads()] == ["k"]
    again.close()
    assert path.stat() == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


@pytest.mark.parametrize("named", [True, False], ids=["while it runs", "of an older version"])
def test_document_laid_over_a_running_store_is_restored_by_a_stop(path: Path, *, named: bool) -> None:
    """What is there when the service stops is what it starts with; what it was told last is kept beside it."""
    store = open_store(path)
    store.update([CHANGE], NOW)
    if named:
        wait_for(lambda: kept_in(path) == ["k"])
        backup = path.read_bytes()
    else:
        backup = b'{"old": "1700000000.000100"}'
    store.update([other("late")], NOW)
    path.write_bytes(backup)
    store.close()
    assert path.read_bytes() == backup
    restored = open_store(path)
    assert [thread.key for thread in restored.threads()] == (["k"] if named else ["old"])
    restored.close()
    (aside,) = path.parent.glob("threads.json.journal.unused-*")
    assert b'"late"' in aside.read_bytes()


def test_document_laid_over_a_running_store_is_overwritten(store: FileStore, path: Path) -> None:
    """The service goes on with its own threads, and says where it has put the other file."""
    path.write_bytes(b'{"old": "1700000000.000100"}')
    store.update([CHANGE], NOW)
    wait_for(lambda: kept_in(path) == ["k"])
    (aside,) = path.parent.glob("threads.json.replaced-*")
    assert aside.read_bytes() == b'{"old": "1700000000.000100"}'
    (said,) = store.warnings()
    assert str(aside) in said
    assert "to restore a backup, stop the service first" in said


def test_document_laid_over_is_kept_once(store: FileStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the service cannot write its own for a while."""

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    path.write_bytes(b'{"old": "1700000000.000100"}')
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        store.update([CHANGE], NOW)
        wait_for(lambda: len(store.warnings()) == 2)
        with pytest.raises(OSError, match="Input/output error"):
            store._disk._checkpoint()
        assert path.read_bytes() == b'{"old": "1700000000.000100"}'
    assert len([said for said in store.warnings() if "was replaced" in said]) == 1
    wait_for(lambda: kept_in(path) == ["k"])
    assert len(list(path.parent.glob("threads.json.replaced-*"))) == 1


def test_deleted_journal_is_made_again(store: FileStore, path: Path) -> None:
    """Nothing is accepted into a file that has no name any more."""
    store.update([CHANGE], NOW)
    journal = path.with_name("threads.json.journal")
    journal.unlink()
    store.update([other("after")], NOW)
    assert b'"after"' in journal.read_bytes()
    assert kept_in(path) == ["k"]


def test_file_system_that_counts_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that looks deleted as soon as it is made is not made for ever."""
    fstat = os.fstat

    def uncounted(descriptor: int) -> os.stat_result:
        found = list(fstat(descriptor))
        found[stat.ST_NLINK] = 0
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", uncounted)
    path = tmp_path / "threads.json"
    store = open_store(path)
    store.update([CHANGE], NOW)
    assert b'"k"' in path.with_name("threads.json.journal").read_bytes()
    store.close()


def test_deleted_folder_is_said(store: FileStore, path: Path) -> None:
    """What cannot be kept is not accepted."""
    shutil.rmtree(path.parent)
    with pytest.raises(StoreError, match=r"cannot keep threads in .*: no such file"):
        store.update([CHANGE], NOW)
    with pytest.raises(StoreError, match="is gone: create it again and restart"):
        store.ping()


def test_flat_file_is_kept_as_long_as_a_thread_may_burn(path: Path) -> None:
    """Nobody knows whether its alerts fire: what comes hours later still belongs to the thread."""
    path.parent.mkdir()
    path.write_text('{"k": "1700000000.000100"}')
    store = open_store(path)
    store.expire(NOW + Policy().reopen_window + 3600)
    late = store.update([CHANGE], NOW + 86_400)[0]
    assert late.thread.ts == "1700000000.000100"
    store.close()
    path.write_text('{"k": "1700000000.000100"}')
    store = open_store(path)
    store.expire(NOW + Policy().stale_after)
    assert store.stamps() == {}
    store.close()


def test_flat_file_of_an_older_installation_loads(path: Path) -> None:
    """Its threads go on: a new firing is a reply in them."""
    path.parent.mkdir()
    path.write_text('{"k": "1700000000.000100", "unfinished": ""}')
    store = open_store(path)
    assert [(t.key, t.ts, t.channel) for t in store.threads()] == [("k", "1700000000.000100", "C0000001")]
    assert store.counts(NOW).pending == 0
    applied = store.update([CHANGE], NOW)[0]
    assert (applied.reason, applied.thread.ts) == (Reason.FIRED, "1700000000.000100")
    store.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2, "threads": []}', '{"k": {"ts": 1}}', "\x00" * 100])
def test_damaged_file_is_set_aside_and_said(path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """The service runs, with an empty store, and never silently: the log and the warnings name both files."""
    path.parent.mkdir()
    path.write_text(content)
    store = open_store(path)
    aside = next(path.parent.glob("threads.json.damaged-*"))
    assert aside.read_text() == content
    assert str(aside) in store.warnings()[0]
    assert str(aside) in caplog.text
    store.update([CHANGE], NOW)
    store.close()


def test_damaged_thread_does_not_cost_the_others(path: Path) -> None:
    """Only what cannot be read is lost, and the whole file is kept beside."""
    store = open_store(path)
    store.update([CHANGE], NOW)
    store.close()
    document = json.loads(path.read_text())
    document["threads"]["bad"] = {"key": 5}
    path.write_text(json.dumps(document))
    store = open_store(path)
    assert [thread.key for thread in store.threads()] == ["k"]
    assert "1 threads cannot be read" in store.warnings()[0]
    store.close()


def test_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    """A downgrade must not lose what it does not understand."""
    path.parent.mkdir()
    path.write_text('{"version": 3, "threads": {}}')
    with pytest.raises(StoreError, match="newer version"):
        open_store(path)
    assert path.read_text() == '{"version": 3, "threads": {}}'
    assert not list(path.parent.glob("*.damaged-*"))


@pytest.mark.usefixtures("store")
def test_second_owner_is_refused(path: Path) -> None:
    """With the number of the process that has it, and what to do."""
    with pytest.raises(StoreLockedError, match=rf"in use by process {os.getpid()}: .*THREAD_STORE_FILE"):
        open_store(path)


def test_next_owner_waits_its_turn(path: Path) -> None:
    """At a reload the new worker waits until the old one is gone."""
    script = (
        "import sys; from pathlib import Path; from alert_threader.store.lock import FileLock\n"
        "lock = FileLock(Path(sys.argv[1]), 0); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreLockedError, match=f"process {other.pid}"):
            open_store(path)
        other.stdin.close()
        FileStore(path, Policy(), "C0000001", NOW, lock_wait=30).close()


def test_failed_write_changes_nothing(store: FileStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender hears of it, nothing of the change stays, and the store recovers by itself."""

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", no_space)
        with pytest.raises(StoreError, match=r"no space left on device; make room"):
            store.update([CHANGE], NOW)
        with pytest.raises(StoreError, match="no space left on device"):
            store.ping()
    assert store.read("k") is None
    assert store.counts(NOW).pending == 0
    store.ping()
    assert store.update([CHANGE], NOW)[0].reason is Reason.OPENED
    store.close()
    assert kept_in(path) == ["k"]


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A start with a wrong path says so."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot keep threads in .*: file exists"):
        open_store(tmp_path / "file" / "threads.json")


def test_closed_store_takes_nothing(store: FileStore) -> None:
    """A request that outlives the store must not write into a successor's file."""
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.update([CHANGE], NOW)
