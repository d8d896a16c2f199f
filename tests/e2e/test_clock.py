"""The clock is set while something waits: a wait is a length of time, not a time of day."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.servers import RedisServer
from harness.service import Service, wait_for
from harness.shifted_clock import ShiftedClock
from harness.webhooks import FIRED, webhook
from slack_sandbox.workspace import Workspace

#: By how many seconds it is set. An hour is what `make chaos` plays.
STEPS = (-60, -540, -7200, 7200)
#: Longer than any wait that is played here, and shorter than any step, in seconds.
SOON = 20.0


@pytest.fixture
def clock(tmp_path: Path) -> ShiftedClock:
    """The service's clock."""
    return ShiftedClock(tmp_path)


@pytest.fixture(params=["file", "redis"])
def service(
    request: pytest.FixtureRequest, make_service: Callable[..., Service], clock: ShiftedClock, tmp_path: Path
) -> Service:
    """A service with that clock, on either store."""
    settings = dict(clock.settings)
    if request.param == "redis":
        redis = RedisServer(tmp_path / "redis")
        redis.start()
        request.addfinalizer(redis.stop)  # noqa: PT021 - only one of the two stores needs it
        settings |= {"THREAD_STORE": "redis", "REDIS_URL": redis.url}
    service = make_service(**settings)
    service.start()
    return service


def test_no_wait_is_longer_than_its_length(service: Service, clock: ShiftedClock, workspace: Workspace) -> None:
    """Retry, look-up and the pause between edits are over in seconds, wherever the clock is set meanwhile."""

    def calls(method: str) -> int:
        return sum(call.method == method for call in workspace.calls.all())

    for number, step in enumerate(STEPS):
        for name, fault in (("Refused", "http"), ("Lost", "drop_after")):  # a retry, a look-up
            before = calls("chat.postMessage")
            workspace.faults.add(fault, method="chat.postMessage", count=1)
            service.send(webhook(f"{name}{number}"))
            wait_for(lambda before=before: calls("chat.postMessage") > before, 5)  # type: ignore[misc]
            clock.shift(step)
            service.wait_until_delivered(SOON)
            clock.shift(0)
            service.wait_until_delivered(SOON)
        edits = calls("chat.update")
        service.send(webhook(f"Refused{number}", {"db01": FIRED, "db02": FIRED}))
        clock.shift(step)
        wait_for(lambda edits=edits: calls("chat.update") > edits, SOON)  # type: ignore[misc]
        clock.shift(0)
    service.wait_healthy()
    posted = [call for call in workspace.calls.all() if call.method == "chat.postMessage" and call.accepted]
    assert len(posted) == 3 * len(STEPS), "nothing is posted twice"
