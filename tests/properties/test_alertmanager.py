"""A service, its Alertmanagers and the truth behind them, driven by chance: nothing closes that fires, all else does.

The truth is which alerts fire, and which silences hold. Members of the cluster are down, or start again without alerts;
webhooks come late; the service starts again. The store and the poller are the real ones.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alert_threader.alertmanager.model import HeldAlert, KnownSilence
from alert_threader.alertmanager.webhook import Status
from alert_threader.threads import (
    NoteKind,
    Operation,
    Posted,
    Press,
    Silence,
    Silenced,
    Step,
    Updated,
    alertmanager_lane,
    shown_now,
    slack_lane,
)
from tests.build import CHANNEL, HOUR, alert, change, held, known_silence
from tests.unit.test_reconciler import FROM, Member, Trial

#: Fingerprints; the first letter is the thread.
NAMES = ("a" * 16, "a" * 15 + "2", "b" * 16)
ALL = (*NAMES, "c" * 16)
IDENTITY = {"alertname": "Down"}
#: How late a webhook is at most, in seconds, and how long a member that has started again has no alerts.
LATE = 120.0
EMPTY = 500.0
#: Longer than all that is waited for: GONE_AFTER, three polls, a list that is empty, a member that has just started.
SETTLED = 30 * 60.0
#: How many silences of an alert hold at the same time.
_MOST = 3
#: What a thread says of a silence.
_BEGINS = (NoteKind.SILENCED_ELSEWHERE, NoteKind.SILENCED)
_ENDS = (NoteKind.SILENCE_ENDED, NoteKind.EXPIRED_ELSEWHERE, NoteKind.UNSILENCED)


class Late(NamedTuple):
    """A webhook on its way."""

    at: float
    name: str
    status: str


def key_of(name: str) -> str:
    """The thread of an alert: its first letter."""
    return name[0]


class Polled(RuleBasedStateMachine):
    """What can happen, and what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self.trial = Trial(self._folder)
        self.cluster = self.trial.cluster
        self.firing: set[str] = set()
        #: The names of silenced alerts by the id of the silence, and its end.
        self.silenced: dict[str, tuple[str, float]] = {}
        self.late: list[Late] = []
        #: Until when each member has no alerts.
        self.empty_until = dict.fromkeys((member.name for member in self.cluster.members), 0.0)
        self.first_again: set[str] = set()
        self.has_started_again = False
        self.number = 0
        self.said: Counter[tuple[str, str, str]] = Counter()
        # Something was always wrong: by it the service knows where webhooks come from.
        self.firing.add("c" * 16)
        self.late.append(Late(self.trial.now, "c" * 16, "firing"))
        self.time_passes(30)

    # -- the truth ------------------------------------------------------------------------------------------------

    def is_muted(self, name: str) -> bool:
        """Whether a silence holds."""
        return any(who == name and ends > self.trial.now for who, ends in self.silenced.values())

    def tell(self, name: str, status: str, after: float) -> None:
        """Alertmanager sends a webhook, unless the alert is muted."""
        if not self.is_muted(name):
            self.late.append(Late(self.trial.now + after, name, status))

    @rule(name=st.sampled_from(NAMES), after=st.sampled_from([0.0, 0.0, LATE]))
    def fires(self, name: str, after: float) -> None:
        """An alert begins to fire."""
        if name not in self.firing:
            self.firing.add(name)
            self.tell(name, "firing", after)
            self.arrive()

    @rule(name=st.sampled_from(NAMES), after=st.sampled_from([0.0, LATE]))
    def ends(self, name: str, after: float) -> None:
        """An alert ends; if it is muted, nobody is told."""
        if name in self.firing:
            self.firing.discard(name)
            self.tell(name, "resolved", after)
            self.arrive()

    @rule(name=st.sampled_from(NAMES), seconds=st.sampled_from([120.0, 1200.0, 2 * HOUR]))
    def somebody_silences(self, name: str, seconds: float) -> None:
        """In Alertmanager; more than a few at a time, nobody makes."""
        if sum(who == name and ends > self.trial.now for who, ends in self.silenced.values()) >= _MOST:
            return
        self.number += 1
        self.silenced[f"s{self.number}"] = (name, self.trial.now + seconds)

    @precondition(lambda self: self.silenced)
    @rule(chance=st.integers(0, 100))
    def somebody_ends_a_silence(self, chance: int) -> None:
        """In Alertmanager; it sends what it would have sent."""
        name = sorted(self.silenced)[chance % len(self.silenced)]
        who, ends = self.silenced[name]
        self.silenced[name] = (who, min(ends, self.trial.now))

    # -- Alertmanager ---------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 1), is_down=st.booleans())
    def a_member_is_down(self, number: int, is_down: bool) -> None:
        """Or back."""
        self.cluster.members[number].is_down = is_down

    @rule(
        numbers=st.sampled_from([(0,), (1,), (0, 1)]),
        empty_for=st.sampled_from([90.0, EMPTY]),
        first_again=st.sets(st.sampled_from(ALL)),
    )
    def members_start_again(self, numbers: tuple[int, ...], empty_for: float, first_again: set[str]) -> None:
        """Without silences, and without alerts until Prometheus sends them again: some sooner than others."""
        self.first_again, self.has_started_again = first_again, True
        for number in numbers:
            member = self.cluster.members[number]
            member.started_at = self.trial.now
            self.empty_until[member.name] = self.trial.now + empty_for

    @precondition(lambda self: self.trial.now > max(self.empty_until.values()) + 2 * HOUR)
    @rule()
    def all_forget(self) -> None:
        """Prometheus reaches none of them for some minutes, and they run on."""
        self.first_again, self.has_started_again = set(), False
        for name in self.empty_until:
            self.empty_until[name] = self.trial.now + EMPTY

    @rule(name=st.sampled_from(NAMES), is_muted=st.booleans())
    def a_webhook_is_late(self, name: str, is_muted: bool) -> None:
        """An alert that has been there for a while ends, and it takes some time until that is told."""
        self.fires(name, 0.0)
        if is_muted:
            self.somebody_silences(name, 2 * HOUR)
        self.time_passes(120.0)
        self.ends(name, LATE)
        self.time_passes(150.0)

    def bring_up_to_date(self) -> None:
        """What each member holds now."""
        now = self.trial.now
        silences: dict[str, KnownSilence] = {}
        for name, (who, ends) in self.silenced.items():
            silences[name] = known_silence(name, holds=ends > now, ends_at=ends, created_by=f"{name}@{key_of(who)}")
        alerts: dict[str, HeldAlert] = {}
        for name in self.firing:
            by = tuple(each for each, (who, ends) in self.silenced.items() if who == name and ends > now)
            alerts |= held(name, silenced_by=by) if by else held(name)
        self.cluster.alerts, self.cluster.held = alerts, silences
        for member in self.cluster.members:
            self.fill(member, alerts)

    def fill(self, member: Member, alerts: dict[str, HeldAlert]) -> None:
        """A member holds this. One that has just started holds less, and knows no silences."""
        if self.trial.now < self.empty_until[member.name]:
            some = held(*(name for name in alerts if name in self.first_again))
            member.fields = {"alerts": some, **({"silences": {}} if self.has_started_again else {})}
        else:
            member.fields = {"alerts": alerts}

    # -- the service ----------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """The webhooks whose time has come."""
        for each in [late for late in self.late if late.at <= self.trial.now]:
            self.late.remove(each)
            # A group's notification says how its alert is by now.
            if (each.status == "firing") is (each.name in self.firing):
                given = alert(each.name, each.status)
                told = change(given, key=key_of(each.name), external_url=FROM, identity=IDENTITY)
                self.trial.threads.notify([told], self.trial.now)
                # A moment later it is looked for where it is.
                self.trial.now += 1
                self.bring_up_to_date()
                self.trial.reconciler.poll([key_of(each.name)])

    @rule(seconds=st.sampled_from([30.0, 120.0, 400.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        """With a poll every 30 s."""
        for _ in range(int(seconds // 30)):
            self.trial.now += 30
            self.arrive()
            self.bring_up_to_date()
            before, muted = self.open_alerts(), self.muted_alerts()
            self.trial.reconciler.poll()
            for name in self.firing & muted & self.open_alerts() - self.muted_alerts():
                assert not self.is_muted(name), f"{name} is silenced, and a poll has made it loud"
            for name in before - self.open_alerts():
                assert name not in self.firing, f"{name} fires, and a poll has closed it"
                assert name not in {each.name for each in self.late}, f"the webhook of {name} is on its way"
            self.trial.threads.age(self.trial.now)

    def open_alerts(self) -> set[str]:
        """The alerts that fire for the service."""
        threads = self.trial.store.threads()
        return {name for each in threads for name, alert in each.alerts.items() if alert.status is Status.FIRING}

    def muted_alerts(self) -> set[str]:
        """The alerts that the service knows to be muted."""
        threads = self.trial.store.threads()
        return {name for each in threads for name, alert in each.alerts.items() if alert.mute is not None}

    @rule()
    def the_service_starts_again(self) -> None:
        """And knows only what is stored."""
        self.trial.restarted()

    @rule(key=st.sampled_from(["a", "b"]), operation=st.sampled_from([Operation.ACKNOWLEDGE, Operation.UNACKNOWLEDGE]))
    def somebody_presses(self, key: str, operation: Operation) -> None:
        """On the first message."""
        with self.thread(key) as ts:
            self.number += 1
            self.trial.threads.press(key, self.pressed(operation, ts, 0), self.trial.now)

    @rule(key=st.sampled_from(["a", "b"]), seconds=st.sampled_from([120.0, 2 * HOUR]))
    def somebody_silences_from_here(self, key: str, seconds: float) -> None:
        """One alert is silenced, and Alertmanager makes the silence."""
        with self.thread(key) as ts:
            self.number += 1
            pressed = self.pressed(Operation.SILENCE, ts, seconds)
            self.trial.threads.press(key, pressed, self.trial.now)
            self.carry_out(key)

    def pressed(self, operation: Operation, ts: str, seconds: float) -> Press:
        """A press."""
        return Press(
            op=f"op{self.number}",
            operation=operation,
            user="U0KIM",
            name=f"s{self.number}@{self.number}",
            channel=CHANNEL,
            ts=ts,
            at=self.trial.now,
            seconds=seconds,
            each_alert=True,
        )

    def carry_out(self, key: str) -> None:
        """The calls that a press asks for."""
        lease = self.trial.store.claim(alertmanager_lane("am"))
        assert lease is not None
        while (started := self.trial.threads.start_attempt(lease, key, "call", self.trial.now)) is not None:
            command = started.thread.commands[0]
            self.number += 1
            name = f"s{self.number}"
            self.silenced[name] = (command.targets[0], command.until)
            made = Silence(id=name, ours=True, name=name, alert=command.targets[0], ends_at=command.until, cluster="am")
            self.trial.threads.record_outcome(lease, key, "call", Silenced(made), self.trial.now)
        self.trial.store.release(lease)

    @contextmanager
    def thread(self, key: str) -> Iterator[str]:
        """A thread's first message, once it is posted."""
        self.delivers()
        found = self.trial.store.read(key)
        yield (found.ts or "") if found is not None else ""

    @rule()
    def delivers(self) -> None:
        """Slack takes all that is due."""
        lane = slack_lane(CHANNEL)
        lease = self.trial.store.claim(lane)
        assert lease is not None
        for due in self.trial.store.due(lane, float("inf")):
            while (
                started := self.trial.threads.start_attempt(lease, due.key, f"c{self.number}", self.trial.now)
            ) is not None:
                self.number += 1
                thread = started.thread
                if started.step is Step.UPDATE_ROOT:
                    done: Updated | Posted = Updated(ts=thread.ts, shown=shown_now(thread))
                else:
                    assert thread.attempt is not None
                    self.count(due.key, thread.attempt.batch.notes)
                    done = Posted(ts=f"{self.number}.0", threaded=True)
                self.trial.threads.record_outcome(lease, due.key, thread.under_way, done, self.trial.now)
        self.trial.store.release(lease)

    def count(self, key: str, notes: tuple) -> None:  # type: ignore[type-arg]
        """What a message says of silences."""
        for note in notes:
            for kinds in (_BEGINS, _ENDS):
                if note.kind in kinds:
                    self.said[key, kinds[0], note.who] += 1

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_said_twice(self) -> None:
        """Of one silence, that it began and that it ended, each at most once in a thread."""
        assert max(self.said.values(), default=0) <= 1, self.said

    def teardown(self) -> None:
        """In the end all is well with Alertmanager: every thread is as the truth is."""
        try:
            for member in self.cluster.members:
                member.is_down = False
            self.time_passes(SETTLED)
            self.delivers()
            self.nothing_is_said_twice()
            for thread in self.trial.store.threads():
                is_known = any(state.cluster for state in thread.alerts.values())
                for name, state in thread.alerts.items():
                    if name not in self.firing and not is_known:
                        continue  # it was over before anybody could look
                    if name not in self.firing:
                        assert state.status is Status.RESOLVED, f"{name} is over, and its thread is open"
                    elif state.status is Status.FIRING:
                        assert (state.mute is not None) is self.is_muted(name)
        finally:
            self.trial.store.close()
            shutil.rmtree(self._folder)


TestPolled = Polled.TestCase
TestPolled.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
