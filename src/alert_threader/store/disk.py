"""What a disk must be told so that it keeps what was written."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable: without this it can be lost in a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
