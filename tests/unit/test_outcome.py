"""What the outcome of a call makes of a thread."""

import itertools
from typing import Any

import pytest

from alert_threader.formatter import render
from alert_threader.threads import (
    MAX_SIMPLE,
    CopiesRemoved,
    Failed,
    NotFound,
    NotMade,
    Outcome,
    Policy,
    Posted,
    PostedBefore,
    RootGone,
    Step,
    Uneditable,
    Unknown,
    Updated,
    Wait,
    forget,
    is_pending,
    record_outcome,
    record_unchanged,
    shown_now,
)
from alert_threader.threads.plan import DEBOUNCE
from tests.build import NOW, alert
from tests.life import Life, rendered

POLICY = Policy()
#: When the history shows what became of a post, in seconds.
SHOWN_AFTER = POLICY.visible(0).until
LOST = Unknown(error="timeout", retry=Wait(NOW, 0))
REFUSED = Failed(error="no", retry=Wait(NOW + 5, 5))


class TestRestored:
    """The first post of a thread that was restored from a copy: it may have been made since."""

    COPIED_AT = NOW + 10

    @pytest.fixture
    def restored(self, life: Life) -> Life:
        """A thread whose root is pending in the copy."""
        life.notify(alert("a"))
        life.thread.restored_from = self.COPIED_AT
        life.now = self.COPIED_AT + 100
        return life

    def test_is_looked_up(self, restored: Life) -> None:
        """Where Slack does not have it, it is posted; what comes then is not looked up."""
        assert restored.start() is Step.LOOK_UP
        restored.end(NotFound())
        assert restored.start() is Step.POST_ROOT
        restored.end(Posted(ts="1.0", threaded=False))
        restored.notify(alert("b"))
        assert restored.start() is Step.POST_REPLY

    def test_is_still_looked_up_by_its_key_after_a_failure(self, restored: Life) -> None:
        """Also by the next process."""
        restored.start()
        restored.end(LOST)
        assert restored.thread.is_asked_by_key
        assert restored.due is Step.LOOK_UP

    def test_root_that_is_there_is_the_root(self, restored: Life) -> None:
        """What it told is not told again; what came since is, and the root is edited to show it."""
        restored.notify(alert("b"))
        restored.start()
        restored.notify(alert("c"))
        root = f"{self.COPIED_AT + 50:.6f}"
        restored.end(PostedBefore(ts=root))
        assert restored.thread.ts == root
        assert restored.call() == ["b fired", "c fired"]
        assert restored.deliver() == [Step.UPDATE_ROOT]
        assert restored.due is None

    def test_reply_that_is_there(self, life: Life) -> None:
        """The same for a thread whose root the copy knows."""
        life.notify(alert("a"))
        life.deliver()
        life.notify(alert("b"))
        life.thread.restored_from = self.COPIED_AT
        life.now = self.COPIED_AT + 100
        root = life.thread.ts
        assert life.start() is Step.LOOK_UP
        life.end(PostedBefore(ts=f"{self.COPIED_AT + 50:.6f}"))
        assert (life.thread.ts, life.deliver()) == (root, [Step.UPDATE_ROOT])

    def test_attempt_of_the_copy_is_looked_up_by_its_id(self, life: Life) -> None:
        """It was made before the copy; only if Slack does not have it, the next one is looked up by the key."""
        life.notify(alert("a"))
        life.start()
        life.thread.restored_from = self.COPIED_AT
        life.now = self.COPIED_AT + 100
        assert not life.thread.is_asked_by_key
        life.end(NotFound())
        assert life.start() is Step.LOOK_UP
        assert life.thread.is_asked_by_key


class TestPost:
    """A root or a reply."""

    def test_notification_during_the_call_is_delivered_next(self, life: Life) -> None:
        """The outcome is written onto the record as it is now."""
        life.notify(alert("a"))
        life.start("id")
        life.notify(alert("b"))
        life.thread = record_outcome(life.thread, "id", Posted(ts="1.0", threaded=False), NOW, POLICY)
        assert life.thread.ts == "1.0"
        assert life.call() == ["b fired"]

    def test_root_shows_what_was_posted(self, life: Life) -> None:
        """The hash of the message, the record's revision and its state at the start of the call."""
        life.notify(alert("a"))
        life.start("id")
        life.thread = record_outcome(life.thread, "id", Posted(ts="1.0", threaded=False, hash="abc"), NOW + 1, POLICY)
        shown = life.thread.shown
        assert (shown.revision, shown.hash, shown.status, shown.at) == (life.thread.revision, "abc", "firing", NOW + 1)

    def test_refused_message_is_pending_again(self, life: Life) -> None:
        """What came meanwhile is delivered with it."""
        life.notify(alert("a"))
        life.call(REFUSED)
        assert (life.thread.failures, life.thread.error) == (1, "no")
        assert life.due is None
        life.notify(alert("b"))
        life.now += 5
        assert life.call() == ["a fired", "b fired"]
        assert (life.thread.failures, life.thread.error) == (0, "")

    def test_refused_form_is_sent_simpler(self, life: Life) -> None:
        """No alert is lost to formatting; a success is the end of it."""
        life.notify(alert("a"))
        for _ in range(MAX_SIMPLE + 2):
            life.call(Failed(error="invalid_blocks", retry=Wait(NOW, 0), simpler=True))
        assert life.thread.simple == MAX_SIMPLE
        life.call()
        assert life.thread.simple == 0

    def test_unknown_outcome_is_looked_up_before_anything_else(self, delivered: Life) -> None:
        """Nothing is posted for the thread until it is known whether Slack has the message."""
        delivered.notify(alert("b"))
        delivered.call(Unknown(error="timeout", retry=Wait(NOW + 3, 3)))
        delivered.notify(alert("c"))
        assert delivered.due is None
        delivered.now += 3
        assert delivered.due is Step.LOOK_UP

    def test_look_up_that_fails_is_made_again(self, delivered: Life) -> None:
        """Later."""
        delivered.notify(alert("b"))
        delivered.call(LOST)
        delivered.call(Unknown(error="timeout", retry=Wait(NOW + 3, 3)))
        assert delivered.thread.failures == 2
        delivered.now += 3
        assert delivered.due is Step.LOOK_UP

    def test_found_message_is_not_delivered_again(self, delivered: Life) -> None:
        """What came since is delivered on its own."""
        delivered.notify(alert("b"))
        delivered.call(LOST)
        delivered.notify(alert("c"))
        delivered.call(Posted(ts="9.0", threaded=True))
        assert delivered.thread.ts == "1.0"
        assert delivered.call() == ["c fired"]

    def test_message_that_is_not_found_is_delivered_again(self, delivered: Life) -> None:
        """With what came since, as one message."""
        delivered.notify(alert("b"))
        delivered.call(LOST)
        delivered.now += 1
        delivered.notify(alert("c"))
        delivered.call(NotFound())
        assert delivered.call() == ["b fired", "c fired"]

    def test_a_message_that_is_posted_again_and_again_is_spaced(self, life: Life) -> None:
        """1, 1, 2, at most 3 s from one post to the next, and from the start after one that got through."""
        life.notify(alert("a"))
        posted = []
        for _ in range(8):
            assert life.due is Step.POST_ROOT
            posted.append(life.now)
            life.call(Unknown(error="503", retry=Wait(life.now, 0)))
            life.call(NotFound())
            life.now += life.wait
        assert [later - earlier for earlier, later in itertools.pairwise(posted)] == [1, 1, 2, 3, 3, 3, 3]
        life.call()
        life.notify(alert("b"))
        life.call(Unknown(error="503", retry=Wait(life.now, 0)))
        life.call(NotFound())
        assert life.wait == 1

    def test_attempt_of_a_killed_process_is_looked_up_after_a_second(self, life: Life) -> None:
        """Late is nearly lost; a copy that arrives after that is removed."""
        life.notify(alert("a"))
        life.start()
        assert life.due is None
        life.now += 1
        assert life.due is Step.LOOK_UP

    def test_look_up_that_cannot_be_made_is_given_up(self, life: Life) -> None:
        """Ten seconds after it was known that the outcome is not, whatever failed meanwhile."""
        life.notify(alert("a"))
        life.call(LOST)
        for _ in range(3):
            life.now += 3
            life.call(Unknown(error="503", retry=Wait(life.now + 3, 3)))
        assert life.action is not None
        assert life.action.give_up_at == NOW + 10

    @pytest.mark.parametrize("outcome", [Posted(ts="7.0", threaded=False), NotFound(), REFUSED, RootGone(ts=None)])
    def test_outcome_of_another_attempt_changes_nothing(self, life: Life, outcome: Outcome) -> None:
        """A sender that stalled past its lease cannot undo what its successor did."""
        life.notify(alert("a"))
        life.start("new")
        assert record_outcome(life.thread, "old", outcome, NOW, POLICY) is life.thread
        assert record_outcome(life.thread, "", outcome, NOW, POLICY) is life.thread

    def test_reply_that_lost_its_root_becomes_the_root(self, delivered: Life) -> None:
        """Somebody deleted the root: Slack posts the reply into the channel, where it gets the root's content."""
        delivered.notify(alert("b"))
        delivered.call(Posted(ts="5.0", threaded=False))
        assert delivered.thread.ts == "5.0"
        assert delivered.deliver() == [Step.UPDATE_ROOT]
        assert delivered.root == rendered(delivered.thread)


class TestEdit:
    """An edit of the root."""

    @pytest.fixture
    def editing(self, delivered: Life) -> Life:
        """All has resolved, and the root is about to say so."""
        delivered.notify(alert("a", "resolved"))
        delivered.call()
        assert delivered.start("edit") is Step.UPDATE_ROOT
        return delivered

    def test_deleted_root_is_posted_again(self, delivered: Life) -> None:
        """An edit finds no message: the thread gets another root, and nothing pending is lost."""
        delivered.notify(alert("a", "resolved"))
        delivered.call()
        delivered.call(RootGone(ts="1.0"))
        assert delivered.deliver() == [Step.POST_ROOT]
        assert delivered.thread.shown.status == "resolved"
        assert delivered.root == rendered(delivered.thread)

    def test_reply_finds_that_the_thread_is_gone(self, delivered: Life) -> None:
        """What it carried is in the new root."""
        delivered.notify(alert("b"))
        delivered.call(RootGone(ts="1.0"))
        assert delivered.call() == ["b fired"]
        assert delivered.action is None

    def test_late_word_of_an_edit_does_not_touch_a_newer_root(self, editing: Life) -> None:
        """A sender that stalled edited the root before this one."""
        for outcome in (RootGone(ts="0.5"), Updated(ts="0.5", shown=shown_now(editing.thread))):
            assert record_outcome(editing.thread, "edit", outcome, NOW, POLICY) is editing.thread

    def test_word_of_another_edit_does_not_end_the_uncertainty(self, editing: Life) -> None:
        """A sender that stalled says how its edit ended while its successor's may still land."""
        shown = shown_now(editing.thread)
        for attempt in ("", "stalled"):
            for outcome in (REFUSED, Updated(ts="1.0", shown=shown), NotFound()):
                assert record_outcome(editing.thread, attempt, outcome, NOW, POLICY) is editing.thread

    def test_posted_is_no_word_of_an_edit(self, editing: Life) -> None:
        """It would be of a post that is not under way."""
        assert record_outcome(editing.thread, "edit", Posted(ts="9.0", threaded=False), NOW, POLICY) is editing.thread

    def test_edit_that_was_never_made_is_due_at_once(self, editing: Life) -> None:
        """Its mark was stored, but the store's answer was lost."""
        editing.end(NotMade())
        assert editing.due is Step.UPDATE_ROOT

    def test_unknown_edit_is_made_again_at_once_and_once_more(self, editing: Life) -> None:
        """A red edit that lands late, on top of the green one, must not stay."""
        editing.end(Unknown(error="503", retry=Wait(NOW, 0)))
        assert editing.deliver() == [Step.UPDATE_ROOT]
        assert editing.root == rendered(editing.thread)
        assert not is_pending(editing.thread)
        editing.now += 2 * POLICY.call_timeout
        assert editing.deliver() == [Step.UPDATE_ROOT]
        assert editing.action is None

    def test_edit_of_a_killed_process_is_made_again_at_once_and_once_more(self, editing: Life) -> None:
        """Nobody knows what became of it."""
        assert editing.deliver() == [Step.UPDATE_ROOT]
        editing.now += 2 * POLICY.call_timeout
        assert editing.deliver() == [Step.UPDATE_ROOT]
        assert editing.action is None

    def test_the_last_edit_shows_what_the_root_is_by_then(self, editing: Life) -> None:
        """Another edit that is made after the doubt has ended is the last one too."""
        editing.end(Unknown(error="503", retry=Wait(NOW, 0)))
        assert editing.deliver() == [Step.UPDATE_ROOT]
        editing.now += 2 * POLICY.call_timeout
        editing.notify(alert("a"))
        assert editing.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]
        assert editing.action is None

    def test_refused_edit_leaves_the_doubt_of_the_one_before(self, editing: Life) -> None:
        """It changes nothing of what may still land."""
        editing.end(Unknown(error="503", retry=Wait(NOW, 0)))
        editing.call(REFUSED)
        editing.now += 5
        assert editing.deliver() == [Step.UPDATE_ROOT]
        editing.now += 2 * POLICY.call_timeout - 5
        assert editing.deliver() == [Step.UPDATE_ROOT]

    def test_refused_edit_is_made_again(self, editing: Life) -> None:
        """After its wait."""
        editing.thread = record_outcome(editing.thread, "edit", REFUSED, NOW, POLICY)
        assert editing.due is None
        editing.now += 5
        assert editing.deliver() == [Step.UPDATE_ROOT]


class TestUnchanged:
    """A root that would look the same is not edited."""

    @pytest.fixture
    def same(self, delivered: Life) -> Life:
        """A thread whose root fell behind, and would look as it does."""
        delivered.notify(alert("b"))
        delivered.now += DEBOUNCE
        delivered.deliver()
        delivered.notify(alert("b", "resolved"))
        delivered.notify(alert("b"))
        delivered.call()
        assert delivered.action is not None
        return delivered

    def test_is_the_end_of_it(self, same: Life) -> None:
        """The root shows this revision, and when it was last edited stays."""
        before = same.thread.shown
        same.thread = record_unchanged(same.thread, same.thread.revision)
        assert same.action is None
        assert (same.thread.shown.hash, same.thread.shown.at) == (before.hash, before.at)

    def test_changes_nothing_of_a_record_that_went_on(self, same: Life) -> None:
        """What was rendered is not what the root would be now."""
        rendered_revision = same.thread.revision
        same.notify(alert("c"))
        same.call()
        assert record_unchanged(same.thread, rendered_revision) is same.thread

    def test_changes_nothing_while_a_message_is_pending(self, same: Life) -> None:
        """The root's turn comes after it."""
        same.notify(alert("c"))
        assert record_unchanged(same.thread, same.thread.revision) is same.thread


class TestUneditable:
    """The workspace lets nobody edit messages, or not for long."""

    @pytest.fixture
    def uneditable(self, delivered: Life) -> Life:
        """The root is red, and cannot be edited any more."""
        delivered.notify(alert("b"))
        delivered.call()
        delivered.now += DEBOUNCE
        delivered.call(Uneditable(ts="1.0"))
        return delivered

    def test_nothing_is_edited_any_more(self, uneditable: Life) -> None:
        """It would be refused each time."""
        assert not is_pending(uneditable.thread)
        uneditable.notify(alert("b", "resolved"))
        assert uneditable.deliver() == [Step.POST_REPLY]

    def test_end_is_told_in_the_channel(self, uneditable: Life) -> None:
        """The root stays red: only what stands below it in the channel says that it is over."""
        for states, is_told in (({"a": "resolved"}, False), ({"b": "resolved"}, True), ({"a": "firing"}, True)):
            uneditable.notify(*(alert(name, state) for name, state in states.items()))
            message = reply(uneditable)
            assert message.get("reply_broadcast", False) is is_told

    def test_end_that_was_told_in_the_thread_alone_is_told_again(self, delivered: Life) -> None:
        """Only with the edit that follows it does it show that the root stays red."""
        delivered.notify(alert("a", "resolved"))
        assert "reply_broadcast" not in reply(delivered)
        delivered.call(Uneditable(ts="1.0"))
        message = reply(delivered)
        assert message["reply_broadcast"]
        assert message["text"].startswith("✅ RESOLVED — ")
        assert "Slack no longer lets the first message be edited" in str(message["attachments"])
        assert delivered.action is None

    def test_new_root_can_be_edited(self, uneditable: Life) -> None:
        """Somebody deleted the old one."""
        uneditable.notify(alert("b", "resolved"))
        uneditable.call(RootGone(ts="1.0"))
        uneditable.call()
        uneditable.notify(alert("a", "resolved"))
        assert uneditable.deliver() == [Step.POST_REPLY, Step.UPDATE_ROOT]


def reply(life: Life) -> dict[str, Any]:
    """The reply that is due; it is delivered."""
    assert life.start("reply") is Step.POST_REPLY
    attempt = life.thread.attempt
    assert attempt is not None
    message = render(life.thread, Step.POST_REPLY, attempt.batch, environment="test")
    life.end(Posted(ts="9.0", threaded=True))
    return message


class TestLateCopy:
    """A post that was absent when it was looked up, was made again, and may have arrived all the same."""

    @pytest.fixture
    def reposted(self, life: Life) -> Life:
        """The root is there, once as far as anybody knows."""
        life.notify(alert("a"))
        life.start("first")
        life.end(LOST)
        life.now += 1
        life.call(NotFound())
        life.deliver()
        return life

    def test_is_looked_for_when_it_must_have_arrived(self, reposted: Life) -> None:
        """It is nothing that is pending: nobody waits for it."""
        assert not is_pending(reposted.thread)
        assert reposted.wait == SHOWN_AFTER - 1
        reposted.now = NOW + SHOWN_AFTER
        assert reposted.due is Step.REMOVE_COPIES
        reposted.thread = record_outcome(reposted.thread, "", CopiesRemoved(ids=("first",)), reposted.now, POLICY)
        assert reposted.action is None

    def test_several_are_looked_for_in_one_pass(self, reposted: Life) -> None:
        """When the last of them must have arrived."""
        reposted.now += 5
        reposted.notify(alert("b"))
        reposted.start("second")
        reposted.end(LOST)
        reposted.call(NotFound())
        reposted.now += 1
        reposted.deliver()
        assert reposted.now + reposted.wait == NOW + 6 + SHOWN_AFTER
        first, second = reposted.thread.uncertain_posts
        assert (first.id, first.thread_ts, second.id, second.thread_ts) == ("first", "", "second", reposted.thread.ts)

    def test_does_not_keep_others_waiting(self, reposted: Life) -> None:
        """What fires now is told first, and before a look-up."""
        reposted.now = NOW + SHOWN_AFTER
        reposted.notify(alert("b"))
        assert reposted.due is Step.POST_REPLY

    def test_is_looked_for_again_after_a_failure(self, reposted: Life) -> None:
        """Slack was away."""
        reposted.now = NOW + SHOWN_AFTER
        later = CopiesRemoved(ids=(), retry=Wait(reposted.now + 20, 20))
        reposted.thread = record_outcome(reposted.thread, "", later, reposted.now, POLICY)
        assert reposted.wait == 20

    def test_search_goes_back_to_the_post_however_often_it_is_put_off(self, reposted: Life) -> None:
        """History is away for a quarter of an hour: the copy is still where it was posted."""
        [post] = reposted.thread.uncertain_posts
        posted_at = post.at - post.wait
        for _ in range(60):
            assert reposted.action is not None
            reposted.now = reposted.action.at
            later = CopiesRemoved(ids=(), retry=Wait(reposted.now + 20, 20))
            reposted.thread = record_outcome(reposted.thread, "", later, reposted.now, POLICY)
        [post] = reposted.thread.uncertain_posts
        assert post.at > NOW + 1000
        assert post.at - post.wait == pytest.approx(posted_at)

    def test_what_is_pending_does_not_wait_behind_everything_for_it(self, life: Life) -> None:
        """With as many as are remembered the pass comes first, in the thread's own place among others."""
        life.notify(alert("a"))
        for number in range(20):
            life.start(f"id{number}")
            life.end(LOST)
            life.end(NotFound())
            assert life.action is not None
            life.now = max(life.now, life.action.at)
        life.now += SHOWN_AFTER
        assert life.due is Step.REMOVE_COPIES
        assert life.action is not None
        assert life.action.rank[0] < 100

    def test_keeps_a_thread_that_is_forgotten(self, reposted: Life) -> None:
        """An operator clears the cache a moment too early."""
        kept = forget(reposted.thread, reposted.now)
        assert kept is not None
        assert kept.closed_at == reposted.now
        done = record_outcome(kept, "", CopiesRemoved(ids=("first",)), reposted.now, POLICY)
        assert forget(done, reposted.now) is None

    def test_only_so_many_are_remembered(self, life: Life) -> None:
        """In an outage of hours."""
        life.notify(alert("a"))
        for number in range(60):
            if life.start(f"id{number}") is Step.REMOVE_COPIES:
                away = CopiesRemoved(ids=(), retry=Wait(life.now + 20, 20))
                life.thread = record_outcome(life.thread, "", away, life.now, POLICY)
            else:
                life.end(LOST)
                life.end(NotFound())
            assert life.action is not None
            life.now = max(life.now, life.action.at)
        assert len(life.thread.uncertain_posts) == 20
        assert life.thread.uncertain_posts[0].id != "id0"
