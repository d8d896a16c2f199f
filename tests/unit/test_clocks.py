"""What time it is for Slack, where our own clock is wrong or is set."""

import pytest

from alert_threader.slack.clocks import Clocks


class Machine:
    """A machine's two clocks, and Slack's."""

    def __init__(self) -> None:
        """Ours is right."""
        self.passed, self.off = 0.0, 0.0
        self.clocks = Clocks(lambda: 1000 + self.passed + self.off, lambda: self.passed)

    def hear(self) -> None:
        """Slack answers."""
        self.clocks.heard(1000 + self.passed)


@pytest.fixture
def machine() -> Machine:
    """A machine that has heard nothing of Slack yet."""
    return Machine()


def test_not_known_before_an_answer(machine: Machine) -> None:
    """Nothing is guessed."""
    assert machine.clocks.ahead() == []


@pytest.mark.parametrize("step", [-7200, -60, 60, 7200])
def test_both_times_are_known_after_a_step(machine: Machine, step: float) -> None:
    """A time that was noted before the clock was set, or after, is found under one of them; without an answer since."""
    machine.hear()
    machine.passed += 5
    machine.off = step
    assert machine.clocks.ahead() == [0, -step]
    machine.hear()
    machine.passed += 5
    machine.off = 0
    assert machine.clocks.ahead() == [0, -step, 0]


def test_former_time_is_forgotten(machine: Machine) -> None:
    """It would only make searches longer."""
    machine.hear()
    machine.off = 7200
    machine.hear()
    machine.passed += 601
    assert machine.clocks.ahead() == [-7200]


def test_whole_seconds_are_no_step(machine: Machine) -> None:
    """Slack's answers name no fractions."""
    for fraction in (0.0, 0.4, 0.9):
        machine.clocks.heard(1000 + machine.passed - fraction)
    assert len(machine.clocks.ahead()) == 1
