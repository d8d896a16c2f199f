"""Changes to a thread that come from people or Alertmanager, not from an alert. All of them modify the given record."""

from alert_threader.threads.answers import Note
from alert_threader.threads.events import Batch
from alert_threader.threads.record import AlertThread


def changed(thread: AlertThread) -> None:
    """Mark the root as out of date. Nobody is waiting for it, so its edit takes its turn."""
    thread.revision += 1
    thread.noted_revision = thread.revision


def answer(thread: AlertThread) -> None:
    """Mark the root as out of date, for somebody who pressed and is waiting: its edit goes first."""
    changed(thread)
    thread.answered_revision = thread.revision


def add_note(thread: AlertThread, note: Note) -> None:
    """Add a note to what the next reply delivers."""
    thread.pending = thread.pending.then(Batch(notes=(note,)))
