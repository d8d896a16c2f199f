"""What a file store does in its life, for a power cut at each moment of it. Run by ``test_powercut``.

After each change that is acknowledged, its number goes into the file ``words`` beside the store's. ``-`` says that what
comes next is somebody's fault: until the next number nothing is promised.
"""

import sys
from pathlib import Path

from alert_threader.store import SqliteStore, Threads, database, disk, export
from alert_threader.threads import AlertThread, Policy

POLICY = Policy()
KEYS = 12


def main(folder: Path, sabotage: str) -> None:
    """Make changes, with exports, checkpoints, a deleted database, a stop and a start among them."""
    export._GATHER, export._SHARE = 0.02, 0
    if sabotage == "no folder sync":
        for module in (database, export, disk):
            setattr(module, "sync_folder", lambda _folder: None)  # noqa: B010 - a fault is planted
    if sabotage == "no folder sync after an export":
        setattr(export, "sync_folder", lambda _folder: None)  # noqa: B010 - a fault is planted
    number = 0
    with (folder / "words").open("a", buffering=1) as words:
        for life in range(3):
            store = SqliteStore(folder / "threads.json", POLICY, "C0000001", 1.0)
            verbs = Threads(store, POLICY)
            writer = store._database.writer
            writer.execute("PRAGMA wal_autocheckpoint = 20")
            if sabotage == "syncs at checkpoints alone":
                writer.execute("PRAGMA synchronous = NORMAL")
            if sabotage == "no sync of the log":
                writer.execute("PRAGMA synchronous = OFF")
            for step in range(60):
                number += 1
                thread = AlertThread(
                    key=f"k{number % KEYS}",
                    channel="C0000001",
                    ts=str(number),
                    seen_at=1.0,
                    title="x" * (number * 37 % 5000),
                )
                verbs.insert([thread], replace=True)
                words.write(f"{number}\n")
                if life == 1 and step == 30:
                    words.write("-\n")
                    (folder / "threads.db").unlink()
            store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
