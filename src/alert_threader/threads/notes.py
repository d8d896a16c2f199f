"""How a thread is told what is no alert's, and how it answers whoever has pressed. Both change the given record."""

from alert_threader.threads.answers import Note
from alert_threader.threads.events import Batch
from alert_threader.threads.record import AlertThread


def answer(thread: AlertThread) -> None:
    """Let the root show soon what has changed: somebody waits for it."""
    thread.revision += 1
    thread.noted_revision = thread.answered_revision = thread.revision


def tell(thread: AlertThread, note: Note) -> None:
    """Let a reply tell a note."""
    thread.pending = thread.pending.then(Batch(notes=(note,)))
