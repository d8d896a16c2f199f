"""Files that root makes for a service that runs as another user."""

import os
from pathlib import Path


def hand_over(*paths: Path) -> None:
    """Give what root made to the owner of its folder: the service, as that user, must be able to open it."""
    if os.geteuid() != 0:
        return
    for path in paths:
        if path.exists():
            owner = path.parent.stat()
            # Not where a link leads: whoever owns the folder may have put it there.
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
