"""``alert-threader backup`` and ``restore``: beside a running service, on a stopped one, with bad files."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient

from alert_threader.cli import main as cli
from alert_threader.service import service_of
from alert_threader.settings.settings import SETTINGS
from alert_threader.store import SqliteStore, Threads
from alert_threader.store.lock import FileLock
from alert_threader.threads import AlertThread, Policy
from tests.app.conftest import MakeApp, webhook

DOCUMENT = b'{"version": 2, "threads": {\n}}\n'
FLAT = b'{"a|b": "1234567890.000100"}'
BAD = [
    (b"", "is not a document of threads"),
    (b"{", "is not a document of threads"),
    (b'{"version": 2, "threads": {"a": 1}}', ": 1 of its threads cannot be read"),
    (b'{"version": 99, "threads": {}}', "was written by a newer version"),
]


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: list[str]
    err: str


class Cli:
    """The command line, with the store of a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ran:
        """Run a command; what it refuses is one line."""
        code = cli.main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert code != 1 or err.count("\n") == 1
        return Ran(code, out.splitlines(), err.strip())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line."""
    return Cli(capsys)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A store's file that nobody has open, in a folder of its own."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    path = tmp_path / "state" / "threads.json"
    path.parent.mkdir()
    path.write_bytes(DOCUMENT)
    monkeypatch.setenv("THREAD_STORE_FILE", str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for backups."""
    path = tmp_path / "backups"
    path.mkdir()
    return path


def fill(folder: Path, count: int) -> list[str]:
    """Put so many older backups into a folder; return their names, oldest first."""
    names = [f"threads-202401{day:02}T031000Z.json" for day in range(1, count + 1)]
    for name in names:
        (folder / name).write_bytes(DOCUMENT)
    return names


# -- backup ---------------------------------------------------------------------------------------------------


def test_backup_of_a_running_service(
    make_app: MakeApp, run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a service has accepted is in the copy, whose threads a new service goes on with."""
    monkeypatch.setenv("THREAD_STORE_FILE", str(tmp_path / "threads.json"))
    app = make_app()
    client: FlaskClient = app.test_client()
    (result,) = client.post("/alert", json=webhook()).get_json()["results"]
    copy = tmp_path / "copy.json"
    ran = run("backup", copy)
    assert ran.code == 0
    assert ran.out[0].startswith(f"{copy}: 1 thread, ")
    assert ran.out[0].endswith("verified by reading it back")
    assert json.loads(copy.read_bytes())["threads"][result["key"]]["ts"] == result["thread_ts"]
    assert copy.stat().st_mode & 0o777 == 0o600

    busy = run("restore", copy)
    assert busy.code == 1
    assert busy.err.endswith("stop the service first (systemctl stop alert-threader)")
    assert service_of(app).close(5)

    (tmp_path / "threads.json").unlink()
    assert run("restore", copy).code == 0
    cached = make_app().test_client().get("/cache").get_json()
    assert cached["threads"] == {result["key"]: result["thread_ts"]}


def thread(key: str) -> AlertThread:
    """A thread that Slack shows."""
    return AlertThread(key=key, channel="C0ALERTS1", ts="1234567890.000100", opened_at=1, seen_at=1)


@pytest.fixture
def killed(store: Path) -> Path:
    """The store of a service that was killed after its last change: only the database has it."""
    exported, left = b"", {}
    for key in ("first", "last"):
        open_store = SqliteStore(store, Policy(), "C0ALERTS1", 0)
        exported = store.read_bytes()
        Threads(open_store, Policy()).insert([thread(key)], replace=False)
        left = {each: each.read_bytes() for each in store.parent.iterdir() if each.name.startswith("threads.db")}
        open_store.close()
    for each, content in left.items():
        each.write_bytes(content)
    store.write_bytes(exported)
    return store


def test_backup_has_what_only_the_database_knows(run: Cli, killed: Path, tmp_path: Path) -> None:
    """A backup is one file, which needs no other; the store is left as it is."""
    before = {each: each.read_bytes() for each in killed.parent.iterdir() if not each.name.endswith("-shm")}
    assert b"last" not in killed.read_bytes()
    copy = tmp_path / "copy.json"
    assert run("backup", copy).out[0].startswith(f"{copy}: 2 threads, 0 of them")
    document = json.loads(copy.read_bytes())
    assert set(document) == {"version", "threads"}
    assert set(document["threads"]) == {"first", "last"}
    assert {each: each.read_bytes() for each in before} == before


def test_backup_beside_a_foreign_document(run: Cli, killed: Path, tmp_path: Path) -> None:
    """What is backed up is what the service has, not what somebody put in its place."""
    killed.write_bytes(DOCUMENT)
    copy = tmp_path / "copy.json"
    assert run("backup", copy).out[0].startswith(f"{copy}: 2 threads, 0 of them")


def test_backup_of_a_damaged_database(run: Cli, killed: Path, folder: Path) -> None:
    """A person must decide; no older backup goes for it."""
    killed.with_name("threads.db").write_bytes(b"not a database" * 1000)
    ran = run("backup", folder)
    assert ran.code == 1
    assert "nothing was copied" in ran.err
    assert "is damaged" in ran.err
    assert list(folder.iterdir()) == []


def test_looking_leaves_nothing_behind(run: Cli, store: Path, tmp_path: Path) -> None:
    """A backup by root must not make files that the service, as another user, could not open."""
    SqliteStore(store, Policy(), "C0ALERTS1", 0).close()
    before = {each.name for each in store.parent.iterdir()}
    assert run("backup", tmp_path / "copy.json").code == 0
    assert {each.name for each in store.parent.iterdir()} == before


def test_restore_over_the_last_export(run: Cli, killed: Path, tmp_path: Path) -> None:
    """A backup that equals the last export is started from all the same: that is what was asked for."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(killed.read_bytes())
    assert run("restore", copy).code == 0
    restored = SqliteStore(killed, Policy(), "C0ALERTS1", 0)
    assert set(restored.stamps()) == {"first"}
    restored.close()
    assert len(list(killed.parent.glob("threads.db.replaced-*"))) == 1


def test_backup_into_a_folder(run: Cli, store: Path, folder: Path) -> None:
    """Each is a file of its own with the time in its name; the newest of them stay, other files are left alone."""
    *_, last = fill(folder, 5)
    (folder / "notes.json").write_text("mine")
    ran = run("backup", folder, "--keep", "2")
    assert ran.code == 0
    assert ran.out[1] == f"{folder}: kept 2, removed 4 (--keep 2)"
    kept = sorted(path.name for path in folder.iterdir())
    assert kept[:2] == ["notes.json", last]
    assert len(kept) == 3
    assert (folder / kept[2]).read_bytes() == store.read_bytes()


@pytest.mark.usefixtures("store")
def test_backup_makes_the_folder(run: Cli, tmp_path: Path) -> None:
    """A folder that is not there yet is made where the name ends in a slash, for its owner alone."""
    ran = run("backup", f"{tmp_path}/new/one/")
    assert ran.code == 0
    assert (tmp_path / "new/one").stat().st_mode & 0o777 == 0o700
    assert len(list((tmp_path / "new/one").iterdir())) == 1


@pytest.mark.parametrize(("content", "fault"), BAD)
def test_backup_of_a_bad_store(run: Cli, store: Path, folder: Path, content: bytes, fault: str) -> None:
    """A store that cannot be read is no backup, and no older one goes for it."""
    names = fill(folder, 3)
    store.write_bytes(content)
    ran = run("backup", folder, "--keep", "1")
    assert (ran.code, ran.out) == (1, [])
    assert ran.err.startswith(f"alert-threader backup: nothing was copied: {store}")
    assert fault in ran.err
    assert sorted(path.name for path in folder.iterdir()) == names


def test_backup_that_is_read_back_differently(
    run: Cli, store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not give back what it was given leaves the older backups, and nothing half done."""
    names = fill(folder, 3)
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) if path == store else b"garbage")
    ran = run("backup", folder, "--keep", "1")
    assert ran.code == 1
    assert "the file read back differs from what was written" in ran.err
    assert sorted(path.name for path in folder.iterdir()) == names


def test_backup_onto_itself(run: Cli, store: Path) -> None:
    """The store is no backup of itself."""
    ran = run("backup", store)
    assert ran.code == 1
    assert ran.err == f"alert-threader backup: {store} is the store itself: name another file"


def test_backup_without_a_store(run: Cli, store: Path, folder: Path) -> None:
    """Where there is no store, that is what is said."""
    store.unlink()
    ran = run("backup", folder)
    assert (ran.code, ran.err) == (1, f"alert-threader backup: there is no file {store}")


@pytest.mark.usefixtures("store")
def test_backup_into_nowhere(run: Cli, tmp_path: Path) -> None:
    """A folder that is not there is not made for a file's name."""
    ran = run("backup", tmp_path / "no" / "copy.json")
    assert ran.code == 1
    assert ran.err.endswith("copy.json cannot be written: no such file or directory")


@pytest.mark.usefixtures("store")
def test_old_backup_that_stays(run: Cli, folder: Path) -> None:
    """An older one that cannot be removed is said, after the new one is there."""
    (folder / "threads-20240101T031000Z.json").mkdir()
    ran = run("backup", folder, "--keep", "1")
    assert ran.code == 1
    assert len(ran.out) == 1
    assert ran.err.startswith(f"alert-threader backup: cannot remove an older backup in {folder}: ")
    assert len(list(folder.iterdir())) == 2


@pytest.mark.usefixtures("store")
def test_backup_of_what_cannot_be_read(run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is no file is named with the reason."""
    monkeypatch.setenv("THREAD_STORE_FILE", str(tmp_path))
    ran = run("backup", tmp_path / "copy.json")
    assert (ran.code, ran.err) == (1, f"alert-threader backup: {tmp_path} cannot be read: is a directory")


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.usefixtures("store")
def test_redis_has_its_own(run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Threads in Redis are not in a file."""
    monkeypatch.setenv("THREAD_STORE", "redis")
    ran = run(command, tmp_path / "copy.json")
    assert ran.code == 1
    assert "back up and restore Redis' own files" in ran.err


@pytest.mark.parametrize("keep", ["0", "-1", "many"])
def test_backup_keeps_at_least_one(run: Cli, folder: Path, keep: str) -> None:
    """At least one backup is kept."""
    ran = run("backup", folder, f"--keep={keep}")
    assert ran.code == 2
    assert "Invalid value for '--keep'" in ran.err
    assert keep in ran.err


# -- restore --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [DOCUMENT, FLAT])
def test_restore(run: Cli, store: Path, tmp_path: Path, content: bytes) -> None:
    """The backup is the store afterwards, and what was there is kept."""
    store.write_bytes(b"whatever it was")
    copy = tmp_path / "copy.json"
    copy.write_bytes(content)
    ran = run("restore", copy)
    assert ran.code == 0
    assert store.read_bytes() == content
    (former,) = store.parent.glob("threads.json.before-restore-*")
    assert former.read_bytes() == b"whatever it was"
    assert ran.out[1:] == [
        f"the former file is kept as {former}",
        "start the service again: systemctl start alert-threader",
    ]


def test_restore_on_a_new_machine(run: Cli, store: Path, tmp_path: Path) -> None:
    """Where no store was, nothing is kept, and none is spoken of."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(store.read_bytes())
    store.unlink()
    store.parent.rmdir()
    ran = run("restore", copy)
    assert ran.code == 0
    assert len(ran.out) == 2
    assert store.read_bytes() == DOCUMENT


@pytest.mark.parametrize(("content", "fault"), BAD)
def test_restore_of_a_bad_file(run: Cli, store: Path, tmp_path: Path, content: bytes, fault: str) -> None:
    """A file that is no good backup changes nothing."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(content)
    ran = run("restore", copy)
    assert ran.code == 1
    assert fault in ran.err
    assert [path.name for path in store.parent.iterdir()] == [store.name]
    assert store.read_bytes() == DOCUMENT


def test_restore_under_a_service(run: Cli, store: Path, tmp_path: Path) -> None:
    """While a process holds the store nothing is restored, and the process is named."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(FLAT)
    lock = FileLock(store, 0)
    try:
        ran = run("restore", copy)
    finally:
        lock.release()
    said = f"{store} is in use by process {os.getpid()}: stop the service first (systemctl stop alert-threader)"
    assert (ran.code, ran.err) == (1, f"alert-threader restore: {said}")
    assert store.read_bytes() == DOCUMENT


def test_restore_that_cannot_be_written(run: Cli, store: Path, tmp_path: Path) -> None:
    """Where the store cannot be written, it stays as it is."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(FLAT)
    (store.parent / ".alert-threader.new").mkdir()
    ran = run("restore", copy)
    assert (ran.code, ran.err) == (1, f"alert-threader restore: {store} cannot be written: is a directory")
    assert store.read_bytes() == DOCUMENT


def test_restore_of_itself(run: Cli, store: Path) -> None:
    """The store is no backup of itself."""
    ran = run("restore", store)
    assert (ran.code, ran.err) == (1, f"alert-threader restore: {store} is the store itself: name a backup of it")


@pytest.mark.usefixtures("store")
def test_restore_of_nothing(run: Cli, tmp_path: Path) -> None:
    """A file that is not there is named."""
    ran = run("restore", tmp_path / "none.json")
    assert (ran.code, ran.err) == (1, f"alert-threader restore: there is no file {tmp_path}/none.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_restores_for_the_service(run: Cli, store: Path, tmp_path: Path) -> None:
    """What root restored belongs to the owner of the folder, so that the service can open it."""
    copy = tmp_path / "copy.json"
    copy.write_bytes(DOCUMENT)
    os.chown(store.parent, 65534, 65534)
    assert run("restore", copy).code == 0
    assert {path.stat().st_uid for path in store.parent.iterdir() if "before" not in path.name} == {65534}
