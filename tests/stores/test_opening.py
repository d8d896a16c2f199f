"""What a file store starts from: its database, a backup, or what the first release left."""

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from alert_threader.errors import StoreError
from alert_threader.threads import Policy, Reason, Step, next_step
from tests.build import NOW
from tests.stores.kit import exported, opened, wait_for

#: A thread as the first release stores it, delivered, and one whose reply is pending.
DELIVERED = {
    "version": 2,
    "key": "d",
    "channel": "C0000001",
    "ts": "17.1",
    "severity": "info",
    "title": "T",
    "seen_at": NOW,
    "alerts": {"f": {"status": "firing", "name": "n", "labels": {"alertname": "T"}}},
}
PENDING = DELIVERED | {
    "key": "p",
    "ts": "17.2",
    "untold": {"events": {"f": {"kind": "fired", "at": NOW}}},
    "changed_at": NOW,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's readable copy is."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "threads.json"


def write_journal(path: Path, name: str, *changes: dict[str, object], after: str = "") -> None:
    """Write a journal as the first release does."""
    lines, seed = [], 0
    for number, body in enumerate([{"journal": name, "after": after}, *changes]):
        text = json.dumps(body).encode()
        lines.append(b"%08x %d %b\n" % (zlib.crc32(text, zlib.crc32(b"%d" % number, seed)), number, text))
        seed = zlib.crc32(name.encode())
    path.with_name("threads.json.journal").write_bytes(b"".join(lines) + bytes(1000))


def write_document(path: Path, *records: dict[str, object], journal: str = "") -> None:
    """Write a document as the first release does."""
    named = {"journal": journal, "previous": ""} if journal else {}
    path.write_text(json.dumps({"version": 2, **named, "threads": {str(each["key"]): each for each in records}}))


class TestFirstRelease:
    """An installation of the first release is taken over without a loss."""

    def test_document_and_journal(self, path: Path) -> None:
        """What only the journal says counts; afterwards it is gone."""
        write_document(path, DELIVERED, journal="one")
        write_journal(path, "one", {"p": PENDING}, {"x": PENDING | {"key": "x"}}, {"x": None})
        with opened(path) as kit:
            assert kit.keys == {"d", "p"}
            assert kit.store.warnings() == []
            assert next_step(kit.read("p")) is Step.POST_REPLY
        assert {each.name for each in path.parent.iterdir()} == {"threads.db", "threads.json", "threads.json.lock"}
        assert exported(path) == {"d", "p"}

    def test_second_journal(self, path: Path) -> None:
        """It was killed while it wrote a new document."""
        write_document(path, DELIVERED, journal="one")
        write_journal(path, "two", {"p": PENDING}, after="one")
        path.with_name("threads.json.journal").rename(path.with_name("threads.json.journal.next"))
        write_journal(path, "one", {"q": PENDING | {"key": "q"}})
        with opened(path) as kit:
            assert kit.keys == {"d", "p", "q"}

    def test_flat_file(self, path: Path) -> None:
        """Its threads go on: a new firing is a reply in them, also hours later."""
        path.write_text('{"k": "1700000000.000100", "unfinished": ""}')
        with opened(path) as kit:
            assert kit.store.stamps() == {"k": "1700000000.000100"}
            assert kit.store.counts().pending == 0
            kit.verbs.age(NOW + Policy().reopen_window + 3600)
            late = kit.fire("k", at=NOW + 86_400)
            assert (late.reason, late.thread.ts) == (Reason.FIRED, "1700000000.000100")

    def test_flat_file_is_dropped_once_it_would_be_stale(self, path: Path) -> None:
        """Nobody knows whether its alerts still fire."""
        path.write_text('{"k": "1700000000.000100"}')
        with opened(path) as kit:
            kit.verbs.age(NOW + Policy().stale_after)
            assert kit.store.stamps() == {}

    def test_line_of_the_journal_that_cannot_be_read(self, path: Path) -> None:
        """It costs itself only, is said, and the journal is kept."""
        write_document(path, DELIVERED, journal="one")
        write_journal(path, "one", {"p": PENDING}, {"q": PENDING | {"key": "q"}}, {"r": PENDING | {"key": "r"}})
        journal = path.with_name("threads.json.journal")
        journal.write_bytes(journal.read_bytes().replace(b'"q"', b'"Q"', 1))
        with opened(path) as kit:
            assert kit.keys == {"d", "p", "r"}
            assert "1 changes in" in kit.store.warnings()[0]
        assert len(list(path.parent.glob("threads.json.journal.damaged-*"))) == 1

    def test_last_line_that_breaks_off(self, path: Path) -> None:
        """Whoever sent it got no answer: nothing is said."""
        write_document(path, DELIVERED, journal="one")
        write_journal(path, "one", {"p": PENDING}, {"q": PENDING | {"key": "q"}})
        journal = path.with_name("threads.json.journal")
        journal.write_bytes(journal.read_bytes().rstrip(b"\0")[:-30])
        with opened(path) as kit:
            assert kit.keys == {"d", "p"}
            assert kit.store.warnings() == []

    def test_journal_of_another_document(self, path: Path) -> None:
        """A backup was laid back: it counts, and what the journal says is kept and spoken of."""
        write_document(path, DELIVERED, journal="one")
        write_journal(path, "other", {"p": PENDING})
        with opened(path) as kit:
            assert kit.keys == {"d"}
            assert "belongs to another threads.json" in kit.store.warnings()[0]
        (aside,) = path.parent.glob("threads.json.journal.unused-*")
        assert b'"p"' in aside.read_bytes()

    def test_damaged_document_keeps_what_the_journal_says(self, path: Path) -> None:
        """Its last changes are more than nothing."""
        path.write_text("{")
        write_journal(path, "one", {"p": PENDING})
        with opened(path) as kit:
            assert kit.keys == {"p"}
            assert "its threads are lost" in kit.store.warnings()[0]

    def test_after_the_way_back_and_forth(self, path: Path) -> None:
        """What the first release delivered in between is not pending again."""
        with opened(path) as kit:
            kit.fire("k")
        document = json.loads(path.read_text())
        delivered = document["threads"]["k"] | {"ts": "17.9", "seen_at": NOW + 60}
        del delivered["untold"], delivered["revision"]
        write_document(path, delivered)
        with opened(path) as kit:
            assert kit.store.stamps() == {"k": "17.9"}
            assert next_step(kit.read("k")) is not Step.POST_ROOT


class TestBackup:
    """A document that somebody put there."""

    def test_copy_is_a_backup(self, path: Path, tmp_path: Path) -> None:
        """Copied away, laid back and restarted, it is what the service starts from; the database is kept aside."""
        with opened(path) as kit:
            kit.fire("k")
            kit.deliver("k")
            wait_for(lambda: exported(path) == {"k"})
            shutil.copy(path, tmp_path / "backup.json")
            kit.fire("later")
            kit.deliver("later")
        shutil.copy(tmp_path / "backup.json", path)
        with opened(path) as kit:
            assert kit.keys == {"k"}
            assert "starts from that file" in kit.store.warnings()[0]
        assert len(list(path.parent.glob("threads.db.replaced-*"))) == 1

    def test_what_was_pending_is_carried_over(self, path: Path, tmp_path: Path) -> None:
        """An alert that was acknowledged and is not in Slack yet does not get lost by a restore."""
        with opened(path) as kit:
            kit.fire("k")
            kit.deliver("k")
            wait_for(lambda: exported(path) == {"k"})
            shutil.copy(path, tmp_path / "backup.json")
            kit.fire("pending", at=NOW + 5)
        shutil.copy(tmp_path / "backup.json", path)
        with opened(path) as kit:
            assert kit.keys == {"k", "pending"}
            assert "1 of its threads are carried over" in kit.store.warnings()[0]
            assert next_step(kit.read("pending")) is Step.POST_ROOT

    @pytest.mark.parametrize("how", ["backup", "no database", "damaged database"])
    def test_first_post_since_the_copy_is_looked_up(self, path: Path, tmp_path: Path, how: str) -> None:
        """Of the threads in it, and for a day of those that are opened, for they may be in Slack already."""
        with opened(path) as kit:
            kit.fire("k")
            kit.deliver("k")
            kit.fire("last", at=NOW + 5)
        shutil.copy(path, tmp_path / "backup.json")
        if how == "backup":
            with opened(path) as kit:
                kit.fire("since", at=NOW + 10)
                kit.deliver("since", at=NOW + 10)
        elif how == "damaged database":
            path.with_name("threads.db").write_bytes(b"SQLite format 3\0 no more")
        else:
            path.with_name("threads.db").unlink()
        shutil.copy(tmp_path / "backup.json", path)
        for _ in range(2):  # a restart does not change it
            with opened(path) as kit:
                assert [kit.read(key).restored_from for key in ("k", "last")] == [NOW + 5, NOW + 5]
                kit.fire("since", at=NOW + 60)
                assert kit.read("since").restored_from == NOW + 5
        with opened(path) as kit:
            kit.fire("next day", at=NOW + 25 * 3600)
            assert kit.read("next day").restored_from == 0

    def test_nothing_is_looked_up_after_an_upgrade(self, path: Path) -> None:
        """What the first release left is complete."""
        write_document(path, DELIVERED, journal="j")
        write_journal(path, "j", {"p": PENDING})
        with opened(path) as kit:
            kit.fire("new")
            assert [kit.read(key).restored_from for key in ("d", "p", "new")] == [0, 0, 0]

    @pytest.mark.parametrize("also_database", [False, True])
    def test_deleted_database(self, path: Path, *, also_database: bool) -> None:
        """The copy alone is a backup, and so is the database alone."""
        with opened(path) as kit:
            kit.fire("k")
        (path if also_database else path.with_name("threads.db")).unlink()
        with opened(path) as kit:
            assert kit.keys == {"k"}
            assert kit.store.warnings() == []

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2, "threads": []}', '{"k": {"ts": 1}}'])
    def test_half_copied_document_is_never_started_from(self, path: Path, content: str) -> None:
        """The database is there; the document is kept aside, and it is said."""
        with opened(path) as kit:
            kit.fire("k")
        path.write_text(content)
        with opened(path) as kit:
            assert kit.keys == {"k"}
            (aside,) = path.parent.glob("threads.json.damaged-*")
            assert str(aside) in kit.store.warnings()[0]
        assert aside.read_text() == content

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2, "threads": []}', "\x00" * 100])
    def test_damaged_document_without_a_database(
        self, path: Path, content: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The service runs, empty, and never silently: the log and the warnings name both files."""
        path.write_text(content)
        with opened(path) as kit:
            (aside,) = path.parent.glob("threads.json.damaged-*")
            assert aside.read_text() == content
            assert str(aside) in kit.store.warnings()[0]
            assert str(aside) in caplog.text
            kit.fire("k")

    def test_damaged_thread_does_not_cost_the_others(self, path: Path) -> None:
        """Only what cannot be read is lost, and the whole file is kept beside."""
        write_document(path, DELIVERED, {"key": "bad", "channel": 5})
        with opened(path) as kit:
            assert kit.keys == {"d"}
            assert "1 threads cannot be read" in kit.store.warnings()[0]

    def test_document_of_a_newer_version_is_left_alone(self, path: Path) -> None:
        """A downgrade must not lose what it does not understand."""
        path.write_text('{"version": 3, "threads": {}}')
        with pytest.raises(StoreError, match="newer version"), opened(path):
            pass
        assert path.read_text() == '{"version": 3, "threads": {}}'
        assert not list(path.parent.glob("*.damaged-*"))

    def test_killed_before_the_rename(self, path: Path) -> None:
        """The database knows the export that was to come, and the one that is there is still its own."""
        with opened(path) as kit:
            kit.fire("k")
        with closing(sqlite3.connect(path.with_name("threads.db"))) as database, database:
            database.execute("INSERT OR REPLACE INTO note VALUES ('exporting', 'to come')")
        with opened(path) as kit:
            kit.fire("later")
            assert kit.store.warnings() == []


class TestDamage:
    """A database that is not whole."""

    @pytest.mark.parametrize(
        "damage",
        [lambda _content: b"", lambda content: content[:5000], lambda content: b"\xff" * len(content)],
        ids=["empty", "cut", "garbled"],
    )
    def test_is_rebuilt_from_the_copy(
        self, path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Loudly, and the damaged one is kept."""
        with opened(path) as kit:
            kit.fire("k")
        database = path.with_name("threads.db")
        database.write_bytes(damage(database.read_bytes()))
        with opened(path) as kit:
            assert kit.keys == {"k"}
            assert "threads.db is damaged" in kit.store.warnings()[0]
            assert "threads.db is damaged" in caplog.text
        assert len(list(path.parent.glob("threads.db.damaged-*"))) == 1

    def test_damaged_record_comes_from_the_copy(self, path: Path) -> None:
        """SQLite does not notice a wrong bit inside a record; its checksum does."""
        with opened(path) as kit:
            kit.fire("k", "other")
        with closing(sqlite3.connect(path.with_name("threads.db"))) as database, database:
            database.execute("UPDATE thread SET record = replace(record, 'firing', 'fired!') WHERE key = 'k'")
        with opened(path) as kit:
            assert kit.keys == {"k", "other"}
            assert "1 records are damaged: 1 of them are taken from" in kit.store.warnings()[0]
        path.unlink()
        with closing(sqlite3.connect(path.with_name("threads.db"))) as database, database:
            database.execute("UPDATE thread SET ts = 'x' WHERE key = 'k'")
        with opened(path) as kit:
            assert kit.keys == {"other"}
            assert "1 are lost" in kit.store.warnings()[0]
