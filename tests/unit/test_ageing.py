"""What time, or an operator, makes of a thread."""

import pytest

from alert_threader.threads import Policy, Reason, Step, age, ages_at, forget
from alert_threader.threads.plan import KEEP_CLOSED
from tests.build import DAY, HOUR, NOW, alert, thread
from tests.life import Life, rendered

POLICY = Policy()


class TestRule9Stale:
    """Nothing is heard of a firing thread."""

    def test_is_marked_and_closed(self, delivered: Life) -> None:
        """After STALE_AFTER the root says so, and the next firing opens a new thread."""
        delivered.now += 7 * DAY
        delivered.age()
        assert delivered.thread.state == "stale"
        assert delivered.deliver() == [Step.UPDATE_ROOT]
        assert delivered.root == rendered(delivered.thread)
        assert delivered.notify(alert("a")).reason is Reason.OPENED

    def test_is_left_alone_before(self, delivered: Life) -> None:
        """The record itself, which a store need not write."""
        delivered.now += 7 * DAY - 1
        assert delivered.age() is delivered.thread

    def test_with_something_pending_is_marked_too(self, delivered: Life) -> None:
        """However long Slack has been away."""
        delivered.notify(alert("b"))
        delivered.now += 7 * DAY
        delivered.age()
        assert delivered.thread.stale
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]

    def test_resolution_after_all_is_delivered_in_it(self, delivered: Life) -> None:
        """The end of the story belongs to its thread."""
        delivered.now += 7 * DAY
        delivered.age()
        delivered.deliver()
        assert delivered.notify(alert("a", "resolved")).reason is Reason.RESOLVED
        delivered.deliver()
        assert delivered.thread.shown.status == "resolved"


class TestDrop:
    """A thread that is over."""

    def test_closed_thread_is_dropped_when_all_is_delivered(self, delivered: Life) -> None:
        """The store does not keep what is over."""
        delivered.notify(alert("a", "resolved"))
        assert age(delivered.thread, NOW + DAY, POLICY) is delivered.thread
        assert ages_at(delivered.thread, POLICY) is None
        delivered.deliver()
        assert age(delivered.thread, NOW + HOUR - 1, POLICY) is delivered.thread
        assert age(delivered.thread, NOW + HOUR, POLICY) is None

    def test_stale_thread_is_dropped(self, delivered: Life) -> None:
        """Once its root says so."""
        delivered.now += 7 * DAY
        delivered.age()
        delivered.deliver()
        assert delivered.age() is None

    def test_late_duplicate_of_a_resolution_finds_the_closed_thread(self) -> None:
        """With a short window the thread is kept for a while, so an HA peer's copy opens no new one."""
        life = Life(Policy(reopen_window=0))
        life.notify(alert("a"))
        life.notify(alert("a", "resolved"))
        life.deliver()
        life.now += 60
        assert life.age() is life.thread
        assert life.notify(alert("a", "resolved")).reason is Reason.DUPLICATE
        life.now += KEEP_CLOSED
        assert life.age() is None

    @pytest.mark.parametrize(("seconds", "kept"), [(7 * DAY - 1, True), (7 * DAY, False)])
    def test_imported_thread_is_kept_until_it_would_be_stale(self, seconds: float, kept: bool) -> None:
        """Nobody knows whether it still fires."""
        imported = thread()
        assert age(imported, NOW + seconds, POLICY) is (imported if kept else None)


class TestForget:
    """DELETE /cache."""

    def test_delivered_thread_is_dropped(self, delivered: Life) -> None:
        """The next alert opens a new thread."""
        assert forget(delivered.thread, NOW) is None

    def test_what_is_pending_is_still_delivered(self, delivered: Life) -> None:
        """Then the thread goes."""
        delivered.notify(alert("a", "resolved"))
        delivered.thread = forget(delivered.thread, NOW)
        assert delivered.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert delivered.notify(alert("a")).reason is Reason.OPENED

    def test_makes_no_edit(self, life: Life) -> None:
        """A root does not show that it is forgotten."""
        life.notify(alert("a"))
        revision = life.thread.revision
        life.thread = forget(life.thread, NOW)
        assert life.thread.revision == revision
