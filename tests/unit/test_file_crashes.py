"""The file store against kill -9, power cuts, full disks and failing ones: what was acknowledged is there afterwards.

CRASHES raises the number of kills by chance, CRASH_SEED makes them others.
"""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alert_threader.errors import StoreError
from alert_threader.store import FileStore, durable, recovery
from alert_threader.store.disk import write_synced
from alert_threader.store.journal import Journal, Scanned
from alert_threader.store.recovery import look
from alert_threader.threads import AlertThread, Policy

NOW = 1_800_000_000.0
CHANNEL = "C0000001"
KEYS = 7

_CRASHES = int(os.environ.get("CRASHES", "150"))
_SEED = int(os.environ.get("CRASH_SEED", "0"))

#: What a store calls to change a disk.
CALLS = ("open", "pwrite", "fdatasync", "fsync", "replace", "rename", "unlink")


def open_store(path: Path) -> FileStore:
    """Open the store of a file."""
    return FileStore(path, Policy(), CHANNEL, NOW)


def thread(key: str, number: int) -> AlertThread:
    """A thread that is told; what is stored of it is a number."""
    return AlertThread(key=key, channel=CHANNEL, ts=f"{number}.0", title="x" * 500, opened_at=NOW, seen_at=NOW)


def change(store: FileStore, number: int) -> None:
    """The change of that number: most write one thread, some write two of them, some drop all."""
    if number % 11 == 10:
        store.forget(NOW)
    elif number % 5 == 4:
        store.insert([thread(f"k{number % KEYS}", number), thread("pair", number)], replace=True)
    else:
        store.insert([thread(f"k{number % KEYS}", number)], replace=True)


def after(number: int) -> dict[str, str]:
    """The stamps after so many changes."""
    kept: dict[str, str] = {}
    for each in range(number):
        if each % 11 == 10:
            kept = {}
        else:
            kept[f"k{each % KEYS}"] = f"{each}.0"
            if each % 5 == 4:
                kept["pair"] = f"{each}.0"
    return kept


def assert_kept(path: Path, acknowledged: int) -> int:
    """Check that a start finds so many changes, or the next one too, without a warning; return how many there are."""
    store = open_store(path)
    try:
        found = store.stamps()
        assert store.warnings() == []
    finally:
        store.close()
    assert found in (after(acknowledged), after(acknowledged + 1))
    return acknowledged + (found != after(acknowledged))


@pytest.fixture(autouse=True)
def _documents_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the document far more often than a service does."""
    monkeypatch.setattr(durable, "_GATHER", 0.001)
    monkeypatch.setattr(durable, "_SHARE", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the document will be."""
    return tmp_path / "state" / "threads.json"


# -- kill -9 ----------------------------------------------------------------------------------------------------


def run_and_kill(path: Path, start: int, call: str, nth: int, how: str) -> int:
    """Make changes in a process that is killed at the ``nth`` such call; return how many it acknowledged in all."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            signal.alarm(60)  # one that hangs must not outlive the test
            kill_at(call, nth, how)
            store = open_store(path)
            for number in range(start, start + 60):
                change(store, number)
                os.write(writing, b".")
            store.close()
        except BaseException:  # noqa: BLE001 - nothing of the test's own may run in the child
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as acknowledged:
        count = len(acknowledged.read())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return start + count


def kill_at(call: str, nth: int, how: str) -> None:
    """Let this process be killed before or after its ``nth`` such call, or in its middle where it writes."""
    real: Callable[..., Any] = getattr(os, call)
    calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth:
            return real(*arguments, **named)
        if how == "after":
            real(*arguments, **named)
        elif how == "amid" and call == "pwrite":
            descriptor, data, at = arguments
            written = bytes(data).rstrip(b"\0")
            real(descriptor, written[: len(written) // 2], at)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    setattr(os, call, counted)


@pytest.mark.parametrize("how", ["before", "amid", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_each_call(path: Path, call: str, how: str) -> None:
    """At the first ones of a new store, and again at the restart, before anybody has looked."""
    for nth in range(1, 10):
        shutil.rmtree(path.parent, ignore_errors=True)
        acknowledged = run_and_kill(path, 0, call, nth, how)
        assert acknowledged == 0 or path.exists()
        acknowledged = run_and_kill(path, acknowledged, call, nth, how)
        if path.exists():
            assert_kept(path, acknowledged)


def test_killed_at_any_moment(path: Path) -> None:
    """Again and again, on the same files."""
    chance = random.Random(_SEED)
    number = 0
    for _ in range(_CRASHES):
        call = chance.choice(CALLS)
        acknowledged = run_and_kill(
            path, number, call, chance.randint(1, 60), chance.choice(["before", "amid", "after"])
        )
        number = assert_kept(path, acknowledged) if path.exists() else 0
    assert number > _CRASHES


# -- power cuts -------------------------------------------------------------------------------------------------


class Disk:
    """What a power cut leaves of a folder: of each file what was last synced, under the names that were synced."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Follow every sync from now on."""
        self._folder = folder
        self._content: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        self._guard = threading.Lock()
        #: Held open, so that no new file gets an old one's inode.
        self._held: dict[int, int] = {}
        for call in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, call, self._synced(getattr(os, call)))

    def _synced(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: int) -> None:
            real(descriptor)
            itself = Path(f"/proc/self/fd/{descriptor}")
            if not str(itself.readlink()).startswith(str(self._folder)):
                return
            with self._guard:
                inode = os.fstat(descriptor).st_ino
                if itself.is_dir():
                    self._names = {each.name: each.inode() for each in os.scandir(descriptor) if each.is_file()}
                    return
                self._held.setdefault(inode, os.dup(descriptor))
                self._content[inode] = itself.read_bytes()

        return synced

    def after_the_cut(self, folder: Path) -> Path:
        """Lay out what is left in another folder; return the document there."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with self._guard:
            for name, inode in self._names.items():
                (folder / name).write_bytes(self._content.get(inode, b""))
        return folder / "threads.json"

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._held.values():
            os.close(descriptor)


def test_power_cut(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged was synced before, and so were the names that lead to it."""
    path.parent.mkdir()
    with contextlib.closing(Disk(path.parent, monkeypatch)) as disk:
        store = open_store(path)
        for number in range(300):
            change(store, number)
            assert_kept(disk.after_the_cut(tmp_path / "left"), number + 1)
        store.close()
        assert_kept(disk.after_the_cut(tmp_path / "left"), 300)


# -- disks that are full or fail --------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(small_disk: Path) -> None:
    """What is refused is not there, what was accepted is; it goes on by itself once there is room."""
    path = small_disk / "threads.json"
    store = open_store(path)
    change(store, 0)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(4096)):
            pass
    accepted = 0
    with contextlib.suppress(StoreError):
        while accepted < 10_000:
            store.insert([thread(f"n{accepted}", accepted)], replace=True)
            accepted += 1
    assert 0 < accepted < 10_000
    with pytest.raises(StoreError, match="no space left on device; make room"):
        store.insert([thread(f"large{n}", 1) for n in range(2000)], replace=True)
    kept = store.stamps()
    assert len(kept) == accepted + 1
    (small_disk / "ballast").unlink()
    wait_for(lambda: not is_unhealthy(store))
    store.insert([thread("again", 1)], replace=True)
    wait_for(lambda: store.warnings() == [])
    store.close()
    reopened = open_store(path)
    assert reopened.stamps() == {**kept, "again": "1.0"}
    assert reopened.warnings() == []
    reopened.close()


def is_unhealthy(store: FileStore) -> bool:
    """Whether it says that it cannot store."""
    try:
        store.ping()
    except StoreError:
        return True
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something is true; fail after so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def failing(*_: object) -> None:
    """What a disk that fails says."""
    raise OSError(errno.EIO, "Input/output error")


def test_failed_sync_is_never_trusted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is accepted until a new document is written; then all is well, and the old journal is gone."""
    monkeypatch.setattr(durable, "_GATHER", 3600)
    store = open_store(path)
    change(store, 0)
    journal = path.with_name("threads.json.journal")
    inode = journal.stat().st_ino
    held = os.open(journal, os.O_RDONLY)  # so that the next file cannot have its inode
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        with pytest.raises(StoreError, match="input/output error"):
            change(store, 1)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failing)  # the journal could be synced again, the document cannot
        for _ in range(3):
            with pytest.raises(StoreError, match="input/output error"):
                change(store, 1)
        assert is_unhealthy(store)
    assert store.stamps() == after(1)
    change(store, 1)
    assert journal.stat().st_ino != inode
    assert store.stamps() == after(2)
    left = path.with_name("left.json")
    shutil.copy(path, left)
    shutil.copy(journal, left.with_name("left.json.journal"))
    assert_kept(left, 2)
    os.close(held)
    store.close()


def test_failed_sync_while_a_document_is_begun(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new journal takes nothing either before a document holds what the failed one has."""
    monkeypatch.setattr(durable, "_GATHER", 3600)
    store = open_store(path)
    change(store, 0)
    fresh = store._disk._fresh

    def failing_meanwhile() -> Journal:
        with monkeypatch.context() as broken:
            begun = fresh()
            broken.setattr(os, "fdatasync", failing)
            with pytest.raises(StoreError, match="input/output error"):
                change(store, 1)
        return begun

    monkeypatch.setattr(store._disk, "_fresh", failing_meanwhile)
    before = path.read_bytes()
    store._disk._checkpoint()
    assert store._disk._journal is None
    assert path.read_bytes() == before
    change(store, 1)
    assert path.read_bytes() != before
    store.close()
    assert_kept(path, 2)


def test_document_that_cannot_be_written_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are accepted meanwhile, and none is lost; the word ends with the trouble."""
    store = open_store(path)
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", failing)
        for number in range(50):
            change(store, number)
        wait_for(lambda: bool(store.warnings()))
        (said,) = store.warnings()
        assert f"cannot keep threads in {path}: input/output error" in said
        assert f"new changes are in {path}.journal meanwhile" in said
        assert not is_unhealthy(store)
        copied = path.parent.with_name("copied")
        shutil.copytree(path.parent, copied)
        assert_kept(copied / path.name, 50)
        for number in range(50, 100):
            change(store, number)
    wait_for(lambda: store.warnings() == [])
    store.close()
    assert_kept(path, 100)


def test_close_that_cannot_write_leaves_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next start finds everything; the log says what was wrong."""
    store = open_store(path)
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", failing)
        for number in range(9):
            change(store, number)
        store.close()
    assert f"cannot keep threads in {path}: input/output error" in caplog.text
    assert_kept(path, 9)


def test_document_that_fails_leaves_no_room_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the journal needs it."""
    path.parent.mkdir()
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_synced(path, [b"x"])
    assert not path.exists()


def test_start_on_a_failing_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is there opens, says that it can keep nothing, and goes on by itself once it can."""
    store = open_store(path)
    change(store, 0)
    store.close()
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        broken.setattr(os, "fsync", failing)
        store = open_store(path)
        assert store.stamps() == after(1)
        with pytest.raises(StoreError, match="input/output error"):
            store.ping()
        with pytest.raises(StoreError, match="input/output error"):
            change(store, 1)
    store.ping()
    change(store, 1)
    store.close()
    assert_kept(path, 2)


def test_first_start_on_a_failing_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is kept yet, it does not start: better now than at the first alert."""
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failing)
        with pytest.raises(StoreError, match="input/output error"):
            open_store(path)
    open_store(path).close()


@pytest.fixture
def read_only(path: Path) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Make the store's folder read-only for a while."""
    path.parent.mkdir()

    @contextlib.contextmanager
    def mounted() -> Iterator[None]:
        folder = str(path.parent)
        if os.geteuid() != 0 or subprocess.run(["mount", "--bind", folder, folder], check=False).returncode != 0:
            pytest.skip("only root can mount a file system")
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    return mounted


def test_read_only_folder(path: Path, read_only: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    """A running service says what to do, keeps what it can, and goes on; a start is refused with the same line."""
    store = open_store(path)
    with read_only():
        change(store, 0)
        change(store, 1)
        wait_for(lambda: bool(store.warnings()))
        assert "read-only file system; make room, or let the service write to that folder" in store.warnings()[0]
    wait_for(lambda: store.warnings() == [])
    store.close()
    with read_only(), pytest.raises(StoreError, match="read-only file system; make room, or let the service write"):
        open_store(path)
    assert_kept(path, 2)


# -- others that read -----------------------------------------------------------------------------------------


def test_reader_sees_no_change_without_those_before_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the journal is changed for another between its look at the one and at the other."""
    monkeypatch.setattr(durable, "_GATHER", 3600)
    store = open_store(path)
    real = recovery._scan
    looks = 0

    def scan(each: Path) -> Scanned | None:
        nonlocal looks
        scanned = real(each)
        looks += 1
        if looks == 1:
            store.insert([thread("earlier", 1)], replace=True)
            with monkeypatch.context() as broken, contextlib.suppress(OSError):
                broken.setattr(os, "replace", failing)
                store._disk._checkpoint()
            store.insert([thread("later", 1)], replace=True)
        return scanned

    with monkeypatch.context() as between:
        between.setattr(recovery, "_scan", scan)
        found = look(path, CHANNEL, NOW).threads
    assert "earlier" in found
    assert set(look(path, CHANNEL, NOW).threads) == {"earlier", "later"}
    store.close()


def test_reader_whose_document_is_replaced_reads_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would have neither the journal that is gone nor the document that has what it said."""
    monkeypatch.setattr(durable, "_GATHER", 3600)
    store = open_store(path)
    change(store, 0)
    real = recovery._scan
    looks = 0

    def scan(each: Path) -> Scanned | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            store._disk._checkpoint()
        return real(each)

    monkeypatch.setattr(recovery, "_scan", scan)
    assert {key: each.ts for key, each in look(path, CHANNEL, NOW).threads.items()} == after(1)
    store.close()


# -- many at once -----------------------------------------------------------------------------------------------


def test_documents_lose_no_concurrent_change(path: Path) -> None:
    """Many threads change theirs while documents are written all the time: a start, and any reader, finds all of it."""
    store = open_store(path)
    last: dict[str, str] = {}

    def work(name: str) -> None:
        for number in range(150):
            store.insert([thread(name, number)], replace=True)
            last[name] = f"{number}.0"

    workers = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(12)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        before = dict(last)
        contents = look(path, CHANNEL, NOW)
        assert (contents.damaged, contents.faults) == ([], [])
        for name, stamp in before.items():
            assert float(contents.threads[name].ts or 0) >= float(stamp)
    for worker in workers:
        worker.join()
    assert store.stamps() == last
    store.close()
    store = open_store(path)
    assert store.stamps() == last
    assert store.warnings() == []
    store.close()


def test_failing_disk_leaves_no_file_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried: a process that can open no more files could not go on afterwards."""
    store = open_store(path)
    change(store, 0)

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_folder", fail)
        change(store, 1)  # the background tries to write a document for it
        wait_for(lambda: store.warnings() != [])
        time.sleep(0.2)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
        path.with_name("threads.json.journal").unlink()
        path.with_name("threads.json.journal.next").unlink(missing_ok=True)
        for _ in range(50):
            with pytest.raises(StoreError):
                store.insert([thread("refused", 1)], replace=True)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
    store.close()


def test_document_that_breaks_off_is_not_taken_for_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory, say, while a journal is given up: what only that one says is still there after a stop."""
    monkeypatch.setattr(durable, "_GATHER", 1000)
    store = open_store(path)
    change(store, 0)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def give_up(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(StoreError):
            change(store, 1)
        patch.setattr(durable, "write_synced", give_up)
        with pytest.raises(MemoryError):
            change(store, 1)
    store.close()
    assert_kept(path, 1)
