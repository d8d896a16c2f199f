"""The journal's format, its file, and what a start makes of a document and its journals."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alert_threader.errors import StoreError
from alert_threader.store import FileStore
from alert_threader.store.document import encode
from alert_threader.store.journal import Head, Journal, changes, scan
from alert_threader.threads import AlertThread, Policy

NOW = 1_800_000_000.0
CHANNEL = "C0000001"

Write = Callable[..., int]


def thread(key: str, ts: str) -> AlertThread:
    """A thread that is told."""
    return AlertThread(key=key, channel=CHANNEL, ts=ts, opened_at=NOW, changed_at=NOW, seen_at=NOW)


def open_store(path: Path) -> FileStore:
    """Open the store of a file."""
    return FileStore(path, Policy(), CHANNEL, NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the document will be."""
    return tmp_path / "state" / "threads.json"


@pytest.fixture
def journal(path: Path) -> Path:
    """Where its journal will be."""
    return path.with_name("threads.json.journal")


@pytest.fixture
def crashed(path: Path, journal: Path) -> bytes:
    """A store that was killed after five changes, as its journal's bytes; the document has none of them."""
    store = open_store(path)
    document = path.read_bytes()
    for number in range(5):
        store.insert([thread(f"k{number}", f"{number}.0")], replace=True)
    text = journal.read_bytes()
    store.close()
    path.write_bytes(document)
    journal.write_bytes(text)
    return text


def stamps(path: Path) -> dict[str, str]:
    """What a start finds, without a warning."""
    store = open_store(path)
    assert store.warnings() == []
    try:
        return store.stamps()
    finally:
        store.close()


def expected(*numbers: int) -> dict[str, str]:
    """The stamps after these changes."""
    return {f"k{number}": f"{number}.0" for number in numbers}


class TestFormat:
    """Lines."""

    def test_is_readable(self, crashed: bytes) -> None:
        """Each line is guard, number and the records by key, as they are in the document."""
        head, first, *_ = crashed.decode().split("\n")
        assert head.split(" ", 2)[1:] == ["0", scan_head(crashed)]
        assert first.split(" ", 2)[1:] == ["1", "{" + encode(thread("k0", "0.0")).decode() + "}"]

    def test_says_whose_it_is(self, tmp_path: Path) -> None:
        """Its own name, and that of the journal before it."""
        Journal(tmp_path / "j", "b", after="a").close()
        scanned = scan((tmp_path / "j").read_bytes())
        assert scanned is not None
        assert (scanned.head, scanned.lines, scanned.lost) == (Head("b", "a"), [], 0)

    @pytest.mark.parametrize("text", [b"", b"\0" * 100, b"no journal\n", b'00000000 0 {"journal": "a", "after": ""}\n'])
    def test_of_anything_else_is_none(self, text: bytes) -> None:
        """What does not begin with a head is no journal."""
        assert scan(text) is None

    def test_line_of_another_journal_is_none(self, tmp_path: Path) -> None:
        """Whatever an earlier journal left on the disk is never read as this one's."""
        texts: list[list[bytes]] = []
        for name in ("a", "b"):
            journal = Journal(tmp_path / name, name)
            journal.append(b'{"k": %d}' % len(texts))
            journal.append(b'{"l": %d}' % len(texts))
            journal.close()
            texts.append((tmp_path / name).read_bytes().split(b"\n"))
        mixed = scan(b"\n".join([texts[0][0], texts[0][1], texts[1][2], b""]))
        assert mixed is not None
        assert (mixed.lines, mixed.lost) == ([b'{"k": 0}'], 0)

    def test_line_that_comes_again_is_none(self, tmp_path: Path) -> None:
        """A line counts in its own place only."""
        journal = Journal(tmp_path / "j", "a")
        journal.append(b'{"k": 1}')
        journal.append(b'{"k": 2}')
        journal.close()
        lines = (tmp_path / "j").read_bytes().split(b"\n")[:3]
        scanned = scan(b"\n".join([*lines, lines[1], b""]))
        assert scanned is not None
        assert (scanned.lines, scanned.lost) == ([b'{"k": 1}', b'{"k": 2}'], 0)

    def test_dropped_thread_is_null(self) -> None:
        """A change of several threads is one line."""
        assert changes([b'"a": {}', b'"b": null']) == b'{"a": {}, "b": null}'


def scan_head(text: bytes) -> str:
    """The head of a journal as JSON."""
    scanned = scan(text)
    assert scanned is not None
    return f'{{"journal":"{scanned.head.journal}","after":""}}'


class TestFile:
    """Writing."""

    def test_grows_into_zeros(self, tmp_path: Path) -> None:
        """Most lines are written into blocks that are there already: the file grows in steps, and not by each line."""
        journal = Journal(tmp_path / "j", "a")
        sizes = set()
        for number in range(500):
            journal.append(b'{"k": "%d%s"}' % (number, b"x" * 3000))
            sizes.add((tmp_path / "j").stat().st_size)
        journal.close()
        assert len(sizes) < 10
        scanned = scan((tmp_path / "j").read_bytes())
        assert scanned is not None
        assert (len(scanned.lines), scanned.lost) == (500, 0)

    def test_short_writes_are_gone_on_with(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk may take a line in pieces."""
        pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
        journal = Journal(tmp_path / "j", "a")
        journal.append(b'{"k": "' + b"x" * 100 + b'"}')
        journal.close()
        scanned = scan((tmp_path / "j").read_bytes())
        assert scanned is not None
        assert (len(scanned.lines), scanned.lost) == (1, 0)

    def test_failed_line_leaves_no_trace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was written of it is cut off, and the next line takes its place and number."""
        pwrite = os.pwrite

        def break_off(fd: int, data: memoryview, at: int) -> int:
            if at == len(end):
                return pwrite(fd, data[:50], at)
            raise OSError(errno.ENOSPC, "No space left on device")

        journal = Journal(tmp_path / "j", "a")
        journal.append(b'{"first": 1}')
        end = (tmp_path / "j").read_bytes().rstrip(b"\0")
        with monkeypatch.context() as full:
            full.setattr(os, "pwrite", break_off)
            with pytest.raises(OSError, match="No space"):
                journal.append(b'{"lost": "' + b"x" * 80_000 + b'"}')
        assert (tmp_path / "j").read_bytes() == end
        assert journal.trusted
        journal.append(b'{"second": 2}')
        journal.close()
        scanned = scan((tmp_path / "j").read_bytes())
        assert scanned is not None
        assert (scanned.lines, scanned.lost) == ([b'{"first": 1}', b'{"second": 2}'], 0)

    def test_room_for_the_line_alone_will_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a disk that is nearly full the zeros are left out."""
        pwrite, limit = os.pwrite, 500

        def nearly_full(fd: int, data: memoryview, at: int) -> int:
            if at >= limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return pwrite(fd, data[: limit - at], at)

        monkeypatch.setattr(os, "pwrite", nearly_full)
        journal = Journal(tmp_path / "j", "a")
        journal.append(b'{"k": "' + b"x" * 300 + b'"}')
        with pytest.raises(OSError, match="No space"):
            journal.append(b'{"k": "' + b"x" * 300 + b'"}')
        journal.close()
        scanned = scan((tmp_path / "j").read_bytes())
        assert scanned is not None
        assert (len(scanned.lines), scanned.lost) == (1, 0)

    def test_failed_sync_ends_all_trust(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody knows what is on the disk then, and the next sync would not say so."""

        def fail(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        journal = Journal(tmp_path / "j", "a")
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append(b"{}")
        assert not journal.trusted
        journal.close()


class TestStart:
    """A document and the journals beside it."""

    @pytest.mark.usefixtures("crashed")
    def test_replays(self, path: Path, journal: Path) -> None:
        """All that was committed is there, and in the document once the service stops."""
        assert stamps(path) == expected(0, 1, 2, 3, 4)
        assert not journal.exists()
        assert stamps(path) == expected(0, 1, 2, 3, 4)

    def test_last_state_wins(self, path: Path) -> None:
        """A thread that changed, was dropped and came again is as it was last; what the document holds is no matter."""
        store = open_store(path)
        for number in range(3):
            store.insert([thread("again", f"{number}.0"), thread(f"k{number}", "1.0")], replace=True)
            store.forget(NOW)
        store.insert([thread("again", "7.0")], replace=True)
        held = path.with_name("held")
        journal = path.with_name("threads.json.journal")
        text = journal.read_bytes()
        store._disk._write([*map(encode, store.threads())], store._disk._newest)
        held.write_bytes(path.read_bytes())
        store.close()
        for document in (path.read_bytes(), held.read_bytes()):
            path.write_bytes(document)
            journal.write_bytes(text)
            assert stamps(path) == {"again": "7.0"}

    def test_torn_tail_at_every_byte(self, path: Path, journal: Path, crashed: bytes) -> None:
        """Wherever the last line breaks off, cut or followed by zeros, the ones before it count and nothing is said."""
        document = path.read_bytes()
        end = len(crashed.rstrip(b"\0"))
        begin = crashed.rindex(b"\n", 0, end - 1) + 1
        for at in range(begin, end):
            for text in (crashed[:at], crashed[:at] + bytes(len(crashed) - at)):
                path.write_bytes(document)
                journal.write_bytes(text)
                is_whole = at == end - 1  # but for its end
                assert stamps(path) == expected(0, 1, 2, 3, *([4] if is_whole else [])), at

    @pytest.mark.parametrize("damage", ["a byte", "zeros", "a line less", "the line's end"])
    def test_bad_line_costs_itself_only(self, path: Path, journal: Path, crashed: bytes, damage: str) -> None:
        """What cannot be read is said, and kept; the lines around it count."""
        lines = crashed.split(b"\n")
        if damage == "a byte":
            lines[3] = lines[3].replace(b"k2", b"kx")
        elif damage == "zeros":
            lines[3] = bytes(len(lines[3]))
        elif damage == "a line less":
            del lines[3]
        text = b"\n".join(lines)
        if damage == "the line's end":
            text = text.replace(b"\n" + lines[3] + b"\n", b"\n" + lines[3] + b"\0")
        journal.write_bytes(text)
        store = open_store(path)
        lost = (2, 3) if damage == "the line's end" else (2,)
        assert store.stamps() == expected(*{0, 1, 2, 3, 4}.difference(lost))
        (aside,) = path.parent.glob("threads.json.journal.damaged-*")
        assert aside.read_bytes() == text
        (said,) = store.warnings()
        assert f"{len(lost)} changes in {journal} cannot be read and are lost" in said
        assert str(aside) in said
        store.close()
        assert stamps(path) == expected(*{0, 1, 2, 3, 4}.difference(lost))

    def test_journal_of_another_document_is_set_aside(self, path: Path, journal: Path, crashed: bytes) -> None:
        """Somebody has laid a backup back: it is what counts, and what the journal says is kept, and spoken of."""
        path.write_bytes(b'{"version": 2, "journal": "another", "previous": "", "threads": {\n}}\n')
        store = open_store(path)
        assert store.stamps() == {}
        (aside,) = path.parent.glob("threads.json.journal.unused-*")
        assert aside.read_bytes() == crashed
        (said,) = store.warnings()
        assert f"{journal} belongs to another threads.json" in said
        assert str(aside) in said
        store.close()
        assert stamps(path) == {}

    @pytest.mark.usefixtures("crashed")
    def test_flat_backup_over_a_killed_service(self, path: Path) -> None:
        """A document that names no journal has none but its own."""
        path.write_text('{"old": "1700000000.000100"}')
        store = open_store(path)
        assert store.stamps() == {"old": "1700000000.000100"}
        assert len(store.warnings()) == 1
        store.close()

    def test_older_document_over_a_killed_service(self, path: Path) -> None:
        """No two documents name the same journal, also where the service was stopped and started in between."""
        store = open_store(path)
        store.insert([thread("k0", "0.0")], replace=False)
        store.close()
        first = path.read_bytes()
        store = open_store(path)
        store.insert([thread("k1", "1.0")], replace=False)
        store.close()
        store = open_store(path)
        store.insert([thread("k2", "2.0")], replace=False)
        text = path.with_name("threads.json.journal").read_bytes()
        store.close()
        path.with_name("threads.json.journal").write_bytes(text)
        path.write_bytes(first)
        store = open_store(path)
        assert store.stamps() == expected(0)
        assert "belongs to another threads.json" in store.warnings()[0]
        store.close()

    def test_journal_of_a_flat_file_is_replayed(self, path: Path, journal: Path) -> None:
        """A service that was killed before it could write its first document has lost nothing."""
        path.parent.mkdir()
        path.write_text('{"old": "1700000000.000100"}')
        store = open_store(path)
        store.insert([thread("new", "1.0")], replace=False)
        text = journal.read_bytes()
        store.close()
        path.write_text('{"old": "1700000000.000100"}')
        journal.write_bytes(text)
        assert stamps(path) == {"old": "1700000000.000100", "new": "1.0"}

    def test_missing_journal_is_fine(self, path: Path, journal: Path) -> None:
        """A document alone is a backup."""
        store = open_store(path)
        store.insert([thread("k", "1.0")], replace=False)
        store.close()
        assert b'"journal": ' in path.read_bytes()
        assert not journal.exists()
        assert stamps(path) == {"k": "1.0"}

    def test_missing_document_is_said(self, path: Path, journal: Path, crashed: bytes) -> None:
        """A journal without its document is not taken for all there was."""
        path.unlink()
        store = open_store(path)
        assert store.stamps() == {}
        assert f"{journal} belongs to another threads.json" in store.warnings()[0]
        assert [each.read_bytes() for each in path.parent.glob("threads.json.journal.unused-*")] == [crashed]
        store.close()

    @pytest.mark.usefixtures("crashed")
    def test_damaged_document_keeps_what_the_journal_says(self, path: Path) -> None:
        """Its last changes are more than nothing."""
        path.write_text("damaged")
        store = open_store(path)
        assert store.stamps() == expected(0, 1, 2, 3, 4)
        assert "its threads are lost" in store.warnings()[0]
        store.close()
        assert stamps(path) == expected(0, 1, 2, 3, 4)

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b'4879b53e 0 {"jour'])
    def test_journal_that_was_just_being_made(self, path: Path, journal: Path, content: bytes) -> None:
        """It holds nothing, and nothing is said of it."""
        open_store(path).close()
        journal.write_bytes(content)
        assert stamps(path) == {}

    @pytest.mark.usefixtures("crashed")
    def test_newer_document_is_left_alone(self, path: Path, journal: Path, crashed: bytes) -> None:
        """A downgrade touches neither the document nor its journal."""
        path.write_text('{"version": 3, "threads": {}}')
        with pytest.raises(StoreError, match="newer version"):
            open_store(path)
        assert journal.read_bytes() == crashed
