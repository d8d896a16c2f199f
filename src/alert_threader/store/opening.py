"""What a file store starts from: its database, or a document that somebody put in the place of its export.

========================  ==================  ==============================================================
the database              THREAD_STORE_FILE   starts from
========================  ==================  ==============================================================
whole                     the last export     the database
whole                     missing             the database
whole                     another, readable   the document: a backup, or what the first release wrote. The database is
                                              kept aside; threads in it with something pending are carried over
whole                     cannot be read      the database; the document is kept aside
missing or damaged        readable            the document, with the first release's journal if it names one
missing or damaged        missing, damaged    nothing, or what a journal of the first release says
========================  ==================  ==============================================================
"""

import logging
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.store import database, document, wal
from alert_threader.store.database import Row, damaged_keys, read_only, row, rows
from alert_threader.store.disk import aside_name, copy_aside, move_aside, sync_folder
from alert_threader.store.document import Document
from alert_threader.store.export import EXPORTED, EXPORTING, digest_of, own_digests
from alert_threader.store.former import Recovered, journals_of, merge
from alert_threader.threads import AlertThread, Policy, is_pending, plan
from alert_threader.threads.schema import encode

log = logging.getLogger(__name__)

#: The note in the database that says for what policy the plans in it were made.
PLANNED = "planned"
#: The note that says of what time the copy was that the database was made from, and how long that matters.
_RESTORED = "restored"
#: After a restore an alert of a thread that was opened since the copy comes again within this time, in seconds:
#: Alertmanager's ``repeat_interval`` is 4 hours unless somebody sets it.
_MISSED_FOR = 24 * 60 * 60

_encode_plan = msgspec.json.Encoder().encode


class Restored(msgspec.Struct, frozen=True):
    """A start from a copy: the time of the copy, and until when threads are missed that were opened after it.

    Both in seconds since the epoch, 0 where there was none.
    """

    copied_at: float = 0
    until: float = 0


class Opened(msgspec.Struct, frozen=True):
    """What a start found: the digest of the document that it started beside, and what a person should know."""

    exported: str
    warnings: list[str]
    restored: Restored


_decode_restored = msgspec.json.Decoder(Restored).decode


def database_of(path: Path) -> Path:
    """The database beside a store's readable copy: ``threads.db`` beside ``threads.json``."""
    return path.with_name(f"{path.name.removesuffix('.json')}.db")


def row_of(thread: AlertThread, policy: Policy) -> Row:
    """A thread as the database keeps it."""
    return row(thread.key, thread.ts, encode(thread), _encode_plan(plan(thread, policy)))


class Opening:
    """One start of a store that this process owns."""

    def __init__(self, path: Path, policy: Policy, channel: str, now: float) -> None:
        """Take the export's name, the rules' settings, the default channel and the time (see ``document.load``)."""
        self._path = path
        self._database = database_of(path)
        self._policy = policy
        self._channel = channel
        self._now = now
        self._warnings: list[str] = []
        self._planned = {PLANNED: repr(policy)}

    def prepare(self) -> Opened:
        """Leave a whole database under its name. Raises StoreError, sqlite3.Error and OSError."""
        text = self._path.read_bytes() if self._path.exists() else None
        digest = "" if text is None else digest_of(text)
        is_whole = self._is_whole()
        if is_whole:
            self._mend_records(text)
        if is_whole and (text is None or digest in own_digests(self._database)):
            return self._opened(digest)
        found = None if text is None else self._load(text, is_needed=not is_whole)
        exported = "" if found is None else digest
        if not is_whole or found is not None:
            self._start_from(merge(self._path, found), exported, is_whole=is_whole)
        return self._opened(exported)

    def _opened(self, exported: str) -> Opened:
        with closing(read_only(self._database)) as connection:
            note = connection.execute("SELECT value FROM note WHERE name = ?", (_RESTORED,)).fetchone()
        return Opened(exported, self._warnings, Restored() if note is None else _decode_restored(note[0]))

    def _is_whole(self) -> bool:
        """Whether there is a whole database; a damaged one is set aside."""
        if not self._database.exists():
            return False
        self._look_at_log()
        try:
            database.check(self._database)
        except StoreDamagedError as error:
            aside = aside_name(self._database, "damaged", self._now)
            database.move(self._database, aside)
            self._say(
                f"{self._database} is damaged ({error}) and kept as {aside}: the threads are those of {self._path}, "
                "the changes of its last seconds may be missing"
            )
            return False
        return True

    def _look_at_log(self) -> None:
        """Say what is lost with a damaged log, and keep it aside: SQLite passes over it and removes it."""
        log_file = database.files_of(self._database)[1]
        if log_file.exists() and (what := wal.damage(log_file.read_bytes())):
            aside = copy_aside(log_file, "damaged", self._now)
            self._say(
                f"{log_file} is damaged ({what}) and kept as {aside}: changes that are not in {self._path} are lost"
            )

    def _mend_records(self, text: bytes | None) -> None:
        """Take records that are damaged from the document, which has them as they were some seconds before."""
        with closing(read_only(self._database)) as connection:
            damaged = damaged_keys(connection)
            if not damaged:
                return
            kept = {key: document.thread_of(msgspec.Raw(record)) for key, record in rows(connection)}
        copies = {}
        with suppress(StoreError):
            copies = {} if text is None else document.load(text, self._channel, self._now).records
        mended = {key: document.thread_of(copies[key]) if key in copies else None for key in damaged}
        restored = self._restored(mended.values())
        lost = sum(thread is None for thread in mended.values())
        threads = [thread for thread in {**kept, **mended}.values() if thread is not None]
        aside = self._keep_former("damaged")
        self._build(threads, own_digests(self._database), restored)
        self._say(
            f"{self._database}: {len(damaged)} records are damaged: {len(damaged) - lost} of them are taken from "
            f"{self._path}, {lost} are lost; the damaged database is kept as {aside}"
        )

    def _restored(self, copies: Iterable[AlertThread | None]) -> Restored:
        """Mark threads as those of a copy, whose time is that of their last change."""
        found = [thread for thread in copies if thread is not None]
        copied_at = max(map(last_change, found), default=0.0)
        for thread in found:
            thread.restored_from = copied_at
        return Restored(copied_at, self._now + _MISSED_FOR)

    def _build(self, threads: Iterable[AlertThread], digests: Iterable[str], restored: Restored) -> None:
        """Put a database of these threads under the name, in one step with taking the former one away."""
        new = self._database.with_name(f"{self._database.name}.new")
        exported = dict(zip((EXPORTED, EXPORTING), digests, strict=False))
        notes = exported | self._planned | {_RESTORED: msgspec.json.encode(restored).decode()}
        database.build(new, (row_of(thread, self._policy) for thread in threads), notes)
        for each in database.files_of(self._database)[1:]:
            each.unlink(missing_ok=True)  # beside another database, a log would be taken for its own
        new.rename(self._database)
        sync_folder(self._database.parent)

    def _keep_former(self, why: str) -> Path:
        """Give the database, whose log is empty since it was checked, a second name, which is returned."""
        aside = aside_name(self._database, why, self._now)
        aside.hardlink_to(self._database)
        return aside

    def _load(self, text: bytes, *, is_needed: bool) -> Document | None:
        """Read the document; one that cannot be read is kept aside, and never started from."""
        try:
            return document.load(text, self._channel, self._now)
        except StoreDamagedError as error:
            what = f"{self._path} {error}"
            if is_needed:
                self._say_lost(f"{what}: its threads are lost")
            else:
                aside = move_aside(self._path, "damaged", self._now)
                self._say(f"{what}: it is kept as {aside}, and the threads are those of {self._database}")
            return None
        except StoreError as error:
            raise StoreError(f"{self._path} {error}") from error

    def _start_from(self, recovered: Recovered, digest: str, *, is_whole: bool) -> None:
        """Make the database anew, of a document and what the first release's journal adds to it."""
        read = {key: document.thread_of(record) for key, record in recovered.records()}
        threads = {key: thread for key, thread in read.items() if thread is not None}
        if damaged := len(read) - len(threads):
            self._say_lost(f"{self._path}: {damaged} threads cannot be read and are lost")
        # What the first release left is no copy: nothing was posted since.
        is_copy = is_whole or not recovered.document.is_named
        restored = self._restored(threads.values()) if is_copy else Restored()
        carried = self._carried(threads) if is_whole else []
        threads.update((thread.key, thread) for thread in carried)
        if is_whole:
            aside = self._keep_former("replaced")
            self._say(
                f"{self._path} is not the service's own copy: it starts from that file; the former database is kept as "
                f"{aside}, and {len(carried)} of its threads are carried over because something in them is pending"
            )
        self._build(threads.values(), [digest], restored)
        self._put_journals_away(recovered)

    def _carried(self, threads: dict[str, AlertThread]) -> list[AlertThread]:
        """The threads of the former database with something pending that the document does not know, or not yet."""
        with closing(read_only(self._database)) as connection:
            former = [document.thread_of(msgspec.Raw(record)) for _, record in rows(connection)]
        return [
            thread
            for thread in former
            if thread is not None
            and is_pending(thread)
            and (thread.key not in threads or last_change(thread) > last_change(threads[thread.key]))
        ]

    def _put_journals_away(self, recovered: Recovered) -> None:
        """Remove the first release's journals, which the database holds now, and keep what is not used aside."""
        for each in recovered.strange:
            aside = move_aside(each, "unused", self._now)
            self._say(f"{each} belongs to another {self._path.name}: it is not used, and kept as {aside}")
        if recovered.lost:
            kept = ", ".join(str(copy_aside(each, "damaged", self._now)) for each in recovered.used)
            self._say(f"{recovered.lost} changes in {recovered.used[0]} cannot be read and are lost; kept as {kept}")
        for each in journals_of(self._path):
            each.unlink(missing_ok=True)

    def _say_lost(self, what: str) -> None:
        aside = copy_aside(self._path, "damaged", self._now)
        self._say(
            f"{what}; the damaged file is kept as {aside}: to use a backup, stop the service, copy it over "
            f"{self._path}, start the service"
        )

    def _say(self, warning: str) -> None:
        """Tell a person: in the log, and for as long as the process lives."""
        self._warnings.append(warning)
        log.error("%s", warning)


def last_change(thread: AlertThread) -> float:
    """When a record was last written, as far as it says so, in seconds since the epoch."""
    attempted_at = thread.attempt.at if thread.attempt is not None else 0.0
    return max(
        thread.seen_at, thread.changed_at, thread.notified_at, thread.shown.at, thread.closed_at or 0.0, attempted_at
    )
