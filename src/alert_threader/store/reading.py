"""A file store, or a backup of one, as commands read it: beside a running service, and leaving nothing behind."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from alert_threader.errors import StoreDamagedError, StoreError
from alert_threader.store import document
from alert_threader.store.database import complaint, damaged_keys, is_damage, read_only, rows
from alert_threader.store.export import digest_of, own_digests
from alert_threader.store.former import merge
from alert_threader.store.opening import database_of
from alert_threader.threads import AlertThread


class Contents(msgspec.Struct, frozen=True):
    """The threads of a store, the keys of those that could not be read, and what else is wrong, a line each."""

    threads: dict[str, AlertThread]
    damaged: list[str]
    faults: list[str]
    #: The document itself where it is all of the store; empty else.
    text: bytes = b""


def read_store(path: Path, channel: str, now: float) -> Contents:
    """Read a store that a service may be using; the arguments as for ``document.load``.

    Every change that was acknowledged before is in it. Raises as ``read_document`` does.
    """
    database = database_of(path)
    if not database.exists():
        return read_document(path, channel, now)
    try:
        with closing(read_only(database)) as connection:
            damaged = damaged_keys(connection)
            records = {key: document.thread_of(msgspec.Raw(record)) for key, record in rows(connection)}
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if is_damage(error):
            raise StoreDamagedError(f"is damaged: {database}: {error}") from error
        raise StoreError(f"cannot be read: {database}: {complaint(error)}") from error
    unreadable = {*damaged, *(key for key, thread in records.items() if thread is None)}
    threads = {key: thread for key, thread in records.items() if thread is not None and key not in unreadable}
    return Contents(threads, sorted(unreadable), [] if verdict == "ok" else [f"{database} is damaged: {verdict}"])


def awaits_start(path: Path) -> bool:
    """Whether the next start begins with a document that somebody put in the place of the store's own copy.

    Raises OSError and sqlite3.Error.
    """
    database = database_of(path)
    if not database.exists() or not path.exists():
        return False
    # Asked before and after: a running service may be writing its copy anew.
    known = own_digests(database)
    digest = digest_of(path.read_bytes())
    return digest not in known | own_digests(database)


def read_document(path: Path, channel: str, now: float) -> Contents:
    """Read a backup, or what the first release left: a document with its journal, if it has one.

    Raises OSError (FileNotFoundError where there is none), StoreDamagedError and StoreError.
    """
    text = path.read_bytes()
    recovered = merge(path, document.load(text, channel, now))
    read = {key: document.thread_of(record) for key, record in recovered.records()}
    faults = [f"{each} belongs to another {path.name}" for each in recovered.strange]
    if recovered.lost:
        faults.append(f"{recovered.lost} changes in {recovered.used[0]} cannot be read")
    return Contents(
        {key: thread for key, thread in read.items() if thread is not None},
        [key for key, thread in read.items() if thread is None],
        faults,
        b"" if recovered.document.is_named else text,
    )
