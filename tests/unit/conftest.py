"""Threads to begin with."""

import pytest

from tests.build import alert
from tests.life import Life


@pytest.fixture
def life() -> Life:
    """A thread that has not begun."""
    return Life()


@pytest.fixture
def delivered() -> Life:
    """A thread of one firing alert, "a", that Slack shows."""
    life = Life()
    life.notify(alert("a"))
    life.deliver()
    return life
