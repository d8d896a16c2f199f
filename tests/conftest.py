"""What every test shares: hypothesis's profiles, and the check that nothing is left running."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import hypothesis
import pytest

# No deadline: how fast a machine is, other tests measure. In CI, the same examples every time.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

# Started in the background of a script, Ctrl-C is ignored, and by every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Seconds a thread may take to end after the test that stopped it.
ENDING = 2.0


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a non-daemon thread behind: it would keep the process from ending."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + ENDING
    while left := [each for each in threading.enumerate() if not each.daemon and each not in before]:
        if time.monotonic() > until:
            pytest.fail(f"the test left threads behind: {', '.join(each.name for each in left)}")
        left[0].join(0.05)
