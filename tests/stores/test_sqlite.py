"""What only the file store promises: its files, their readable copy, and what it does when somebody takes them away."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from alert_threader.errors import RecordDamagedError, StoreError, StoreLockedError
from alert_threader.store import SqliteStore, records
from alert_threader.store.commits import Commits
from alert_threader.store.disk import network_file_system
from alert_threader.store.export import Exporter
from alert_threader.store.records import _Decoded
from alert_threader.threads import AlertThread, Policy, Reason
from alert_threader.threads.schema import encode
from tests.build import CHANNEL, NOW
from tests.stores.kit import LANE, POLICY, Kit, exported, opened, wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's readable copy will be."""
    return tmp_path / "state" / "threads.json"


@pytest.fixture
def kit(path: Path) -> Iterator[Kit]:
    """An empty store."""
    with opened(path) as kit:
        yield kit


class TestFiles:
    """What stands in the folder."""

    def test_copy_is_readable(self, kit: Kit, path: Path) -> None:
        """An operator finds each thread by its key, and the first release reads the document too."""
        kit.fire("k")
        wait_for(lambda: exported(path) == {"k"})
        document = json.loads(path.read_text())
        assert document["version"] == 2
        assert document["threads"]["k"]["alerts"]["k"]["status"] == "firing"

    def test_nobody_else_can_read_them(self, kit: Kit, path: Path) -> None:
        """Labels can be confidential."""
        kit.fire("k")
        wait_for(path.exists)
        assert {each.name for each in path.parent.iterdir()} >= {"threads.db", "threads.json", "threads.json.lock"}
        assert [each.name for each in path.parent.iterdir() if each.stat().st_mode & 0o077] == []

    def test_stopped_store_is_a_database_and_its_copy(self, path: Path) -> None:
        """The copy has all of it; a start and a stop without a change leave it as it is."""
        with opened(path) as kit:
            kit.fire("k")
        assert exported(path) == {"k"}
        before = path.stat()
        with opened(path) as kit:
            assert kit.keys == {"k"}
        assert path.stat() == before
        assert {each.name for each in path.parent.iterdir()} == {"threads.db", "threads.json", "threads.json.lock"}

    def test_stop_while_the_copy_is_due_ends(self, path: Path) -> None:
        """A stop that comes just as the exporter takes up its work is not missed: nobody has to kill the service."""
        with opened(path):
            pass
        exporter = Exporter(path, path.with_suffix(".db"), lambda _: None, "")
        closer = threading.Thread(target=exporter.close, daemon=True)
        closing_now = threading.Event()

        class Due(threading.Event):
            def clear(self) -> None:
                if not closer.ident:
                    closer.start()
                    closing_now.wait()
                super().clear()

            def set(self) -> None:
                super().set()
                if threading.current_thread() is closer:
                    closing_now.set()

        exporter._dirty = Due()  # between two of its steps: no caller can reach that moment
        exporter._dirty.set()
        exporter.start()
        assert closing_now.wait(10)
        closer.join(10)
        assert not closer.is_alive()

    def test_copy_under_load_is_whole_and_recent(self, kit: Kit, path: Path) -> None:
        """While changes go on, each new copy has all that was stored when the one before it was first seen."""
        stored: set[str] = set()
        due: set[str] = set()
        seen: set[str] = set()

        def next_copy() -> bool:
            kit.fire(f"k{len(stored)}")
            stored.add(f"k{len(stored)}")
            return exported(path) != seen

        for _ in range(3):
            wait_for(next_copy, 30)
            seen = exported(path)
            assert due <= seen <= stored
            due = set(stored)

    def test_network_file_system_is_warned_of(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """SQLite's log does not work where other machines have the file open too."""
        monkeypatch.setattr("alert_threader.store.sqlite.network_file_system", lambda _folder: "nfs4")
        with opened(path) as kit:
            assert ["network file system (nfs4)" in said for said in kit.store.warnings()] == [True]

    def test_type_of_the_file_system_is_read_from_the_mounts(self, tmp_path: Path) -> None:
        """A temporary folder is local."""
        assert not network_file_system(tmp_path)


class TestTakenAway:
    """Files that are deleted or replaced under the service."""

    @pytest.mark.parametrize("names", [["threads.db"], ["threads.db-wal"], ["threads.db", "threads.db-wal"]])
    def test_deleted_database_is_written_again(self, path: Path, names: list[str]) -> None:
        """Before the next change is acknowledged: a kill right after it loses nothing."""
        kit = Kit(path)
        kit.fire("before")
        for name in names:
            path.with_name(name).unlink()
        kit.fire("after")
        copied = path.parent.parent / "as after kill -9"
        shutil.copytree(path.parent, copied)
        with closing(kit.store), opened(copied / path.name) as again:
            assert again.keys == {"before", "after"}
        assert ["was deleted or replaced" in said for said in kit.store.warnings()] == [True]

    def test_also_where_nothing_changes(self, kit: Kit, path: Path) -> None:
        """A duplicate is answered with 2xx too."""
        kit.fire("k")
        path.with_name("threads.db").unlink()
        assert kit.fire("k").reason is Reason.DUPLICATE
        assert path.with_name("threads.db").exists()

    def test_replaced_database_is_kept(self, kit: Kit, path: Path, tmp_path: Path) -> None:
        """The service goes on with what it has; the other file stands beside it."""
        kit.fire("k")
        (tmp_path / "other").write_bytes(b"something else")
        (tmp_path / "other").replace(path.with_name("threads.db"))
        kit.fire("later")
        assert kit.keys == {"k", "later"}
        assert path.with_name("threads.db.replaced").read_bytes() == b"something else"

    def test_it_is_refused_where_the_database_cannot_be_written_again(
        self, kit: Kit, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """503 until it can; then everything is there."""
        kit.fire("before")
        with monkeypatch.context() as broken:

            def fail(_path: Path) -> None:
                raise OSError(5, "Input/output error")

            broken.setattr("alert_threader.store.database.sync_file", fail)
            path.with_name("threads.db").unlink()
            with pytest.raises(StoreError, match="input/output error"):
                kit.fire("refused")
            with pytest.raises(StoreError, match="input/output error"):
                kit.store.ping()
        kit.store.ping()
        kit.fire("after")
        assert {"before", "after"} <= kit.keys

    @pytest.mark.parametrize("key", ["new", "known"])
    def test_deleted_folder_is_said(self, kit: Kit, path: Path, key: str) -> None:
        """What cannot be kept is not accepted, a duplicate of it neither."""
        kit.fire("known")
        shutil.rmtree(path.parent)
        with pytest.raises(StoreError, match="cannot keep threads in"):
            kit.fire(key)
        with pytest.raises(StoreError, match="is gone: create it again and restart"):
            kit.store.ping()

    def test_document_laid_over_a_running_store_is_not_overwritten(self, path: Path) -> None:
        """The service goes on with its threads, says where its own copy is, and the next start is from the other."""
        with opened(path) as kit:
            kit.fire("k")
            kit.deliver("k")
            wait_for(lambda: exported(path) == {"k"})
            foreign = b'{"old": "1700000000.000100"}'
            path.write_bytes(foreign)
            kit.fire("busy")
            kit.deliver("busy")
            current = path.with_name("threads.json.current")
            wait_for(lambda: exported(current) == {"k", "busy"})
            assert ["was replaced while the service runs" in said for said in kit.store.warnings()] == [True]
        assert path.read_bytes() == foreign
        with opened(path) as kit:
            assert kit.keys == {"old"}
            kit.fire("new")
            wait_for(lambda: exported(path) == {"old", "new"})
        assert not current.exists()

    def test_deleted_document_is_written_again(self, kit: Kit, path: Path) -> None:
        """With the next change."""
        kit.fire("k")
        wait_for(lambda: exported(path) == {"k"})
        path.unlink()
        kit.fire("later")
        wait_for(lambda: exported(path) == {"k", "later"})


class TestFailures:
    """A disk that fails, and records that cannot be read."""

    def test_full_disk_changes_nothing(self, kit: Kit, path: Path) -> None:
        """The sender hears of it, nothing of the change stays, and the store recovers by itself."""
        kit.fire("k")
        writer = kit.store._database.writer
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        refused = "big" * 4000
        with pytest.raises(StoreError, match="is full; make room"):
            kit.fire(refused)
        assert kit.store.read(refused) is None
        assert refused not in [item.key for item in kit.store.due(LANE, NOW)]
        writer.execute("PRAGMA max_page_count = 1000000")
        kit.store.ping()
        assert kit.fire(refused).reason is Reason.OPENED
        wait_for(lambda: refused in exported(path))

    def test_copy_that_cannot_be_written_is_said(self, kit: Kit, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Changes are accepted meanwhile; the word ends with the trouble."""

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr("alert_threader.store.export.write_synced", fail)
            kit.fire("k")
            wait_for(lambda: bool(kit.store.warnings()))
            assert "the database has every change meanwhile" in kit.store.warnings()[0]
            kit.fire("later")
        wait_for(lambda: exported(path) == {"k", "later"} and kit.store.warnings() == [])

    def test_unreadable_record_costs_its_own_thread_only(self, kit: Kit) -> None:
        """It is named, stands still, and all others go on."""
        kit.fire("bad", "good")
        kit.store._records._records["bad"] = b"{"
        with pytest.raises(RecordDamagedError, match=r"'bad' .* cannot be read"):
            kit.fire("bad", "other")
        assert kit.keys == {"good", "other"}
        assert "bad" not in [item.key for item in kit.store.due(LANE, NOW)]
        assert ["'bad'" in said for said in kit.store.warnings()] == [True]
        assert kit.store.damaged() == kit.store.warnings()

    def test_folder_that_cannot_be_made_is_one_line(self, tmp_path: Path) -> None:
        """A start with a wrong path says so."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match=r"cannot keep threads in .*: file exists"):
            Kit(tmp_path / "file" / "threads.json")

    def test_closed_store_takes_nothing(self, path: Path) -> None:
        """A request that outlives the store must not write into a successor's file."""
        with opened(path) as kit:
            pass
        with pytest.raises(StoreError, match="closed"):
            kit.fire("k")

    def test_aborted_commit_is_never_reported_as_success(self) -> None:
        """Whoever shared a commit that was broken off, by whatever, has to send it again."""
        entered, leave = threading.Event(), threading.Event()

        def write(_staged: list[str]) -> None:
            entered.set()
            leave.wait(10)
            raise SystemExit

        commits: Commits[list[str]] = Commits(list, write)
        ended: list[BaseException] = []

        def commit() -> None:
            try:
                commits.commit(lambda staged: staged.append("x"))
            except BaseException as error:  # noqa: BLE001 - it is what is looked at
                ended.append(error)

        threads = [threading.Thread(target=commit) for _ in range(3)]
        threads[0].start()
        assert entered.wait(10)
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: len(commits._queue) == 2)
        leave.set()
        for thread in threads:
            thread.join(10)
        assert sorted(type(error).__name__ for error in ended) == ["StoreError", "SystemExit", "SystemExit"]


class TestOwner:
    """One process owns the store."""

    @pytest.mark.usefixtures("kit")
    def test_second_owner_is_refused(self, path: Path) -> None:
        """With the number of the process that has it, and what to do."""
        with pytest.raises(StoreLockedError, match=rf"in use by process {os.getpid()}: .*THREAD_STORE_FILE"):
            Kit(path)

    def test_next_owner_waits_its_turn(self, path: Path) -> None:
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
                Kit(path)
            other.stdin.close()
            SqliteStore(path, POLICY, CHANNEL, NOW, lock_wait=30).close()

    def test_reader_beside_it_sees_what_was_acknowledged(self, kit: Kit, path: Path) -> None:
        """``check`` and ``backup`` run beside the service."""
        kit.fire("k")
        with closing(sqlite3.connect(f"file:{path.with_name('threads.db')}?mode=ro", uri=True)) as reader:
            assert reader.execute("SELECT key FROM thread").fetchall() == [("k",)]

    def test_plans_follow_the_settings(self, path: Path) -> None:
        """When a thread ages depends on STALE_AFTER, which may be another at the next start."""
        with opened(path) as kit:
            kit.fire("k")
            assert kit.store.aged(NOW + 3600) == []
        store = SqliteStore(path, Policy(stale_after=60), CHANNEL, NOW)
        with closing(store):
            assert store.aged(NOW + 3600) == ["k"]


class TestCost:
    """What is done once, so that a thread that grows stays cheap."""

    def test_record_that_was_used_last_is_not_decoded_again(self, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every webhook for a thread of a thousand alerts would decode them all."""
        kit.fire("a")
        monkeypatch.setattr(records, "decode", None)
        assert kit.fire("a", at=NOW + 1).reason is Reason.DUPLICATE
        assert kit.read("a").seen_at == NOW

    def test_decoded_record_never_outlives_the_stored_one(self, kit: Kit) -> None:
        """Whatever was kept decoded, what is read is what was committed last."""
        kit.fire("a")
        first = kit.read("a")
        kit.deliver("a")
        assert kit.read("a").ts == "17000000.a"
        kit.store._records._recent.put("a", _Decoded(encode(first), first), 1)
        assert kit.read("a").ts == "17000000.a"
        kit.store.transact("a", lambda _: (None, None))
        assert kit.store.read("a") is None

    def test_change_is_decided_once(self, kit: Kit) -> None:
        """What it said of the record before the commit holds, unless somebody changed the record in between."""
        kit.fire("a")
        seen: list[float] = []

        def decide(thread: AlertThread | None) -> tuple[AlertThread | None, None]:
            assert thread is not None
            seen.append(thread.seen_at)
            if len(seen) == 2:  # before the commit of the second change
                kit.fire("a", at=NOW + 100)
            return msgspec.structs.replace(thread, repeats=thread.repeats + 1), None

        kit.store.transact_all([("a", decide)])
        assert seen == [NOW]
        kit.store.transact_all([("a", decide)])
        assert seen == [NOW, NOW, NOW + 100]
        assert (kit.read("a").repeats, kit.read("a").seen_at) == (2, NOW + 100)
